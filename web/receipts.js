// web/receipts.js -- the receipts of deletions: shown, kept in this browser, offered as a file.

import { announce, heading } from "/console/app.js";
import { session } from "/console/api.js";
import { button, el, replace } from "/console/dom.js";
import { counted, moment } from "/console/format.js";

const KEY = "reportd-receipts"; // in localStorage: the receipts, one per line, the latest last
const KEPT_MAX = 1000;

const NAMES = { reference: "Report", referencesSha256: "SHA-256 of the references", sub: "User",
  state: "It was", iat: "Deleted", erasedBy: "Erased by", node: "Server" };
const TIMES = ["iat", "erasedBy"];

function claimsOf(receipt) {
  try {
    const text = atob(receipt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));

    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));

    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

// The user's own, of all that this browser keeps.
function keptReceipts() {
  const all = (localStorage.getItem(KEY) ?? "").split("\n").filter(Boolean);

  return all.filter((receipt) => claimsOf(receipt).sub === session.user);
}

// Keep a receipt in this browser, as the server does not keep it.
export function keepReceipt(receipt) {
  const all = (localStorage.getItem(KEY) ?? "").split("\n").filter(Boolean);

  if (all.includes(receipt)) return;
  localStorage.setItem(KEY, [...all, receipt].slice(-KEPT_MAX).join("\n"));
}

function saveFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/jose" }));

  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function valueOf(name, value) {
  if (TIMES.includes(name)) return moment(value * 1000);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// What a receipt says, the receipt itself, and a button that saves it.
export function receiptBox(receipt) {
  const claims = claimsOf(receipt), kept = keptReceipts(), earlier = kept.length - 1;

  return el("section", { class: "receipt", "aria-label": "Receipt" },
    el("dl", {}, Object.entries(claims).map(([name, value]) => (
      [el("dt", {}, NAMES[name] ?? name), el("dd", {}, valueOf(name, value))]))),
    el("pre", { class: "jws", tabindex: "0", "aria-label": "The receipt as the server signed it" },
      receipt),
    el("p", {}, "The server signs that the report is deleted, and keeps no copy of this receipt. " +
      `It is kept in this browser${earlier > 0 ? `, with ${counted(earlier, "earlier one")}` : ""}; ` +
      "save it as a file to keep it elsewhere. `reportd receipt` checks it."),
    el("div", { class: "buttons" },
      button("Save the receipt", () => (
        saveFile(`receipt-${claims.reference ?? claims.iat}.jws`, receipt))),
      earlier > 0 ? button(`Save all ${kept.length}`, () => (
        saveFile("receipts.jws", `${kept.join("\n")}\n`))) : null));
}

// In place of a screen whose report has just been deleted.
export function receiptScreen(main, receipt) {
  const title = heading("Deleted");

  keepReceipt(receipt);
  replace(main, el("div", { class: "result" }, title,
    el("p", {}, "The report is deleted: its result, its parameters and its history."),
    receiptBox(receipt),
    el("p", {}, el("a", { class: "button", href: "#/mine" }, "My reports"), " ",
      el("a", { class: "button", href: "#/reports" }, "Run a report"))));
  title.focus();
  announce("Deleted");
}
