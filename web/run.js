// web/run.js -- the screen Run: one report from its submission to its end.

import { serverNow } from "./api.js";
import { go, heading, referenceIn, showMessage, trail } from "./app.js";
import { questionOf } from "./deletion.js";
import { announce, closeDialogs, confirmBox, notifyDeleted, notifyError } from "./dialogs.js";
import { button, el, every, factList, icon, onFrame, replace, setText } from "./dom.js";
import { bytes, clock, counted, moment, placeInQueue, stateWord } from "./format.js";
import { endedButtons, formAddress, formLink, stateLabel } from "./reports.js";
import { deleteReport, findReport, isActive, onReports, parametersKnown, reportKnown, watchReport }
  from "./store.js";

export async function show(main, route) {
  const reference = referenceIn(route);

  try {
    await findReport(reference);
  } catch (error) {
    if (error.status !== 404) throw error;
    showMessage(main, "This report is gone",
      "There is no such report: it has been deleted, has expired, or is not yours.");
    return undefined;
  }
  return new Run(main, reference).start();
}

class Run {
  constructor(main, reference) {
    this.main = main;
    this.reference = reference;
    this.name = reportKnown(reference).reportName;
    this.state = "";
    this.steps = Object.fromEntries(["submitted", "queued", "processing", "end"].map((step) => {
      const parts = { sign: el("span.step-sign"), title: el("h2"),
        detail: el("p.number"), time: el("p.muted.small.number") };

      parts.node = el("li.step", parts.sign, el("div", parts.title, parts.detail, parts.time));
      return [step, parts];
    }));
    this.label = el("span");
    this.buttons = el("div.buttons");
    this.parameters = Object.entries(parametersKnown(reference) ?? {});
    this.form = formAddress(this.name, this.parameters);
  }

  start() {
    const updateSoon = onFrame(() => this.update());
    const stop = onReports((reference) => {
      if (reference === this.reference || reference === null) updateSoon();
    });
    const unwatch = watchReport(this.reference);
    const stopClock = every(1000, () => this.showTimes());

    this.leave = () => { stop(); unwatch(); stopClock(); updateSoon.cancel(); };
    replace(this.main, trail([formAddress(this.name), this.name]),
      el("div.head", heading(this.name), this.label, this.buttons),
      el("ol.panel.padded.steps", { "aria-label": "Progress" },
        Object.values(this.steps).map(({ node }) => node)),
      this.parameters.length > 0 && el("section.panel.padded.parameters", el("h2", "Parameters"),
        factList(this.parameters)));
    this.update();
    return this.leave;
  }

  update() {
    const report = reportKnown(this.reference);

    if (!report) {
      this.leave();
      closeDialogs();
      showMessage(this.main, this.ended ?? "This report is gone", "This report has been deleted. " +
        "Nothing of it is left on the server.",
      { action: formLink(this.ended ? this.form : formAddress(this.name), "n r", "primary") });
      announce("The report has been deleted.");
    } else if (report.state === "complete") {
      this.leave();
      announce(`${this.name} is complete: ${counted(report.rows, "row")}.`);
      go(`#/result/${this.reference}`, { replacing: true });
    } else {
      if (report.state !== this.state) this.enter(report);
      this.showTimes();
      if (report.state === "processing") {
        announce(`Running: ${counted(report.rows, "row")}.`);
      } else if (report.state === "queued" && report.position > 0) {
        announce(`Queued: number ${report.position}.`);
      }
    }
  }

  // Another state: what can be done, and the current step.
  enter(report) {
    this.state = report.state;
    document.title = `${stateWord(report.state)} · ${this.name} · reportd`;
    replace(this.label, stateLabel(report.state));
    replace(this.buttons, isActive(report)
      ? button("Cancel", () => this.cancel(), { sign: "cancel", look: "danger", "data-key": "x" })
      : endedButtons(report, this.parameters, () => this.remove(), "primary"));
    if (report.state === "error") announce(`${this.name} failed: ${report.message}`);
  }

  mark(step, state, title, detail, time = "") {
    const parts = this.steps[step];

    if (parts.state !== state) {
      parts.state = state;
      parts.node.className = `step step-${state}`;
      replace(parts.sign, icon({ done: "complete", now: step === "queued" ? "queued" : "processing",
        wrong: "error" }[state] ?? ""));
      parts.node.ariaCurrent = state === "now" ? "step" : null;
    }
    setText(parts.title, title);
    setText(parts.detail, detail);
    setText(parts.time, time);
  }

  showTimes() {
    const report = reportKnown(this.reference);

    if (!report) return;
    const { state, submittedAt, startedAt, finishedAt } = report;
    const since = (from, to) => clock((to ? Date.parse(to) : serverNow()) - Date.parse(from));

    this.mark("submitted", "done", "Submitted", "", moment(submittedAt));
    this.mark("queued", state === "queued" ? "now" : "done", "Queued", placeInQueue(report),
      startedAt || state === "queued" ? `for ${since(submittedAt, startedAt)}` : "");
    this.mark("processing", { queued: "next", processing: "now" }[state] ?? "done", "Running",
      this.progress(report), startedAt && state !== "queued" ? since(startedAt, finishedAt) : "");
    if (state !== "error") this.mark("end", "next", "Result", "");
    else this.mark("end", "wrong", "Failed", report.message ?? "", moment(finishedAt));
  }

  progress({ state, rows, bytes: size }) {
    if (state === "queued" || (state === "error" && !rows)) return "";
    return size > 0 ? `${counted(rows, "row")} · ${bytes(size)}` : counted(rows, "row");
  }

  cancel() {
    return this.end("Cancelled", `${this.name} is cancelled and deleted.`);
  }

  async remove() {
    if (await confirmBox(questionOf(reportKnown(this.reference)), "Delete")) {
      await this.end("Deleted", `${this.name} is deleted.`);
    }
  }

  // Once, however often it is pressed; `title` heads what is shown then.
  async end(title, text) {
    if (this.ended) return;
    this.ended = title;
    try {
      notifyDeleted(text, await deleteReport(this.reference));
    } catch (error) {
      this.ended = undefined;
      notifyError(error);
    }
  }
}
