// bench/peers/pgboss.js -- an asynchronous report server as one writes it with Node's http and pg-boss.
// usage: node pgboss.js NODE_MODULES DATABASE_URL PORT; prints "ready" once it answers. The API is reportd's:
// POST /Report (Prefer: wait), GET /Report/Status, GET /Report, DELETE /Report; without users, tokens and limits.
const http = require('http');
const [modules, database, port] = process.argv.slice(2);
const { PgBoss } = require(`${modules}/pg-boss`);
const { Pool } = require(`${modules}/pg`);

const QUEUE = 'report', RUNNERS = 2, BATCH = 8;
const REPORTS = { Tiny: 'SELECT 1 AS "one"' };
const boss = new PgBoss({ connectionString: database, max: 8, supervise: false, schedule: false });
const pool = new Pool({ connectionString: database, max: RUNNERS });
const waiting = new Map(); // reference → how to wake the request that waits for it
const idle = []; // runners that sleep, each a function that wakes it

// --- running reports

async function generate(job) {
    const { rows } = await pool.query(REPORTS[job.data.reportName]);
    await boss.complete(QUEUE, job.id, { results: rows });
    waiting.get(job.id)?.('complete');
}

async function runner() {
    for (;;) {
        const jobs = await boss.fetch(QUEUE, { batchSize: BATCH });
        for (const job of jobs)
            await generate(job);
        if (jobs.length === 0)
            await new Promise(wake => idle.push(wake));
    }
}

// --- the API

function answer(response, result, message, data, headers = {}) {
    response.writeHead(200, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify({ result, message, data }));
}

async function body(request) {
    let text = '';
    for await (const chunk of request)
        text += chunk;
    return JSON.parse(text);
}

// The state of the report within `seconds`, woken by the runner that has completed it.
function finished(reference, seconds) {
    return new Promise(done => {
        const timer = setTimeout(done, seconds * 1000, 'incomplete');
        waiting.set(reference, state => {
            clearTimeout(timer);
            done(state);
        });
    }).finally(() => waiting.delete(reference));
}

async function submit(request, response) {
    const order = await body(request);
    if (!REPORTS[order.reportName])
        return answer(response, false, 'There is no such report.', {});
    const wait = /^wait=(\d+)$/.exec(request.headers.prefer ?? '');
    const reference = crypto.randomUUID();
    const done = wait && finished(reference, Number(wait[1]));
    await boss.send(QUEUE, order, { id: reference });
    idle.pop()?.();
    const state = wait ? await done : 'incomplete';
    answer(response, true, 'Report request has been submitted.', reference, { 'X-Report-State': state });
}

const find = reference => boss.getJobById(QUEUE, reference);

async function status(request, response, reference) {
    const job = await find(reference);
    const state = { completed: 'complete', failed: 'error' }[job?.state] ?? 'incomplete';
    if (!job)
        return answer(response, false, 'There is no such report.', {});
    answer(response, state === 'complete', '', state);
}

async function result(request, response, reference) {
    const job = await find(reference);
    if (job?.state !== 'completed')
        return answer(response, false, 'The report is not complete.', {});
    answer(response, true, '', { reportName: job.data.reportName, generatedDate: job.completedOn,
        parameters: job.data.parameters, results: job.output.results });
}

async function remove(request, response, reference) {
    await boss.deleteJob(QUEUE, reference);
    answer(response, true, 'Report request has been deleted.', {});
}

const ROUTES = { 'POST /Report': submit, 'GET /Report/Status': status, 'GET /Report': result, 'DELETE /Report': remove };

const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const route = ROUTES[`${request.method} ${url.pathname}`];
    if (!route)
        return response.writeHead(404).end();
    route(request, response, url.searchParams.get('reference')).catch(error => {
        console.error(error);
        response.writeHead(500).end();
    });
});

async function main() {
    boss.on('error', error => console.error(error));
    await boss.start();
    await boss.createQueue(QUEUE);
    for (let i = 0; i < RUNNERS; i++)
        runner();
    server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
}

main();
