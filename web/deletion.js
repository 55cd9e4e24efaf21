// web/deletion.js -- deleting reports: asks, with their number, then deletes, then reports it.

import { call, serverNow } from "./api.js";
import { confirmBox, notify, notifyError, showDialog } from "./dialogs.js";
import { counted, moment, stateWord } from "./format.js";
import { deleteReport, isActive, refreshReports } from "./store.js";

const AT_ONCE = 4; // concurrent requests

// For one report; `user` is given if it belongs to another user.
export function questionOf({ reportName, user, state, submittedAt }) {
  return `${isActive({ state }) ? "Cancel and delete" : "Delete"} ${reportName}${
    user ? ` of ${user}` : ""}, ${stateWord(state).toLowerCase()}, submitted ${
    moment(submittedAt)}? There is no undo.`;
}

function question(count, active) {
  const running = active > 0 ? ` ${active === count ? "All" : active} of them ${
    active === 1 ? "is" : "are"} active and will be cancelled.` : "";

  return `Delete ${counted(count, "report")}?${running} There is no undo.`;
}

// These reports, after a question; null if they are kept. `deleteOne` resolves to the receipt, null
// if it was gone already.
export async function deleteChosen(reports, deleteOne) {
  const count = reports.length, rest = [...reports], failed = [], receipts = [];
  const work = async () => {
    while (rest.length > 0) {
      const receipt = await deleteOne(rest.shift().reference).catch((error) => failed.push(error));

      if (typeof receipt === "string") receipts.push(receipt);
    }
  };

  if (count === 1 ? !await confirmBox(questionOf(reports[0]), "Delete")
    : !await confirmBox(question(count, reports.filter(isActive).length), `Delete ${count}`)) {
    return null;
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failed.length > 0) {
    throw new Error(`${counted(failed.length, "report")} could not be deleted: ${
      failed[0].message}`);
  }
  return { count, receipts };
}

// Reports submitted until now, as queries.
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

// All that match one of the queries, including those that are not shown: the server counts them
// first, and again after the answer, since more may match by then. Null if they are kept.
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

// All matching reports of the user.
export async function deleteMatching(filter, isShown) {
  const queries = queriesOf(filter);

  if (queries === null) return deleteChosen(filter.found, deleteReport);
  const done = await deleteCounted("/Report/List", queries, isShown);

  if (done) await refreshReports();
  return done;
}

// Report what `action` deletes, with the receipt of the server, or the last of several.
export async function deleteAndTell(action) {
  try {
    const done = await action();

    if (!done) return;
    const text = `${counted(done.count, "report")} deleted.`;

    if (done.receipts.length === 0) {
      notify(text);
      return;
    }
    const { keepReceipt, receiptBox } = await import("./receipts.js");

    for (const receipt of done.receipts) keepReceipt(receipt);
    await showDialog(text, receiptBox(done.receipts.at(-1)));
  } catch (error) {
    notifyError(error);
  }
}
