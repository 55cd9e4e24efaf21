// bench/peers/generate.js -- a query to a JSON file in Node: rows streamed from better-sqlite3, JSON.stringify each,
// written in blocks, fsynced. usage: node generate.js NODE_MODULES DATABASE SQL FILE
const fs = require('fs');
const [modules, database, sql, file] = process.argv.slice(2);
const rows = new (require(`${modules}/better-sqlite3`))(database, { readonly: true }).prepare(sql).iterate();

const BLOCK = 1 << 20;
const fd = fs.openSync(file, 'w');
let block = '[', first = true;
for (const row of rows) {
    block += (first ? '' : ',') + JSON.stringify(row);
    first = false;
    if (block.length >= BLOCK) {
        fs.writeSync(fd, block);
        block = '';
    }
}
fs.writeSync(fd, block + ']');
fs.fdatasyncSync(fd);
fs.closeSync(fd);
