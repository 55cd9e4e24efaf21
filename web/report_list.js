// web/report_list.js -- reports in a table, the user's own or those of all: rows, chips, selection.

import { serverNow } from "./api.js";
import { deleteAndTell, deleteChosen } from "./deletion.js";
import { notifyError } from "./dialogs.js";
import { button, el, icon, iconButton, placeRows, replace, setText } from "./dom.js";
import { ago, bytes, clock, left, moment, number, took } from "./format.js";
import { stateLabel } from "./reports.js";
import { isActive } from "./store.js";

const COLUMNS = { state: "State", name: "Report", user: "User", rows: "Rows", size: "Size",
  submitted: "Submitted", took: "Took", expires: "Expires in" };
const NOTE_MOST = 300; // characters of a value that are shown

// What a report was run with, in a line: "ProductID 1001 · FromDate 2024-01-01".
export function parametersLine(parameters) {
  return Object.entries(parameters ?? {}).map(([name, value]) => `${name} ${value}`).join(" · ");
}

// A list has opener(row), which opens its report; noteOf(report), the text after the name; further
// buttons(row), and entered(row) after a change of state; end(report), to cancel or delete it;
// choose(state), for the chips; showMore(); remove(reference), which resolves to the receipt; and
// removeMatching().
export class ReportList {
  // `cells` are the columns between name and buttons, `chips` maps states to their labels.
  constructor(cells, chips, attributes) {
    this.cells = cells;
    this.rows = new Map();     // reference → its row, of those that are shown
    this.selected = new Set(); // references
    this.chips = Object.entries(chips).map(([state, label]) => {
      const count = el("span.number");

      return { state, count, node: el("button.chip", { type: "button",
        on: { click: () => this.choose(state) } }, label, " ", count) };
    });
    this.all = el("input", { type: "checkbox", id: "select-all", "aria-label": "Select all shown",
      on: { change: () => this.selectAll(this.all.checked) } });
    this.deleteSelected = button("", () => this.removeSelected(), { look: "danger",
      sign: "remove", hidden: true });
    this.deleteAll = button("Delete all that match…", () => this.removeMatching(),
      { look: "quiet" });
    this.body = el("tbody", { role: "rowgroup" });
    this.table = this.makeTable(attributes);
    this.none = el("div.panel.empty");
    this.more = button("Show more", () => this.showMore());
    this.beyond = el("p.muted.small.number");
    this.parts = [el("div.bar", el("div.chips", { role: "group", "aria-label": "Filter by state" },
      this.chips.map(({ node }) => node)), el("span.space"), this.deleteSelected, this.deleteAll),
    this.table, this.none, el("div.more", this.more, this.beyond)];
  }

  // The roles are set again: in some browsers, elements that are laid out as a grid lose them.
  makeTable(attributes) {
    const head = (name, ...content) => (
      el(`th.cell-${name}`, { role: "columnheader" }, content));

    return el("table.panel.mine", { role: "table", ...attributes },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head("check", this.all),
        ["state", "name", ...this.cells].map((name) => head(name, COLUMNS[name])),
        head("actions", el("span.unseen", "Actions")))), this.body);
  }

  buttons() {}

  entered() {}

  // Rows for these reports; existing ones are updated if isStale(reference).
  place(reports, isStale = () => true) {
    placeRows(this.body, this.rows, reports, {
      keyOf: ({ reference }) => reference,
      make: (report) => new ReportRow(report, this),
      update: (row, report) => { if (isStale(report.reference)) row.update(report); },
      gone: (reference) => this.forget(reference) });
    for (const [reference, row] of this.rows) row.check.checked = this.selected.has(reference);
    this.table.hidden = reports.length === 0;
    this.none.hidden = reports.length > 0;
  }

  forget(reference) {
    this.selected.delete(reference);
  }

  drawChips(chosen, countOf) {
    for (const { state, node, count } of this.chips) {
      setText(count, countOf(state));
      node.ariaPressed = state === chosen;
    }
  }

  drawBar() {
    const count = this.selected.size;

    this.all.checked = count > 0 && count === this.rows.size;
    this.all.indeterminate = count > 0 && count < this.rows.size;
    this.deleteSelected.hidden = count === 0;
    setText(this.deleteSelected.lastChild, `Delete ${number(count)} selected`);
  }

  tick() {
    for (const row of this.rows.values()) row.tick();
  }

  select(reference, on) {
    if (on) this.selected.add(reference);
    else this.selected.delete(reference);
    this.drawBar();
  }

  selectAll(on) {
    for (const [reference, { check }] of this.rows) {
      check.checked = on;
      this.select(reference, on);
    }
  }

  removeSelected() {
    const chosen = [...this.selected].map((reference) => this.rows.get(reference).report);

    return deleteAndTell(() => deleteChosen(chosen, (reference) => this.remove(reference)));
  }
}

// Only what changes is touched.
class ReportRow {
  constructor(report, list) {
    const cell = (name, ...content) => el(`td.cell-${name}`, { role: "cell" }, content);

    this.report = report;
    this.list = list;
    this.link = list.opener(this);
    this.link.id = `row-${report.reference}`;
    this.link.dataset.open = "";
    this.check = el("input", { type: "checkbox", "aria-labelledby": this.link.id,
      on: { change: () => list.select(report.reference, this.check.checked) } });
    this.note = el("span.note.muted");
    this.state = cell("state");
    this.end = iconButton("", "cancel", () => this.endIt(), { "data-key": "x" });
    for (const name of list.cells) this[name] = cell(name);
    this.node = el("tr", { role: "row", "data-row": true },
      cell("check", el("label.target", this.check)), this.state, cell("name", this.link, this.note),
      list.cells.map((name) => this[name]), cell("actions", list.buttons(this), this.end));
    this.update(report);
  }

  update(report) {
    const { state, rows, bytes: size, submittedAt, user } = report;
    const note = this.list.noteOf(report).filter(Boolean).join(" · ");

    this.report = report;
    if (state !== this.shownState) this.enter(report);
    setText(this.rows, state === "queued" || state === "error" && rows === 0 ? "" : number(rows));
    setText(this.size, size > 0 ? bytes(size) : "");
    if (this.submitted.title !== submittedAt) {
      this.submitted.title = submittedAt;
      this.submitted.ariaLabel = moment(submittedAt);
    }
    if (this.user) {
      setText(this.user, user);
      this.user.title = user;
    }
    if (this.note.title !== note) {
      this.note.title = note;
      setText(this.note, note.length > NOTE_MOST ? `${note.slice(0, NOTE_MOST)}…` : note);
    }
    this.tick();
  }

  enter(report) {
    const active = isActive(report);
    const label = `${active ? "Cancel" : "Delete"} ${report.reportName}`;

    this.shownState = report.state;
    this.node.classList.toggle("is-active", active);
    replace(this.state, stateLabel(report.state));
    this.end.title = label;
    this.end.ariaLabel = label;
    replace(this.end, icon(active ? "cancel" : "remove"));
    this.list.entered(this);
  }

  // What changes by itself.
  tick() {
    const { state, submittedAt, startedAt, finishedAt, expiresAt } = this.report;
    const now = serverNow(), at = (iso) => Date.parse(iso);

    setText(this.submitted, ago(now - at(submittedAt)));
    if (state === "processing" && startedAt) setText(this.took, clock(now - at(startedAt)));
    else setText(this.took, startedAt && finishedAt ? took(at(finishedAt) - at(startedAt)) : "");
    if (!this.expires) return;
    setText(this.expires, expiresAt && !isActive(this.report) ? left(at(expiresAt) - now) : "");
  }

  // Once, however often it is pressed.
  async endIt() {
    if (this.isEnding) return;
    this.isEnding = true;
    try {
      await this.list.end(this.report);
    } catch (error) {
      notifyError(error);
    } finally {
      this.isEnding = false;
    }
  }
}
