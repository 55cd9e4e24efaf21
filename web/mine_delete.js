// web/mine_delete.js -- deleting many reports: asks with their number, then deletes.

import { call, serverNow } from "/console/api.js";
import { confirmBox } from "/console/dialogs.js";
import { counted, moment } from "/console/format.js";
import { deleteReport, isActive, refreshReports, reportKnown }
  from "/console/store.js";

const AT_ONCE = 4; // requests under way

function question(count, active) {
  const running = active > 0 ? ` ${active === count ? "All" : active} of them ${
    active === 1 ? "is" : "are"} active and will be cancelled.` : "";

  return `Delete ${counted(count, "report")}?${running} There is no undo.`;
}

async function deleteEach(references) {
  const rest = [...references], failed = [], receipts = [];
  const work = async () => {
    while (rest.length > 0) {
      const receipt = await deleteReport(rest.shift()).catch((error) => failed.push(error));

      if (typeof receipt === "string") receipts.push(receipt);
    }
  };

  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failed.length > 0) {
    throw new Error(`${counted(failed.length, "report")} could not be deleted: ${
      failed[0].message}`);
  }
  return { count: references.length, receipts };
}

// Those that are selected; null if one decided to keep them.
export async function deleteSelected(references) {
  const known = references.map(reportKnown).filter(Boolean);
  const active = known.filter(isActive).length;

  if (known.length === 1) {
    const [report] = known;

    if (!await confirmBox(`Delete ${report.state === "complete" ? "the result" : "the run"} of ${
      report.reportName}, submitted ${moment(report.submittedAt)}? There is no undo.`, "Delete")) {
      return null;
    }
  } else if (!await confirmBox(question(known.length, active), `Delete ${known.length}`)) {
    return null;
  }
  return deleteEach(references);
}

// The filter as queries of DELETE /Report/List; null if the server cannot express it.
function queriesOf({ state, q, found }) {
  const name = q.trim() === "" ? {} : { ReportName: q.trim() };
  const states = state === "active" ? ["queued", "processing"] : [state];

  if (q.trim() && !found.every((report) => report.reportName === q.trim())) return null;
  const Before = `${new Date(serverNow() + 1000).toISOString().slice(0, 19)}Z`;

  return states.map((State) => ({ State, ...name, Before }));
}

async function countBy(queries) {
  const counts = { all: 0, active: 0 };

  for (const query of queries) {
    const { data } = await call("DELETE", "/Report/List", { query: { ...query, dryRun: 1 } });

    counts.all += sum(data.deleted) + data.remaining;
    counts.active += data.deleted.queued + data.deleted.processing;
  }
  return counts;
}

async function deleteBy(query, totals) {
  for (let remaining = 1; remaining > 0;) {
    const { data } = await call("DELETE", "/Report/List", { query });

    totals.count += sum(data.deleted);
    if (data.receipt) totals.receipts.push(data.receipt);
    remaining = sum(data.deleted) > 0 ? data.remaining : 0;
  }
}

function sum(deleted) {
  return Object.values(deleted).reduce((total, count) => total + count, 0);
}

// All that match, also those that are not shown: the server counts them first, and again after the
// answer, since more may match by then. Null if they are kept.
export async function deleteMatching(filter) {
  const queries = queriesOf(filter);

  if (queries === null) return deleteSelected(filter.found.map((report) => report.reference));
  for (let agreed = 0; ;) {
    const { all, active } = await countBy(queries);

    if (all === 0) return { count: 0, receipts: [] };
    if (all <= agreed) break;
    if (!filter.isShown() || !await confirmBox(question(all, active), `Delete ${all}`)) return null;
    agreed = all;
  }
  const totals = { count: 0, receipts: [] };

  for (const query of queries) await deleteBy(query, totals);
  await refreshReports();
  return totals;
}
