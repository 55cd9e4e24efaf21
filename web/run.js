// web/run.js -- the screen Run: one report from its submission to its end.

import { serverNow } from "/console/api.js";
import { announce, confirmBox, go, heading, notify } from "/console/app.js";
import { closeDialogs, notifyDeleted } from "/console/dialogs.js";
import { button, el, icon, replace, setText } from "/console/dom.js";
import { bytes, clock, counted, moment, stateWord } from "/console/format.js";
import { formAddress, runAgain, stateLabel } from "/console/reports.js";
import { deleteReport, findReport, isActive, onReports, parametersOf, reportKnown, watchReport }
  from "/console/store.js";

export async function show(main, route) {
  const reference = (route.path[1] ?? "").toLowerCase();

  try {
    await findReport(reference);
  } catch (error) {
    if (error.status !== 404) throw error;
    showGone(main, "This report is gone",
      "There is no such report: it has been deleted, has expired, or is not yours.");
    return undefined;
  }
  return new Run(main, reference).start();
}

function showGone(main, title, text, address) {
  replace(main, heading(title), el("p", { class: "lead" }, text),
    el("div", { class: "buttons" },
      address ? el("a", { class: "button primary", href: address, "data-key": "n r" },
        icon("run"), "Change and run again") : null,
      el("a", { class: "button", href: "#/reports" }, "All reports"),
      el("a", { class: "button", href: "#/mine" }, "My reports")));
}

class Run {
  constructor(main, reference) {
    this.main = main;
    this.reference = reference;
    this.name = reportKnown(reference).reportName;
    this.state = "";
    this.steps = Object.fromEntries(["submitted", "queued", "processing", "end"].map((step) => {
      const parts = { sign: el("span", { class: "step-sign" }), title: el("h2"),
        detail: el("p", { class: "number" }), time: el("p", { class: "muted small number" }) };

      parts.node = el("li", { class: "step" }, parts.sign,
        el("div", {}, parts.title, parts.detail, parts.time));
      return [step, parts];
    }));
    this.label = el("span");
    this.buttons = el("div", { class: "buttons" });
    this.parameters = el("div");
  }

  start() {
    const stop = onReports((reference) => {
      if (reference === this.reference || reference === null) this.scheduled ||=
        requestAnimationFrame(() => this.update());
    });
    const unwatch = watchReport(this.reference);
    const clockTimer = setInterval(() => this.showTimes(), 1000);

    this.leave = () => {
      stop();
      unwatch();
      clearInterval(clockTimer);
      cancelAnimationFrame(this.scheduled);
    };
    replace(this.main, el("nav", { class: "trail", "aria-label": "Where you are" },
      el("a", { href: "#/reports" }, "Reports"), el("span", { "aria-hidden": "true" }, "/"),
      el("a", { href: formAddress(this.name) }, this.name)),
    el("div", { class: "head" }, heading(this.name), this.label, this.buttons),
    el("ol", { class: "panel padded steps", "aria-label": "Progress" },
      Object.values(this.steps).map((step) => step.node)), this.parameters);
    this.update();
    this.showParameters();
    return this.leave;
  }

  async showParameters() {
    const values = Object.entries(await parametersOf(this.reference).catch(() => ({})));

    this.form = formAddress(this.name, values);
    if (values.length === 0 || !reportKnown(this.reference)) return;
    replace(this.parameters, el("section", { class: "panel padded parameters" },
      el("h2", {}, "Parameters"), el("dl", {}, values.map(([name, value]) => [
        el("dt", {}, name), el("dd", { class: "mono" }, value)]))));
  }

  update() {
    const report = reportKnown(this.reference);

    this.scheduled = 0;
    if (!report) {
      this.leave();
      closeDialogs();
      showGone(this.main, this.ended ?? "This report is gone", "This report has been deleted. " +
        "Nothing of it is left on the server.", (this.ended && this.form) || formAddress(this.name));
      announce("The report has been deleted.");
      this.main.querySelector("h1").focus();
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

  // Another state: what can be done, and which step one is at.
  enter(report) {
    this.state = report.state;
    document.title = `${stateWord(report.state)} · ${this.name} · reportd`;
    replace(this.label, stateLabel(report.state));
    replace(this.buttons, isActive(report)
      ? button("Cancel", () => this.cancel(), { sign: "cancel", look: "danger", "data-key": "x" })
      : [button("Change and run again", () => this.change(), { look: "primary", "data-key": "n" }),
        button("Run again", () => runAgain(report), { sign: "rerun", "data-key": "r" }),
        button("Delete", () => this.remove(), { sign: "remove", look: "danger",
          "data-key": "x" })]);
    if (report.state === "error") announce(`${this.name} failed: ${report.message}`);
  }

  mark(step, state, title, detail, time = "") {
    const parts = this.steps[step];

    if (parts.state !== state) {
      parts.state = state;
      parts.node.className = `step step-${state}`;
      replace(parts.sign, icon({ done: "complete", now: step === "queued" ? "queued" : "processing",
        wrong: "error" }[state] ?? ""));
      if (state === "now") parts.node.setAttribute("aria-current", "step");
      else parts.node.removeAttribute("aria-current");
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
    this.mark("queued", state === "queued" ? "now" : "done", "Queued", this.place(report),
      startedAt || state === "queued" ? `for ${since(submittedAt, startedAt)}` : "");
    this.mark("processing", { queued: "next", processing: "now" }[state] ?? "done", "Running",
      this.progress(report), startedAt && state !== "queued" ? since(startedAt, finishedAt) : "");
    if (state !== "error") this.mark("end", "next", "Result", "");
    else this.mark("end", "wrong", "Failed", report.message ?? "", moment(finishedAt));
  }

  // "was no. 4, now 2"
  place({ state, position, firstPosition }) {
    if (state !== "queued" || !position) return "";
    return firstPosition > position ? `was no. ${firstPosition}, now ${position}`
      : `no. ${position}`;
  }

  progress({ state, rows, bytes: size }) {
    if (state === "queued" || (state === "error" && !rows)) return "";
    return size > 0 ? `${counted(rows, "row")} · ${bytes(size)}` : counted(rows, "row");
  }

  cancel() {
    return this.end("Cancelled", `${this.name} is cancelled and deleted.`);
  }

  async remove() {
    const { submittedAt } = reportKnown(this.reference);

    if (await confirmBox(`Delete the failed run of ${this.name}, submitted ${
      moment(submittedAt)}?`, "Delete")) await this.end("Deleted", `${this.name} is deleted.`);
  }

  // Once, however often it is pressed; `title` heads what is shown then.
  async end(title, text) {
    if (this.ended) return;
    this.ended = title;
    try {
      notifyDeleted(text, await deleteReport(this.reference));
    } catch (error) {
      this.ended = undefined;
      notify(error.message, { error: true });
    }
  }

  async change() {
    try {
      go(formAddress(this.name, await parametersOf(this.reference)));
    } catch (error) {
      notify(error.message, { error: true });
    }
  }
}
