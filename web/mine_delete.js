// web/mine_delete.js -- deleting many reports: asks with their number, then deletes, then tells.

import { call, serverNow } from "/console/api.js";
import { confirmBox, notify, openDialog } from "/console/dialogs.js";
import { button, el } from "/console/dom.js";
import { counted, moment } from "/console/format.js";
import { deleteReport, isActive, refreshReports, reportKnown }
  from "/console/store.js";

const AT_ONCE = 4; // requests under way

export function question(count, active) {
  const running = active > 0 ? ` ${active === count ? "All" : active} of them ${
    active === 1 ? "is" : "are"} active and will be cancelled.` : "";

  return `Delete ${counted(count, "report")}?${running} There is no undo.`;
}

// Those with these references; `deleteOne` resolves to the receipt, null if it was gone already.
export async function deleteEach(references, deleteOne) {
  const rest = [...references], failed = [], receipts = [];
  const work = async () => {
    while (rest.length > 0) {
      const receipt = await deleteOne(rest.shift()).catch((error) => failed.push(error));

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
  return deleteEach(references, deleteReport);
}

// What has been submitted until now, as queries say it.
export function beforeNow() {
  return `${new Date(serverNow() + 1000).toISOString().slice(0, 19)}Z`;
}

// The filter as queries of DELETE /Report/List; null if the server cannot express it.
function queriesOf({ state, q, found }) {
  const name = q.trim() === "" ? {} : { ReportName: q.trim() };
  const states = state === "active" ? ["queued", "processing"] : [state];

  if (q.trim() && !found.every((report) => report.reportName === q.trim())) return null;
  const Before = beforeNow();

  return states.map((State) => ({ State, ...name, Before }));
}

async function countBy(path, queries) {
  const counts = { all: 0, active: 0 };

  for (const query of queries) {
    const { data } = await call("DELETE", path, { query: { ...query, dryRun: 1 } });

    counts.all += sum(data.deleted) + data.remaining;
    counts.active += data.deleted.queued + data.deleted.processing;
  }
  return counts;
}

async function deleteBy(path, query, totals) {
  for (let remaining = 1; remaining > 0;) {
    const { data } = await call("DELETE", path, { query });

    totals.count += sum(data.deleted);
    if (data.receipt) totals.receipts.push(data.receipt);
    remaining = sum(data.deleted) > 0 ? data.remaining : 0;
  }
}

function sum(deleted) {
  return Object.values(deleted).reduce((total, count) => total + count, 0);
}

// All that match one of the queries, also those that are not shown: the server counts them first,
// and again after the answer, since more may match by then. Null if they are kept.
export async function deleteCounted(path, queries, isShown) {
  for (let agreed = 0; ;) {
    const { all, active } = await countBy(path, queries);

    if (all === 0) return { count: 0, receipts: [] };
    if (all <= agreed) break;
    if (!isShown() || !await confirmBox(question(all, active), `Delete ${all}`)) return null;
    agreed = all;
  }
  const totals = { count: 0, receipts: [] };

  for (const query of queries) await deleteBy(path, query, totals);
  return totals;
}

// All of one's own that match.
export async function deleteMatching(filter) {
  const queries = queriesOf(filter);

  if (queries === null) return deleteSelected(filter.found.map((report) => report.reference));
  const done = await deleteCounted("/Report/List", queries, filter.isShown);

  if (done) await refreshReports();
  return done;
}

// What `action` deletes is said, with the receipt of the server, or the last of several.
export async function deleteAndTell(action) {
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
