// web/mine_row.js -- one report in the list of one's reports; only what changes is touched.

import { serverNow } from "/console/api.js";
import { notify, notifyDeleted } from "/console/dialogs.js";
import { el, icon, iconButton, replace, setText } from "/console/dom.js";
import { ago, bytes, clock, left, moment, number, took } from "/console/format.js";
import { deleteSelected } from "/console/mine_delete.js";
import { reportAddress, runAgain, stateLabel } from "/console/reports.js";
import { deleteReport, isActive, parametersKnown, reportKnown } from "/console/store.js";

const NOTE_MOST = 300; // characters of a value that are shown

// What a report was run with, in a line: "ProductID 1001 · FromDate 2024-01-01".
export function parametersLine(reference) {
  return Object.entries(parametersKnown(reference) ?? {})
    .map(([name, value]) => `${name} ${value}`).join(" · ");
}

export class Row {
  constructor(report, onSelect) {
    const { reportName } = report;
    const id = `row-${report.reference}`;
    const cell = (name, ...content) => el("td", { role: "cell", class: `cell-${name}` }, content);

    this.check = el("input", { type: "checkbox", "aria-labelledby": id,
      on: { change: () => onSelect(this.check.checked) } });
    this.link = el("a", { "data-open": true, id }, reportName);
    this.note = el("span", { class: "note" });
    this.state = cell("state");
    this.end = iconButton("", "cancel", () => this.endIt(), { "data-key": "x" });
    for (const part of ["rows", "size", "submitted", "took", "expires"]) this[part] = cell(part);
    this.node = el("tr", { role: "row", "data-row": true },
      el("td", { role: "cell", class: "cell-check" }, el("label", { class: "target" }, this.check)),
      this.state, cell("name", this.link, this.note), this.rows, this.size, this.submitted,
      this.took, this.expires, cell("actions",
        iconButton(`Re-run ${reportName}`, "rerun", () => runAgain(this.report),
          { "data-key": "r" }), this.end));
    this.update(report);
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
    this.drawNote([this.noteOf(report), parametersLine(report.reference)].filter(Boolean)
      .join(" · "));
    this.tick();
  }

  enter(report) {
    const active = isActive(report);
    const label = `${active ? "Cancel" : "Delete"} ${report.reportName}`;

    this.shownState = report.state;
    this.node.classList.toggle("is-active", active);
    replace(this.state, stateLabel(report.state));
    this.link.setAttribute("href", reportAddress(report));
    this.end.title = label;
    this.end.setAttribute("aria-label", label);
    replace(this.end, icon(active ? "cancel" : "remove"));
  }

  drawNote(text) {
    setText(this.note, text.length > NOTE_MOST ? `${text.slice(0, NOTE_MOST)}…` : text);
    this.note.title = text;
  }

  noteOf({ state, position, firstPosition, message }) {
    if (state === "error") return message ?? "";
    if (state !== "queued" || !position) return "";
    return firstPosition > position ? `was no. ${firstPosition}, now ${position}`
      : `no. ${position}`;
  }

  // What changes by itself.
  tick() {
    const { state, submittedAt, startedAt, finishedAt, expiresAt } = this.report;
    const now = serverNow(), at = (iso) => Date.parse(iso);

    setText(this.submitted, ago(now - at(submittedAt)));
    if (state === "processing" && startedAt) setText(this.took, clock(now - at(startedAt)));
    else setText(this.took, startedAt && finishedAt ? took(at(finishedAt) - at(startedAt)) : "");
    setText(this.expires, expiresAt && !isActive(this.report) ? left(at(expiresAt) - now) : "");
  }

  // An active report is cancelled at once, once; one that has ended is asked for.
  async endIt() {
    const { reference, reportName } = this.report;

    if (this.isEnding || !reportKnown(reference)) return;
    this.isEnding = true;
    try {
      if (isActive(this.report)) {
        notifyDeleted(`${reportName} is cancelled and deleted.`, await deleteReport(reference));
      } else {
        const done = await deleteSelected([reference]);

        if (done) notifyDeleted(`${reportName} is deleted.`, done.receipts[0]);
      }
    } catch (error) {
      notify(error.message, { error: true });
    } finally {
      this.isEnding = false;
    }
  }
}
