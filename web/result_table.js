// web/result_table.js -- the view Table: scrolls over all rows, at most forty of them in the page.

import { failure, showDialog } from "./dialogs.js";
import { button, closeOnEscape, el, onFrame, replace, setText } from "./dom.js";
import { shown } from "./exact.js";
import { number } from "./format.js";
import { isTable, linesOf, lookOf, plainTable, titleOf, valueAt } from "./plain_table.js";

const ROWS_MAX = 40;   // in the page
const VIEW = 0.6;      // of the window's height, at least
const BELOW = 24;      // pixels below the rows if the window has room for more
const RANGE_MAX = 8e6; // pixels to scroll over: browsers have a maximum height
const EDGE = 1000;     // rows at either end that are scrolled over at their true height
const IDLE = 150;      // milliseconds without scrolling until the address is brought up to date
const LONG = 50;       // characters: a text that is longer opens
const CUT = 500;       // characters of a text in its cell

const MOVES = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1],
  PageDown: ["page", 0], PageUp: ["-page", 0], Home: [0, -Infinity], End: [0, Infinity] };

export class Table {
  chosen;             // the names of the columns that are shown; empty for all
  #rows;
  #position;          // of the row at the top, with a fraction
  #active;            // the cell that has the focus, or gets it
  #fit = 1;           // rows that fit
  #last = 0;          // the greatest row that can be at the top
  #range = 0;         // pixels to scroll over
  #rowHeight = 32;    // until one is there
  #scrollTop = 0;     // as last seen or set
  #isPlaced = false;  // the scroll position is that of the row at the top
  #idle = 0;
  #told = null;       // the error that is shown

  // onMove() is called when scrolling or choosing columns has come to rest.
  constructor(rows, { from, chosen, onMove }) {
    this.#rows = rows;
    this.#position = from;
    this.#active = { row: from, column: 0 };
    this.chosen = new Set(chosen);
    this.onMove = onMove;
    this.head = el("tr", { "aria-rowindex": "1" });
    this.body = el("tbody", { on: { click: (event) => this.#pointed(event) } });
    this.grid = el("table", { role: "grid", "aria-label": "Rows of the result",
      on: { keydown: (event) => this.#key(event) } }, el("thead", this.head), this.body);
    this.sizer = el("div.sizer", this.grid);
    this.scroller = el("div.scroller", { on: { scroll: () => this.#scrolled() } }, this.sizer);
    this.where = el("p.where.muted.number");
    this.trouble = el("div");
    this.chooser = el("details.menu.columns", { on: { keydown: closeOnEscape } });
    this.node = el("div.rows", el("div.tools", this.#rowForm(), this.chooser, this.where),
      this.trouble, this.scroller);
    window.addEventListener("resize", this.change);
  }

  get from() {
    return Math.round(this.#position);
  }

  close() {
    window.removeEventListener("resize", this.change);
    this.change.cancel();
    clearTimeout(this.#idle);
  }

  // Draw once more, at the next frame.
  change = onFrame(() => this.draw());

  draw() {
    const { total } = this.#rows;

    this.#tellTrouble();
    if (total === null) {
      this.#rows.want(this.from, this.from + ROWS_MAX);
      return;
    }
    if (!this.head.firstChild) this.#drawHead();
    this.#measure(total);
    const first = this.from;
    const last = Math.min(total, first + Math.min(ROWS_MAX, this.#fit + 1));
    const focused = this.body.contains(document.activeElement);

    this.#rows.want(first, last);
    this.#active.row = Math.max(first, Math.min(this.#active.row, first + this.#fit - 1));
    replace(this.body, Array.from({ length: last - first }, (_, i) => this.#row(first + i)));
    if (focused) this.#focus();
    this.#settle();
    setText(this.where, total === 0 ? "The result has no rows."
      : `Rows ${number(first + 1)} to ${number(Math.min(first + this.#fit, total))} of ` +
        number(total));
  }

  #tellTrouble() {
    const { error } = this.#rows;

    if (error === this.#told) return;
    this.#told = error;
    replace(this.trouble, error && failure(error, () => { this.#rows.retry(); this.draw(); }));
  }

  #shownColumns() {
    const all = this.#rows.columns;
    const some = all.filter(({ name }) => this.chosen.has(name));

    return some.length > 0 ? some : all;
  }

  // ---- what is drawn ----

  #drawHead() {
    const columns = this.#shownColumns();

    replace(this.head, el("th", { scope: "col", class: "number", "aria-colindex": "1" }, "Row"),
      columns.map((column, i) => el("th", { scope: "col", "aria-colindex": i + 2,
        title: column.label ? column.name : null,
        class: ["integer", "decimal", "number"].includes(column.type) ? "number" : null },
      titleOf(column))));
    this.grid.ariaColCount = columns.length + 1;
    this.grid.ariaRowCount = this.#rows.total + 1;
    this.#drawChooser();
  }

  #row(index) {
    const row = this.#rows.at(index);
    const tabindex = (column) => (
      index === this.#active.row && column === this.#active.column ? "0" : "-1");
    const cells = row ? this.#shownColumns().map((column, i) => (
      valueCell(row, column, { "aria-colindex": i + 2, tabindex: tabindex(i + 1) })))
      : el("td", { class: row === null ? null : "pending muted",
        colspan: this.head.cells.length - 1 },
        row === null ? "This row is larger than 4 MiB. The downloads have it." : "…");

    return el("tr", { "aria-rowindex": index + 2 },
      el("th", { scope: "row", class: "number", tabindex: tabindex(0), "aria-colindex": "1" },
        number(index + 1)), cells);
  }

  #measure(total) {
    const { scroller } = this;
    const room = window.innerHeight - scroller.getBoundingClientRect().top - window.scrollY - BELOW;
    const most = ROWS_MAX * this.#rowHeight;
    const view = Math.floor(Math.min(Math.max(room, window.innerHeight * VIEW), most));
    const around = this.head.offsetHeight + scroller.offsetHeight - scroller.clientHeight;

    this.#fit = Math.max(1, Math.floor((view - around) / this.#rowHeight));
    this.#last = Math.max(0, total - this.#fit);
    this.#range = Math.min(this.#last * this.#rowHeight, RANGE_MAX);
    this.#position = Math.max(0, Math.min(this.#position, this.#last));
    scroller.style.maxHeight = `${view}px`;
  }

  // Once rows exist: the actual heights and widths. A column only becomes wider.
  #settle() {
    const height = this.body.rows[0]?.offsetHeight;
    const heads = [...this.head.cells], widths = heads.map((cell) => cell.offsetWidth);

    heads.forEach(({ style }, i) => {
      if (widths[i] > parseFloat(style.minWidth || 0)) style.minWidth = `${widths[i]}px`;
    });
    if (height && height !== this.#rowHeight) {
      this.#rowHeight = height;
      this.#isPlaced = false;
      this.change();
    }
    this.sizer.style.height = this.#range > 0
      ? `${this.#range + this.scroller.clientHeight}px` : "";
    if (!this.#isPlaced) this.#place();
    this.grid.ariaBusy = this.body.querySelector(".pending") !== null;
  }

  // ---- where we are ----

  // The scroll position of a row at the top. Near the ends a row has its true height; in the middle
  // of a long result, only as much of it as there is room for.
  #topOf(row) {
    const edge = Math.min(EDGE, this.#last / 2), height = this.#rowHeight;

    if (row <= edge) return row * height;
    if (row >= this.#last - edge) return this.#range - (this.#last - row) * height;
    return edge * height + (row - edge) * this.#scale(edge);
  }

  #rowOf(top) {
    const edge = Math.min(EDGE, this.#last / 2), height = this.#rowHeight;

    if (top <= edge * height) return top / height;
    if (top >= this.#range - edge * height) return this.#last - (this.#range - top) / height;
    return edge + (top - edge * height) / this.#scale(edge);
  }

  // Pixels per row in the middle.
  #scale(edge) {
    return (this.#range - 2 * edge * this.#rowHeight) / Math.max(1, this.#last - 2 * edge);
  }

  #place() {
    this.scroller.scrollTop = this.#topOf(this.#position);
    this.#scrollTop = this.scroller.scrollTop;
    this.#isPlaced = true;
  }

  // A wheel or a finger moves by rows of their true height, a jump of the scroll bar to its
  // position.
  #scrolled() {
    const top = this.scroller.scrollTop, by = top - this.#scrollTop;

    if (by === 0) return;
    this.#scrollTop = top;
    if (Math.abs(by) < this.scroller.clientHeight && this.#range === RANGE_MAX)
      this.#position += by / this.#rowHeight;
    else this.#position = this.#rowOf(top);
    this.change();
    this.#rest();
  }

  #rest() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.#scrolled(); // not told yet
      if (Math.abs(this.#topOf(this.#position) - this.scroller.scrollTop) > 1) this.#place();
      this.onMove();
    }, IDLE);
  }

  // Bring a row to the top.
  #jump(row) {
    this.#position = row;
    this.#isPlaced = false;
    this.draw();
    this.#rest();
  }

  #rowForm() {
    const field = el("input", { id: "row-number", inputmode: "numeric", autocomplete: "off",
      size: "10", on: { input: () => field.setCustomValidity("") } });

    return el("form.row-form", { on: { submit: (event) => {
      const digits = /^(\d+|\d{1,3}([\s,.]\d{3})+)$/.test(field.value.trim());
      const typed = digits ? Number(field.value.replace(/\D/g, "")) : NaN;

      event.preventDefault();
      if (!this.#rows.total) return;
      if (!(typed >= 1 && typed <= this.#rows.total)) {
        field.setCustomValidity(`A row number from 1 to ${number(this.#rows.total)}`);
        field.reportValidity();
        return;
      }
      this.#active.row = typed - 1;
      this.#jump(typed - 1);
      this.#focus();
    } } }, el("label", { for: "row-number" }, "Row"), field,
    button("Go", () => {}, { type: "submit" }));
  }

  #drawChooser() {
    const { columns } = this.#rows, some = this.#shownColumns();
    const box = (attributes, change) => (
      el("input", { type: "checkbox", ...attributes, on: { change } }));
    const boxes = columns.map((column) => box({ value: column.name,
      checked: some.includes(column) }, ({ target }) => choose(target)));
    const all = box({ checked: some.length === columns.length }, () => {
      for (const each of boxes) each.checked = all.checked;
      choose(boxes[0]);
    });
    const choose = (kept) => {
      kept.checked ||= !boxes.some(({ checked }) => checked); // one at least
      const names = boxes.filter(({ checked }) => checked).map(({ value }) => value);

      all.checked = names.length === columns.length;
      this.#choose(all.checked ? [] : names);
    };

    if (this.chooser.firstChild) return;
    replace(this.chooser, el("summary.button", "Columns"),
      el("fieldset.popup", el("legend.unseen", "Columns that are shown"),
        el("label", all, "All columns"),
        boxes.map((each, i) => el("label", each, titleOf(columns[i]))),
        el("p.muted.small", "Downloads have all columns.")));
  }

  #choose(names) {
    this.chosen = new Set(names);
    this.#active.column = 0;
    this.head.replaceChildren();
    this.draw();
    this.#rest();
  }

  // ---- keys and pointers ----

  #cell() {
    return this.body.rows[this.#active.row - this.from]?.cells[this.#active.column];
  }

  #focus() {
    const cell = this.#cell() ?? this.body.querySelector("th");

    cell?.focus({ preventScroll: true });
    cell?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #key(event) {
    if (event.altKey || event.metaKey || event.shiftKey) return;
    if (!this.body.contains(event.target)) return;
    if (event.key === "Enter" || event.key === " ") this.#open(event.target);
    else if (event.ctrlKey && event.key === "Home") this.#go(0, this.#active.column);
    else if (event.ctrlKey && event.key === "End")
      this.#go(this.#rows.total - 1, this.#active.column);
    else if (MOVES[event.key] && !event.ctrlKey) this.#move(...MOVES[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(rows, columns) {
    const by = { page: this.#fit, "-page": -this.#fit }[rows] ?? rows;

    this.#go(this.#active.row + by, this.#active.column + columns);
  }

  #go(row, column) {
    const { total } = this.#rows;

    row = Math.max(0, Math.min(row, total - 1));
    this.#active = { row, column: Math.max(0, Math.min(column, this.head.cells.length - 1)) };
    if (row < this.from) this.#jump(row);
    else if (row >= this.from + this.#fit) this.#jump(row - this.#fit + 1);
    else this.draw();
    this.#focus();
  }

  #pointed(event) {
    const cell = event.target.closest("td, th");

    if (!cell || cell.tabIndex === undefined || getSelection().toString() !== "") return;
    this.#active = { row: this.from + cell.parentNode.rowIndex - 1, column: cell.cellIndex };
    if (cell.getAttribute("aria-haspopup")) this.#open(cell);
  }

  // The sub-table or the whole text of a cell.
  #open(cell) {
    const index = this.from + cell.parentNode.rowIndex - 1;
    const row = this.#rows.at(index), column = this.#shownColumns()[cell.cellIndex - 1];

    if (!row || !column || !cell.getAttribute("aria-haspopup")) return;
    const value = valueAt(row, column);

    showDialog(`${titleOf(column)} of row ${number(index + 1)}`, isTable(value)
      ? plainTable(value, { label: titleOf(column), columns: column.columns ?? null,
        prefix: `${column.name}.` })
      : el("pre.whole", { tabindex: "0" }, shown(value)), { className: "wide" });
  }
}

function valueCell(row, column, attributes) {
  const value = valueAt(row, column);
  const table = isTable(value);
  const text = table ? linesOf(value) : shown(value);
  const opens = table || text.length > LONG;

  return el("td", { ...attributes, "aria-haspopup": opens ? "dialog" : null,
    class: opens ? "opens" : lookOf(value) },
  text.length > CUT ? `${text.slice(0, CUT)}…` : text);
}
