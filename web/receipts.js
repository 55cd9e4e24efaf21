// web/receipts.js -- the receipts of deletions: shown, kept in this browser, offered as a file.

import { claimsOf, session } from "./api.js";
import { heading, showMessage } from "./app.js";
import { announce } from "./dialogs.js";
import { button, el, factList, replace } from "./dom.js";
import { counted, moment, number, stateWord } from "./format.js";
import { keep, recall } from "./kept.js";

const KEY = "reportd-receipts"; // in localStorage: the receipts, one per line, the latest last
const KEPT_MAX = 1000;

const NAMES = { reference: "Report", referencesSha256: "SHA-256 of the references", sub: "User",
  operator: "Deleted by", state: "It was", iat: "Deleted",
  erasedBy: "To be erased before", node: "Server", deleted: "Reports" };
const TIMES = ["iat", "erasedBy"];

function allReceipts() {
  return (recall(KEY) ?? "").split("\n").filter(Boolean);
}

// Of all that this browser keeps: what the user has deleted, also as an operator.
function keptReceipts() {
  return allReceipts().filter((receipt) => {
    const { sub, operator } = claimsOf(receipt);

    return (operator ?? sub) === session.user;
  });
}

// Keep a receipt in this browser, as the server does not keep it.
export function keepReceipt(receipt) {
  const all = allReceipts();

  if (all.includes(receipt)) return;
  keep(KEY, [...all, receipt].slice(-KEPT_MAX).join("\n"));
}

function saveFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/jose" }));

  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function valueOf(name, value) {
  if (TIMES.includes(name)) return moment(value * 1000);
  if (name === "state") return stateWord(value).toLowerCase();
  if (typeof value !== "object") return String(value);
  return Object.entries(value).filter(([, count]) => count > 0)
    .map(([state, count]) => `${number(count)} ${stateWord(state).toLowerCase()}`).join(", ");
}

// What a receipt says, and the receipt itself.
function contentOf(receipt) {
  return [factList(Object.entries(claimsOf(receipt))
    .map(([name, value]) => [NAMES[name] ?? name, valueOf(name, value)])),
  el("pre.jws", { tabindex: "0", "aria-label": "The receipt as the server signed it" }, receipt)];
}

function saveButton(label, receipt) {
  const { reference, iat } = claimsOf(receipt);

  return button(label, () => saveFile(`receipt-${reference ?? iat}.jws`, receipt));
}

function saveAll(kept) {
  return button(`Save all ${kept.length}`, () => (
    saveFile("receipts.jws", `${kept.join("\n")}\n`)));
}

// What a receipt says, the receipt itself, and a button that saves it.
export function receiptBox(receipt) {
  const kept = keptReceipts(), earlier = kept.length - 1;

  return el("section.receipt", { "aria-label": "Receipt" }, contentOf(receipt),
    el("p", "The server signs that the report is deleted, and keeps no copy of this receipt. " +
      (!kept.includes(receipt) ? "This browser could not keep it either: save it as a file. "
        : `It is kept in this browser${earlier > 0 ? `, with ${counted(earlier, "earlier one")}`
          : ""}; save it as a file to keep it elsewhere. `),
    el("code", "reportd receipt"), " checks it."),
    el("div.buttons", saveButton("Save the receipt", receipt), earlier > 0 ? saveAll(kept) : null));
}

// The screen Receipts: all that this browser keeps for the user, the newest first.
export async function show(main) {
  const kept = keptReceipts();

  replace(main, el("div.head", heading("Receipts"), kept.length > 0 ? saveAll(kept) : null),
  el("p.lead.muted", kept.length > 0
    ? "The receipts of your deletions, kept in this browser only: the server keeps no copy."
    : "This browser keeps none yet. Delete or cancel a report: its receipt is then here."),
  [...kept].reverse().map(keptRow));
}

function keptRow(receipt) {
  const { iat, reference, state, deleted } = claimsOf(receipt);
  const what = state ? valueOf("state", state) : valueOf("deleted", deleted ?? {});
  const box = el("div");

  return el("div.panel.receipt.kept", el("details", { on: { toggle: () => {
      if (!box.firstChild) replace(box, contentOf(receipt));
    } } }, el("summary", `${moment(iat * 1000)} · ${what} · `,
      el("span.mono", reference ?? "several reports")), box),
    saveButton("Save", receipt));
}

// In place of a screen whose report has just been deleted.
export function receiptScreen(main, receipt) {
  keepReceipt(receipt);
  showMessage(main, "Deleted", "The report is deleted: its result, its parameters and its history.",
    { content: receiptBox(receipt) });
  announce("Deleted");
}
