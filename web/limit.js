// web/limit.js -- what to do when the user has as many active reports as permitted.

import { notifyError } from "./dialogs.js";
import { button, el, replace } from "./dom.js";
import { counted, placeInQueue } from "./format.js";
import { stateLabel } from "./reports.js";
import { deleteReport, isActive, onReports, reportKnown } from "./store.js";

// The active reports of a 429, each with its Cancel; `again` submits once more.
export function limitPanel(error, again) {
  const active = error.data.active.slice();
  const list = el("ul.lines");
  const retry = button("Run now", again, { look: "primary", sign: "run", hidden: true });
  const draw = () => {
    const still = active.filter(({ reference, gone }) => (
      !gone && isActive(reportKnown(reference) ?? { state: "queued" })));

    if (!list.isConnected && list.childElementCount > 0) stop();
    retry.hidden = still.length === active.length;
    replace(list, still.map((report) => row(report, draw)));
  };
  const stop = onReports((reference) => {
    const ours = active.find((report) => report.reference === reference);

    if (ours && !reportKnown(reference)) ours.gone = true;
    if (ours && reportKnown(reference)?.state !== ours.drawn) draw();
  });

  draw();
  return el("section.failure.limit", { "aria-labelledby": "limit-title" },
    el("h2", { id: "limit-title", tabindex: "-1" }, `${
      error.message.split(";")[0]}. Cancel one, or wait.`), list, retry);
}

function row(report, draw) {
  const known = reportKnown(report.reference) ?? report;

  report.drawn = known.state;
  return el("li", stateLabel(known.state),
    el("a", { href: `#/run/${report.reference}` }, report.reportName),
    el("span.muted.number", known.state === "processing" ? counted(known.rows, "row")
      : placeInQueue(known)), el("span.space"),
    button("Cancel", async (event) => {
      event.target.disabled = true;
      try {
        await deleteReport(report.reference);
        report.gone = true;
        draw();
      } catch (error) {
        notifyError(error);
      }
    }, { sign: "cancel", "aria-label": `Cancel ${report.reportName}` }));
}
