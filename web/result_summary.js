// web/result_summary.js -- the view Summary: the summary's values, and the further sets as tables.

import { fetchText } from "./api.js";
import { failure } from "./dialogs.js";
import { el, replace } from "./dom.js";
import { parseExact } from "./exact.js";
import { isTable, lookOf, plainTable, plainValue } from "./plain_table.js";

const TAIL = 4e6; // bytes at the end of the JSON that are searched for the sets and the summary
const ROWS = 20;  // the last elements of results, which identify its end

// What follows `results` in the JSON, without fetching those: {name: value}. Throws if it is larger
// than TAIL.
export async function readTail({ reference, size, total }, signal) {
  const { text } = await fetchText("GET", "/Report", { query: { reference }, signal,
    headers: { Range: `bytes=${Math.max(0, size - TAIL)}-` } });
  const end = await lastRows(reference, total, signal);

  // The end of results is the first matching place after which the rest closes the JSON properly:
  // elsewhere it would close too little or too much.
  for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end, at + 1)) {
    try {
      return parseExact(`{"data":{"results":[]${text.slice(at + end.length)}`).data;
    } catch {
      continue;
    }
  }
  throw new Error("The sets behind the rows are too large for this page. JSON and XLSX have them.");
}

// The last elements and the bracket after them, as they are in the JSON.
async function lastRows(reference, total, signal) {
  if (total === 0) return '"results":[]';
  const query = { reference, from: Math.max(0, total - ROWS), count: ROWS };
  const { text } = await fetchText("GET", "/Report/Rows", { query, signal });

  return text.slice(text.indexOf('"rows":[') + '"rows":['.length, text.lastIndexOf("]") + 1);
}

export async function showSummary(box, result, signal) {
  replace(box, el("p.loading", "Loading …"));
  try {
    const { results, summary, ...sets } = await readTail(result, signal);

    replace(box, summary ? valuesOf(summary) : null,
      Object.entries(sets).map(([name, elements]) => el("section", el("h2", name),
        elements.length > 0 ? plainTable(elements, { label: name }) : el("p", "No rows"))),
      summary || Object.keys(sets).length > 0 ? null : el("p", "This report has no summary."));
  } catch (error) {
    if (!signal.aborted && !result.failed(error))
      replace(box, failure(error, () => showSummary(box, result, signal)));
  }
}

// One line per value; arrays of objects come below, as tables.
function valuesOf(summary) {
  const entries = Object.entries(summary);
  const values = entries.filter(([, value]) => !isTable(value));

  return el("section", el("h2", "Summary"),
    values.length > 0 ? el("div.plain-table", { tabindex: "0", role: "group",
      "aria-label": "Summary" },
      el("table", el("tbody", values.map(([name, value]) => el("tr",
        el("th", { scope: "row" }, name),
        el("td", { class: lookOf(value) },
          Array.isArray(value) && value.length === 0 ? "none" : plainValue(value, { name })))))))
      : null,
    entries.filter(([, value]) => isTable(value)).map(([name, value]) => (
      el("section", el("h3", name), plainTable(value, { label: name })))));
}
