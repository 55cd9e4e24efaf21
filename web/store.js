// web/store.js -- what the page knows of the user's reports: the list, kept up to date by events.

import { ApiError, call, send, serverNow } from "./api.js";
import { hush } from "./dialogs.js";
import { follow, tell, watchConnection } from "./events.js";

export const STORE_MOST = 5000; // reports that are read; the list says if there are more
const PAGE_MOST = 1000, REFRESH = 1500;

const reports = new Map();      // reference → as in /Report/List, updated by events
const parameters = new Map();   // reference → its parameters, if known
const asked = new Set();        // references that were requested and not deleted since
const followers = new Set();
let order = [];                 // references, newest first
let total = 0;                  // on the server, when the list was last read
let depth = 0;                  // how many of them have been read
let gone = null;                // deleted while a list is being read; null while none is
let refreshTimer = 0;
let loading = Promise.resolve();
let reading = 0;                // as many as are being read; 0: none

// All that is known, newest first.
export function reportsKnown() {
  return order.map((reference) => reports.get(reference));
}

export function reportKnown(reference) {
  return reports.get(reference) ?? null;
}

// How many there are on the server beyond those known.
export function reportsBeyond() {
  return Math.max(0, total - Math.max(depth, reports.size));
}

// Its parameters; null if they are unknown, or long.
export function parametersKnown(reference) {
  return parameters.get(reference) ?? null;
}

export function isActive(report) {
  return report.state === "queued" || report.state === "processing";
}

// callback(reference) after a change of one report, callback(null) after the list was read again.
export function onReports(callback) {
  followers.add(callback);
  return () => followers.delete(callback);
}

function changed(reference) {
  for (const callback of followers) callback(reference);
}

// ---- the list ----

// Have the newest `most` reports; read only if fewer are known.
export async function loadReports(most) {
  if (reading >= most) await loading;
  if (depth < most && (depth === 0 || depth < total)) await readList(most);
}

// Read again what has been read.
export function refreshReports() {
  return readList(Math.max(depth, 200));
}

// One reading at a time: a second one begins where the first has ended.
function readList(most) {
  const next = loading.then(() => readPages(most)).finally(() => { reading = 0; });

  reading = Math.max(reading, most);
  loading = next.catch(() => {});
  return next;
}

async function readPages(most) {
  const began = Date.now(), before = [...order], seen = [];
  const size = Math.min(most, PAGE_MOST);

  gone = new Set();
  try {
    for (let page = 1; seen.length < most; page++) {
      const { data } = await call("GET", "/Report/List",
        { query: { PageNumber: page, PageSize: size } });

      for (const report of data.reports) {
        if (mergeListed(report, began)) seen.push(report.reference);
      }
      total = data.totalCount;
      if (data.reports.length < size) break;
    }
    settle(before, seen);
    depth = Math.max(depth, seen.length, 1);
  } finally {
    gone = null;
  }
  changed(null);
}

// The content of the list, unless an event was newer.
function mergeListed({ parameters: values, ...listed }, began) {
  const own = reports.get(listed.reference);

  if (gone?.has(listed.reference)) return false;
  if (values) parameters.set(listed.reference, values);
  if (own && own.told > began) {
    const { state, rows, bytes, message } = own;

    Object.assign(own, listed, { state, rows, bytes, message });
  } else {
    reports.set(listed.reference, Object.assign(own ?? { position: 0, told: 0 }, listed));
  }
  return true;
}

// The order of the list. A report known before, as new as those in the list, but not in it, was
// deleted meanwhile.
function settle(before, seen) {
  const listed = new Set(seen), known = new Set(before);
  const oldest = seen.length > 0 ? reports.get(seen.at(-1)).submittedAt : "";
  const complete = seen.length >= total;
  const fresh = order.filter((reference) => !known.has(reference) && !listed.has(reference));
  const older = [];

  for (const reference of before) {
    if (listed.has(reference) || !reports.has(reference)) continue;
    if (complete || reports.get(reference).submittedAt > oldest) forget(reference);
    else older.push(reference);
  }
  order = [...fresh, ...seen, ...older].filter((reference) => reports.has(reference));
}

// Times of what has ended are only in the list; many ends are one reading.
function refreshSoon() {
  if (depth === 0 || refreshTimer) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = 0;
    readList(Math.min(Math.max(depth, 200), PAGE_MOST)).catch(() => {});
  }, REFRESH);
}

// ---- events ----

function forget(reference) {
  if (reports.delete(reference)) hush();
  parameters.delete(reference);
  asked.delete(reference);
  gone?.add(reference);
}

follow((event) => {
  const { reference, state } = event;

  if (state === "deleted") {
    forget(reference);
    order = order.filter((other) => other !== reference);
    total = Math.max(0, total - 1);
  } else {
    takeEvent(event);
  }
  changed(reference);
});

function takeEvent({ reference, reportName, state, rows, bytes, position, message }) {
  const now = new Date(serverNow()).toISOString();
  const own = reports.get(reference) ?? { reference, reportName, submittedAt: now,
    startedAt: null, finishedAt: null, expiresAt: null, position: 0 };
  const moved = own.state !== state;

  if (!reports.has(reference)) {
    reports.set(reference, own);
    order.unshift(reference);
    total++;
    refreshSoon();
  }
  if (state === "queued") own.firstPosition = Math.max(own.firstPosition ?? 0, position);
  Object.assign(own, { state, rows, bytes, position, message, told: Date.now() });
  if (moved && state === "processing") own.startedAt = now;
  if (moved && !isActive(own)) {
    own.finishedAt ??= now;
    refreshSoon();
  }
}

let connected = false;

watchConnection((on) => {
  if (on && connected) refreshReports().catch(() => {}); // something may have been missed
  connected = true; // or it was tried in vain
});

// While a screen shows this one: a missed deletion is reported once the stream has begun. Returns
// what ends it.
export function watchReport(reference) {
  return watchConnection(async (on) => {
    const { status } = on ? await send("HEAD", "/Report/Status", { query: { reference } })
      .catch(() => ({})) : {};

    if (status === 404) tell({ reference, state: "deleted" });
  });
}

// ---- actions on reports ----

let typesAsked = null;

// The types that the user may run. Concurrent requests share one answer.
export function reportTypes() {
  typesAsked ??= call("GET", "/Report/Types").then(({ data }) => data)
    .finally(() => { typesAsked = null; });
  return typesAsked;
}

// Submit one; the same key never makes a second report. The reference, or ApiError.
export async function submitReport(name, values, key) {
  const { data: reference } = await call("POST", "/Report", { headers: { "Idempotency-Key": key },
    body: { reportName: name, parameters: values } });

  parameters.set(reference, values);
  if (!reports.has(reference)) {
    tell({ reference, reportName: name, state: "queued", rows: 0, bytes: 0, position: 0,
      message: null });
  }
  return reference;
}

// A key for submitReport(), also where the browser has no randomUUID.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Delete one, in any state; an operator deletes those of all users by another path. Its receipt,
// which is kept; null if it was gone already.
export async function deleteReport(reference, path = "/Report") {
  let receipt = null;

  try {
    const { headers } = await call("DELETE", path, { query: { reference } });

    receipt = headers.get("X-Deletion-Receipt");
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  if (path === "/Report" || reports.has(reference)) tell({ reference, state: "deleted" });
  if (receipt) (await import("./receipts.js")).keepReceipt(receipt);
  return receipt;
}

// Get this one, from the server if necessary, with its parameters. ApiError 404: there is none.
export async function findReport(reference) {
  if (reports.has(reference) && parameters.has(reference)) return reports.get(reference);
  asked.add(reference);
  const began = Date.now();
  const { data } = await call("GET", "/Report/List", { query: { Reference: reference } });

  if (!asked.has(reference)) throw new ApiError(404, "The report has been deleted.");
  mergeListed(data.reports[0], began);
  if (!order.includes(reference)) {
    order.push(reference);
    order.sort((a, b) => reports.get(b).submittedAt.localeCompare(reports.get(a).submittedAt));
  }
  return reports.get(reference);
}

// Its parameters.
export async function parametersOf(reference) {
  await findReport(reference);
  return parameters.get(reference) ?? {};
}
