// bench/peers/exceljs.js -- a query to an XLSX file in Node: rows streamed from better-sqlite3 to exceljs's streaming writer.
// usage: node exceljs.js NODE_MODULES DATABASE SQL FILE
const [modules, database, sql, filename] = process.argv.slice(2);
const statement = new (require(`${modules}/better-sqlite3`))(database, { readonly: true }).prepare(sql);
const book = new (require(`${modules}/exceljs`).stream.xlsx.WorkbookWriter)({ filename, useStyles: true });
const sheet = book.addWorksheet('results');

sheet.columns = statement.columns().map(({ name }) => ({ header: name, key: name,
    style: name === 'day' ? { numFmt: 'yyyy-mm-dd' } : {} }));
(async () => {
    let rows = 0;
    for (const row of statement.iterate()) {
        row.day = new Date(row.day);
        sheet.addRow(row).commit();
        if (++rows % 1000 === 0) // else nothing is written before the end
            await new Promise(setImmediate);
    }
    sheet.commit();
    await book.commit();
})();
