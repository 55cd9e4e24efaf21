// web/limit.js -- what to do when one has as many active reports as a user may have.

import { notify } from "/console/app.js";
import { button, el, replace } from "/console/dom.js";
import { counted } from "/console/format.js";
import { stateLabel } from "/console/reports.js";
import { deleteReport, onReports, reportKnown } from "/console/store.js";

function detail(report) {
  if (report?.state === "queued" && report.position > 0) return `no. ${report.position}`;
  return report?.state === "processing" ? counted(report.rows, "row") : "";
}

// The active reports of a 429, each with its Cancel; `again` submits once more.
export function limitPanel(error, again) {
  const active = error.data.active.slice();
  const list = el("ul", { class: "limit-list" });
  const retry = button("Run now", again, { look: "primary", sign: "run", hidden: true });
  const draw = () => {
    const still = active.filter(({ reference, gone }) => !gone && (!reportKnown(reference) ||
      ["queued", "processing"].includes(reportKnown(reference).state)));

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
  return el("section", { class: "failure limit", "aria-labelledby": "limit-title" },
    el("h2", { id: "limit-title", tabindex: "-1" }, error.message), list, retry);
}

function row(report, draw) {
  const known = reportKnown(report.reference) ?? report;

  report.drawn = known.state;
  return el("li", {}, stateLabel(known.state),
    el("a", { href: `#/run/${report.reference}` }, report.reportName),
    el("span", { class: "muted number" }, detail(known)), el("span", { class: "space" }),
    button("Cancel", async (event) => {
      event.target.disabled = true;
      try {
        await deleteReport(report.reference);
        report.gone = true;
        draw();
      } catch (error) {
        notify(error.message, { error: true });
      }
    }, { sign: "cancel", "aria-label": `Cancel ${report.reportName}` }));
}
