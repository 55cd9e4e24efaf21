// web/mine.js -- the screen Mine: one's reports, live; filters, cancel, re-run, delete many.

import { heading, notify, setQuery } from "/console/app.js";
import { leaveSearch, openDialog } from "/console/dialogs.js";
import { button, el, icon, replace, setText } from "/console/dom.js";
import { counted, number } from "/console/format.js";
import { deleteMatching, deleteSelected } from "/console/mine_delete.js";
import { parametersLine, Row } from "/console/mine_row.js";
import { isActive, loadReports, onReports, reportsBeyond, reportsKnown, STORE_MOST }
  from "/console/store.js";

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
    const text = `${reportName} ${reference} ${message ?? ""} ${parametersLine(reference)}`
      .toLowerCase();

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

  // Rows come, go and stay in order; those that stay are not touched, except what changed in them.
  place(visible) {
    const wanted = new Set(visible.map((report) => report.reference));
    const focused = document.activeElement?.closest?.("#main [data-row]");
    const at = focused ? [...this.body.children].indexOf(focused) : -1;

    for (const [reference, row] of this.rows) {
      if (wanted.has(reference)) continue;
      row.node.remove();
      this.rows.delete(reference);
      this.selected.delete(reference);
    }
    visible.forEach((report, i) => {
      const { reference } = report;
      let row = this.rows.get(reference);

      if (!row) {
        row = new Row(report, (on) => this.select(reference, on));
        this.rows.set(reference, row);
      } else if (this.dirty.has(reference)) {
        row.update(report);
      }
      row.check.checked = this.selected.has(reference);
      if (this.body.children[i] !== row.node) {
        this.body.insertBefore(row.node, this.body.children[i] ?? null);
      }
    });
    if (focused && !focused.isConnected) this.focusNear(at);
  }

  focusNear(at) {
    const row = this.body.children[Math.min(at, this.body.children.length - 1)];

    (row?.querySelector("[data-open]") ?? document.querySelector("#main h1")).focus();
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
    return this.remove(() => deleteSelected([...this.selected]));
  }

  removeMatching() {
    return this.remove(() => deleteMatching({ state: this.state, q: this.q, found: this.found,
      isShown: () => this.node.isConnected }));
  }

  // What was deleted is said, with the receipt of the server, or the last of several.
  async remove(action) {
    try {
      const done = await action();

      if (!done) return;
      const text = `${counted(done.count, "report")} deleted.`;

      if (done.receipts.length === 0) {
        notify(text);
        return;
      }
      const { keepReceipt, receiptBox } = await import("/console/receipts.js");

      for (const receipt of done.receipts) keepReceipt(receipt);
      await openDialog(text, (close) => [receiptBox(done.receipts.at(-1)), el("div",
        { class: "buttons" }, button("Close", () => close(), { look: "primary" }))]);
    } catch (error) {
      notify(error.message, { error: true });
    }
  }
}
