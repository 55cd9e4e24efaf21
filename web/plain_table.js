// web/plain_table.js -- a table of elements that are all here: sub-tables, sets, the summary.

import { button, el, setText } from "./dom.js";
import { isNumber, shown } from "./exact.js";
import { counted, number } from "./format.js";

const STEP = 200; // elements that are added at a time

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// An array that is shown as a separate table.
export const isTable = (value) => Array.isArray(value) && value.length > 0 && value.every(isObject);

export const linesOf = (value) => counted(value.length, "line");

// The value of a column in an element: its name, after that of its array, is the path to it. A key
// may contain dots, too.
export function valueAt(element, { name }, prefix = "") {
  return valueBelow(element, name.slice(prefix.length));
}

function valueBelow(object, path) {
  if (!isObject(object)) return undefined;
  if (Object.hasOwn(object, path)) return object[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const key = path.slice(0, dot);
    const value = Object.hasOwn(object, key) ? valueBelow(object[key], path.slice(dot + 1))
      : undefined;

    if (value !== undefined) return value;
  }
  return undefined;
}

// What heads a column.
export function titleOf(column, prefix = "") {
  const text = column.label ?? column.name.slice(prefix.length);

  return column.unit ? `${text} (${column.unit})` : text;
}

// The class of a cell.
export const lookOf = (value) => (isNumber(value) ? "number" : null);

// A table with these columns, as from /Report/Rows, or with the keys that the elements have.
export function plainTable(elements, { label, columns = null, prefix = "" }) {
  const shownColumns = columns ?? keysOf(elements);
  const body = el("tbody");
  const more = button("", add);
  let count = 0;

  function add() {
    const part = elements.slice(count, count + STEP);

    body.append(...part.map((element) => el("tr", shownColumns.map((column) => {
      const value = valueAt(element, column, prefix);

      return el("td", { class: lookOf(value) }, plainValue(value, column));
    }))));
    count += part.length;
    more.hidden = count >= elements.length;
    setText(more, `Show more (${number(count)} of ${number(elements.length)} are here)`);
  }

  add();
  return el("div.plain-table", { tabindex: "0", role: "group", "aria-label": label }, el("table",
      el("thead", el("tr", shownColumns.map((column) => (
        el("th", { scope: "col", class: lookOf(valueAt(elements[0], column, prefix)) },
          titleOf(column, prefix)))))),
      body),
    more);
}

function keysOf(elements) {
  const names = new Set(elements.flatMap((element) => Object.keys(element)));

  return [...names].map((name) => ({ name }));
}

// The content of a cell: a text, or for an array of objects a table that folds out.
export function plainValue(value, column) {
  if (!isTable(value)) return shown(value);
  return el("details", el("summary", linesOf(value)), plainTable(value, {
    label: titleOf(column), columns: column.columns ?? null, prefix: `${column.name}.` }));
}
