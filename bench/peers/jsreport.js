// bench/peers/jsreport.js -- jsreport as a server of asynchronous reports: core, express, reports, handlebars.
// usage: node jsreport.js NODE_MODULES PORT; prints "ready" once it answers. Its store and its blobs are in memory,
// nothing is profiled, logged or sandboxed: it is measured at its fastest.
const [modules, port] = process.argv.slice(2);
const extension = name => require(`${modules}/@jsreport/jsreport-${name}`);

const jsreport = extension('core')({
    rootDirectory: modules,
    discover: false,
    loadConfig: false,
    trustUserCode: true,
    logger: { silent: true },
    profiler: { defaultMode: 'disabled' },
    workers: { numberOfWorkers: 8 },
    store: { provider: 'memory' },
    blobStorage: { provider: 'memory' },
    hostname: '127.0.0.1',
    httpPort: Number(port),
});
for (const name of ['express', 'reports', 'handlebars'])
    jsreport.use(extension(name)());
jsreport.init().then(() => console.log('ready'), error => {
    console.error(error);
    process.exit(1);
});
