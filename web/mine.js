// web/mine.js -- the screen Mine: one's reports, live; filters, cancel, re-run, delete many.

import { heading, setQuery } from "/console/app.js";
import { leaveSearch } from "/console/dialogs.js";
import { button, el, icon, placeRows, replace, setText } from "/console/dom.js";
import { counted, number } from "/console/format.js";
import { deleteAndTell, deleteMatching, deleteSelected } from "/console/mine_delete.js";
import { CELLS, Row } from "/console/mine_row.js";
import { parametersLine } from "/console/report_row.js";
import { isActive, loadReports, onReports, parametersKnown, reportsBeyond, reportsKnown,
  STORE_MOST } from "/console/store.js";

const PAGE = 200; // rows at first, and more each time

const FILTERS = [
  { state: "", label: "All", has: () => true },
  { state: "active", label: "Active", has: isActive },
  { state: "complete", label: "Complete", has: (report) => report.state === "complete" },
  { state: "error", label: "Failed", has: (report) => report.state === "error" },
];
const COLUMNS = [["state", "State"], ["name", "Report"], ["rows", "Rows"], ["size", "Size"],
  ["submitted", "Submitted"], ["took", "Took"], ["expires", "Expires in"]];

export async function show(main, route) {
  const mine = new Mine(route.query);

  await loadReports(STORE_MOST);
  replace(main, mine.node);
  mine.draw();
  return mine.start();
}

class Mine {
  constructor(query) {
    this.state = query.get("state") ?? "";
    this.q = query.get("q") ?? "";
    this.shown = PAGE;
    this.rows = new Map();     // reference → its row, of those that are shown
    this.dirty = new Set();    // references whose rows are to be updated
    this.selected = new Set();
    this.scheduled = 0;
    this.body = el("tbody", { role: "rowgroup" });
    this.chips = FILTERS.map((filter) => this.chip(filter));
    this.all = el("input", { type: "checkbox", id: "select-all", "aria-label": "Select all shown",
      on: { change: () => this.selectAll(this.all.checked) } });
    this.deleteSelected = button("", () => this.removeSelected(), { look: "danger",
      sign: "remove", hidden: true });
    this.deleteAll = button("", () => this.removeMatching(), { look: "quiet" });
    this.more = button("", () => { this.shown += PAGE; this.draw(); });
    this.beyond = el("p", { class: "muted small" });
    this.none = el("div", { class: "panel empty" });
    this.table = el("table", { class: "panel mine", role: "table", "aria-label": "My reports" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
        el("th", { role: "columnheader", class: "cell-check" }, this.all),
        COLUMNS.map(([name, title]) => el("th", { role: "columnheader", class: `cell-${name}` },
          title)),
        el("th", { role: "columnheader", class: "cell-actions" }, el("span", { class: "unseen" },
          "Actions")))), this.body);
    this.node = el("div", {}, el("div", { class: "head" }, heading("My reports"), this.search()),
      el("div", { class: "bar" }, el("div", { class: "chips", role: "group",
        "aria-label": "Filter by state" }, this.chips.map((chip) => chip.node)),
      el("span", { class: "space" }), this.deleteSelected, this.deleteAll),
      this.table, this.none, el("div", { class: "more" }, this.more, this.beyond));
  }

  search() {
    const input = el("input", { type: "search", placeholder: "Name, value or message",
      "data-search": true, "aria-label": "Search my reports", value: this.q, on: {
        input: () => { this.q = input.value; this.filtered(); },
        keydown: (event) => { if (event.key === "Escape") leaveSearch(); } } });

    return el("div", { class: "search", role: "search" }, icon("search"), input,
      el("kbd", {}, "/"));
  }

  chip(filter) {
    const count = el("span", { class: "number" });
    const node = el("button", { type: "button", class: "chip", on: { click: () => {
      this.state = filter.state;
      this.filtered();
    } } }, filter.label, " ", count);

    return { filter, node, count };
  }

  filtered() {
    this.shown = PAGE;
    this.selected.clear();
    setQuery(Object.entries({ state: this.state, q: this.q }).filter(([, value]) => value));
    this.draw();
  }

  start() {
    const stop = onReports((reference) => {
      if (reference !== null) this.dirty.add(reference);
      else for (const known of this.rows.keys()) this.dirty.add(known);
      this.scheduled ||= requestAnimationFrame(() => this.draw());
    });
    const clock = setInterval(() => {
      if (!document.hidden) for (const row of this.rows.values()) row.tick();
    }, 1000);

    return () => {
      stop();
      clearInterval(clock);
      cancelAnimationFrame(this.scheduled);
    };
  }

  // ---- what is shown ----

  hasWords({ reportName, reference, message }) {
    const text = `${reportName} ${reference} ${message ?? ""} ${
      parametersLine(parametersKnown(reference))}`.toLowerCase();

    return this.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  // Those that match the filter, newest first; the chips count on the way.
  matching() {
    const found = reportsKnown().filter((report) => this.hasWords(report));

    for (const { filter, node, count } of this.chips) {
      setText(count, number(found.filter(filter.has).length));
      node.setAttribute("aria-pressed", String(filter.state === this.state));
    }
    return found.filter((FILTERS.find(({ state }) => state === this.state) ?? FILTERS[0]).has);
  }

  draw() {
    const found = this.matching(), visible = found.slice(0, this.shown);

    this.scheduled = 0;
    this.found = found;
    this.place(visible);
    this.dirty.clear();
    this.table.hidden = found.length === 0;
    this.none.hidden = found.length > 0;
    if (found.length === 0) this.drawNone();
    this.more.hidden = found.length <= visible.length;
    setText(this.more, `Show ${number(Math.min(PAGE, found.length - visible.length))} more of ` +
      number(found.length));
    setText(this.beyond, reportsBeyond() > 0
      ? `${counted(reportsBeyond(), "older report")} on the server ${
        reportsBeyond() === 1 ? "is" : "are"} not shown.` : "");
    this.drawBar();
  }

  drawNone() {
    const text = this.q || this.state ? "No report matches."
      : "No reports. What you run is listed here until it expires.";

    if (this.none.firstChild?.textContent !== text) {
      replace(this.none, el("p", {}, text), el("p", {}, el("a", { href: "#/reports" },
        "Run a report")));
    }
  }

  place(visible) {
    placeRows(this.body, this.rows, visible, {
      keyOf: (report) => report.reference,
      make: (report) => new Row(report, (on) => this.select(report.reference, on), CELLS),
      update: (row, report) => { if (this.dirty.has(report.reference)) row.update(report); },
      gone: (reference) => this.selected.delete(reference) });
    for (const [reference, row] of this.rows) row.check.checked = this.selected.has(reference);
  }

  // ---- many at once ----

  select(reference, on) {
    if (on) this.selected.add(reference);
    else this.selected.delete(reference);
    this.drawBar();
  }

  selectAll(on) {
    for (const [reference, row] of this.rows) {
      row.check.checked = on;
      if (on) this.selected.add(reference);
      else this.selected.delete(reference);
    }
    this.drawBar();
  }

  drawBar() {
    const count = this.selected.size;

    this.all.checked = count > 0 && count === this.rows.size;
    this.all.indeterminate = count > 0 && count < this.rows.size;
    this.deleteSelected.hidden = count === 0;
    setText(this.deleteSelected.lastChild, `Delete ${number(count)} selected`);
    this.deleteAll.hidden = this.found.length === 0;
    setText(this.deleteAll.lastChild, this.q || this.state ? "Delete all that match…"
      : "Delete all…");
  }

  removeSelected() {
    return deleteAndTell(() => deleteSelected([...this.selected]));
  }

  removeMatching() {
    return deleteAndTell(() => deleteMatching({ state: this.state, q: this.q, found: this.found,
      isShown: () => this.node.isConnected }));
  }
}
