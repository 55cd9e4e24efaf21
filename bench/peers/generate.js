// bench/peers/generate.js -- a query to a JSON file in Node: rows streamed, JSON.stringify each, written in blocks, fsynced.
// usage: node generate.js better-sqlite3|node:sqlite NODE_MODULES DATABASE SQL FILE
const fs = require('fs');
const [driver, modules, database, sql, file] = process.argv.slice(2);

function rows() {
    if (driver === 'node:sqlite')
        return new (require('node:sqlite').DatabaseSync)(database, { readOnly: true }).prepare(sql).iterate();
    return new (require(`${modules}/better-sqlite3`))(database, { readonly: true }).prepare(sql).iterate();
}

const BLOCK = 1 << 20;
const fd = fs.openSync(file, 'w');
let block = '[', first = true;
for (const row of rows()) {
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
