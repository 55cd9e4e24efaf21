// web/mine_row.js -- one report in the list of one's reports.

import { notify, notifyDeleted } from "/console/dialogs.js";
import { el, iconButton } from "/console/dom.js";
import { deleteSelected } from "/console/mine_delete.js";
import { parametersLine, ReportRow } from "/console/report_row.js";
import { reportAddress, runAgain } from "/console/reports.js";
import { deleteReport, isActive, parametersKnown, reportKnown } from "/console/store.js";

export const CELLS = ["rows", "size", "submitted", "took", "expires"];

export class Row extends ReportRow {
  opener({ reportName }) {
    return el("a", {}, reportName);
  }

  actions({ reportName }) {
    return iconButton(`Re-run ${reportName}`, "rerun", () => runAgain(this.report),
      { "data-key": "r" });
  }

  enter(report) {
    super.enter(report);
    this.link.setAttribute("href", reportAddress(report));
  }

  noteOf({ reference, state, position, firstPosition, message }) {
    const parameters = parametersLine(parametersKnown(reference));
    let note = "";

    if (state === "error") note = message ?? "";
    else if (state === "queued" && position) {
      note = firstPosition > position ? `was no. ${firstPosition}, now ${position}`
        : `no. ${position}`;
    }
    return [note, parameters].filter(Boolean).join(" · ");
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
