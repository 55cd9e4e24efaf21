// web/report_row.js -- a report in a list of one's own or of all; only what changes is touched.

import { serverNow } from "/console/api.js";
import { el, icon, iconButton, replace, setText } from "/console/dom.js";
import { ago, bytes, clock, left, moment, number, took } from "/console/format.js";
import { stateLabel } from "/console/reports.js";
import { isActive } from "/console/store.js";

const NOTE_MOST = 300; // characters of a value that are shown

// What a report was run with, in a line: "ProductID 1001 · FromDate 2024-01-01".
export function parametersLine(parameters) {
  return Object.entries(parameters ?? {}).map(([name, value]) => `${name} ${value}`).join(" · ");
}

// A list has a class of its own, with opener(report), what opens the report; noteOf(report), what
// is written behind its name; endIt(), to cancel or delete it; and further actions(report).
export class ReportRow {
  // `cells` are the columns between name and actions.
  constructor(report, onSelect, cells) {
    const cell = (name, ...content) => el("td", { role: "cell", class: `cell-${name}` }, content);

    this.link = this.opener(report);
    this.link.id = `row-${report.reference}`;
    this.link.dataset.open = "";
    this.check = el("input", { type: "checkbox", "aria-labelledby": this.link.id,
      on: { change: () => onSelect(this.check.checked) } });
    this.note = el("span", { class: "note" });
    this.state = cell("state");
    this.end = iconButton("", "cancel", () => this.endIt(), { "data-key": "x" });
    for (const name of cells) this[name] = cell(name);
    this.node = el("tr", { role: "row", "data-row": true },
      el("td", { role: "cell", class: "cell-check" }, el("label", { class: "target" }, this.check)),
      this.state, cell("name", this.link, this.note), cells.map((name) => this[name]),
      cell("actions", this.actions(report), this.end));
    this.update(report);
  }

  actions() {
    return [];
  }

  update(report) {
    const { state, rows, bytes: size, submittedAt } = report;

    this.report = report;
    if (state !== this.shownState) this.enter(report);
    setText(this.rows, state === "queued" || state === "error" && rows === 0 ? "" : number(rows));
    setText(this.size, size > 0 ? bytes(size) : "");
    if (this.submitted.title !== submittedAt) {
      this.submitted.title = submittedAt;
      this.submitted.setAttribute("aria-label", moment(submittedAt));
    }
    this.drawNote(this.noteOf(report));
    this.tick();
  }

  enter(report) {
    const active = isActive(report);
    const label = `${active ? "Cancel" : "Delete"} ${report.reportName}`;

    this.shownState = report.state;
    this.node.classList.toggle("is-active", active);
    replace(this.state, stateLabel(report.state));
    this.end.title = label;
    this.end.setAttribute("aria-label", label);
    replace(this.end, icon(active ? "cancel" : "remove"));
  }

  drawNote(text) {
    setText(this.note, text.length > NOTE_MOST ? `${text.slice(0, NOTE_MOST)}…` : text);
    this.note.title = text;
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
}
