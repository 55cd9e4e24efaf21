// web/dialogs.js -- what the page asks and reports beside the screen: questions, notices, status.

import { button, el, focusHeading, icon, iconButton, replace, setText } from "./dom.js";

const QUIET = 5000; // between two announcements to screen readers, in milliseconds
const TOLD = 1000; // until a screen reader has taken an announcement
const NOTICE_TIME = 8000;

let announced = 0, pending = null, waiting = "";

// Announce to screen readers, politely and at most every 5 s: of several texts the last one.
export function announce(text) {
  waiting = text;
  pending ??= setTimeout(() => {
    pending = null;
    announced = Date.now();
    setText(document.getElementById("status"), waiting);
    setTimeout(() => { if (!pending) hush(); }, TOLD);
  }, Math.max(50, announced + QUIET - Date.now()));
}

// Announcements are dropped: they may be about a report that is deleted.
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

// The focus returns to where it was, or as near as possible.
function giveFocus(before) {
  before?.focus();
  if (document.activeElement === document.body)
    before?.closest("details.menu")?.querySelector("summary").focus();
  if (document.activeElement === document.body) focusHeading();
}

// Dialogs of a screen or of a report that is gone; the question for a login stays.
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog:not(:has(form.login))")) dialog.close();
}

// A dialog that shows something and is closed by a button. With `action`, the label of a button for
// something that cannot be undone, it resolves to true if that is pressed.
export async function showDialog(title, content, { className, action, keep = "Close" } = {}) {
  const answer = await openDialog(title, (close) => [content, el("div.buttons",
    button(keep, () => close(), { autofocus: true }),
    action && button(action, () => close(true), { look: "danger" }))], { className });

  return answer === true;
}

// Ask before something that cannot be undone: `action` is the button's label.
export function confirmBox(question, action) {
  return showDialog(question, null, { action, keep: "Keep" });
}

// Report a deletion, and where its receipt is, if there is one.
export function notifyDeleted(text, receipt) {
  notify(receipt ? `${text} The receipt is kept; see ` : text,
    { link: receipt && el("a", { href: "#/receipts" }, "Receipts") });
}

// Report why something was not done.
export function notifyError({ message }) {
  notify(message, { error: true });
}

// A line below the header, for a while; an error stays until it is closed. Returns the line.
export function notify(text, { error = false, link = null } = {}) {
  const list = document.getElementById("notices");
  const notice = el("div", { class: error ? "notice error" : "notice" },
    icon(error ? "error" : "complete"), el("p", text, link),
    iconButton("Close this notice", "close", () => notice.remove()));

  list.prepend(notice);
  while (list.children.length > 3) list.lastChild.remove();
  if (!error) setTimeout(() => notice.remove(), NOTICE_TIME);
  announce(notice.textContent);
  return notice;
}

// The block that replaces what could not be loaded.
export function failure(error, again) {
  return el("div.failure", { role: "alert" }, icon("error"),
    el("p", error.message), again && button("Try again", again));
}
