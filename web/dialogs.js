// web/dialogs.js -- what the page asks and tells beside the screen: questions, notices, status.

import { button, el, icon, replace, setText } from "/console/dom.js";

const QUIET = 5000; // between two announcements to screen readers, in milliseconds
const TOLD = 1000; // until a screen reader has taken an announcement
const NOTICE_TIME = 8000;

let announced = 0, pending = null, waiting = "";

// Tell screen readers, politely and at most every 5 s: of several texts the last one is told.
export function announce(text) {
  waiting = text;
  pending ??= setTimeout(() => {
    pending = null;
    announced = Date.now();
    setText(document.getElementById("status"), waiting);
    setTimeout(() => { if (!pending) hush(); }, TOLD);
  }, Math.max(50, announced + QUIET - Date.now()));
}

// What was told or was to be told is forgotten: it may be of a report that is deleted.
export function hush() {
  clearTimeout(pending);
  pending = null;
  setText(document.getElementById("status"), "");
}

// A modal dialog with this title and content; `fill(close)` gives the content. Resolves to what
// close() is given, undefined if it is dismissed.
export function openDialog(title, fill, { className = "", locked = false } = {}) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    let answer;
    const close = (value) => { answer = value; dialog.close(); };
    const heading = el("h2", { id: `dialog-${Math.random().toString(36).slice(2)}` }, title);
    const dialog = el("dialog", { class: className, "aria-labelledby": heading.id, on: {
      cancel: (event) => { if (locked) event.preventDefault(); },
      close: () => {
        dialog.remove();
        giveFocus(before);
        resolve(answer);
      } } });

    replace(dialog, heading, fill(close));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Back to where it was, or as near as it can be.
function giveFocus(before) {
  before?.focus();
  if (document.activeElement === document.body)
    before?.closest("details.menu")?.querySelector("summary").focus();
  if (document.activeElement === document.body) leaveSearch();
}

// The focus goes from a field to the heading, where single keys work.
export function leaveSearch() {
  document.querySelector("#main h1")?.focus();
}

// Those of a screen or of a report that is gone; the question for a login stays.
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog:not(:has(form.login))")) dialog.close();
}

// Ask before something that cannot be undone: `action` is the button's label. Resolves to true or
// false; the button for false has the focus.
export async function confirmBox(question, action) {
  const answer = await openDialog(question, (close) => el("div", { class: "buttons" },
    button("Keep", () => close(false), { autofocus: true }),
    button(action, () => close(true), { look: "danger" })), { className: "question" });

  return answer === true;
}

// Tell of a deletion, and where its receipt is, if there is one.
export function notifyDeleted(text, receipt) {
  notify(receipt ? `${text} The receipt is kept; see ` : text,
    { link: receipt ? el("a", { href: "#/receipts" }, "Receipts") : null });
}

// A line below the header, for a while; with an error, until it is closed. The line.
export function notify(text, { error = false, link = null } = {}) {
  const list = document.getElementById("notices");
  const close = el("button", { type: "button", class: "button only-icon quiet",
    "aria-label": "Close this notice", on: { click: () => notice.remove() } }, icon("close"));
  const notice = el("div", { class: error ? "notice error" : "notice" },
    icon(error ? "error" : "complete"), el("p", {}, text, link), close);

  list.prepend(notice);
  while (list.children.length > 3) list.lastChild.remove();
  if (!error) setTimeout(() => notice.remove(), NOTICE_TIME);
  announce(notice.textContent);
  return notice;
}

// The block that stands in for what could not be loaded.
export function failure(error, again) {
  return el("div", { class: "failure", role: "alert" }, icon("error"),
    el("p", {}, error.message), again ? button("Try again", again) : null);
}
