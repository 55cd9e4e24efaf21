// web/keys.js -- the keyboard: moving in lists, and what a key does on the screen that is shown.

import { openDialog } from "/console/dialogs.js";
import { button, el } from "/console/dom.js";
import { keep, recall } from "/console/kept.js";

// What the help shows; the screens mark with data-key what a key presses.
const HELP = [
  ["/", "Search"],
  ["n", "New report: the form of the selected type, or the list of types"],
  ["j  k", "Next, previous in the list"],
  ["Enter", "Open"],
  ["x", "Cancel the report, or delete it if it has ended"],
  ["r", "Run again with the same parameters"],
  ["?", "This help"],
];
const SETTING = "reportd-keys";

let go = () => {};

function isOn() {
  return recall(SETTING) !== "off";
}

function rows() {
  return [...document.querySelectorAll("#main [data-row]")].filter((row) => !row.hidden);
}

// The row that has the focus or, after it was left, was the last to have it.
function currentRow() {
  return document.activeElement?.closest?.("[data-row]") ??
    document.querySelector("#main .current");
}

function move(step) {
  const list = rows(), now = list.indexOf(currentRow());
  const next = list[Math.min(Math.max(now + step, 0), list.length - 1)];

  if (!next) return;
  (next.querySelector("[data-open]") ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

// What is marked for this key in the current row, else on the screen outside of rows.
function press(key) {
  const inRow = currentRow()?.querySelector(`[data-key~="${key}"]`);
  const onScreen = [...document.querySelectorAll(`#main [data-key~="${key}"]`)]
    .find((node) => !node.closest("[data-row]"));
  const node = inRow ?? onScreen;

  if (!node || node.disabled || node.hidden) return false;
  node.click();
  return true;
}

const ACTIONS = {
  "/": () => {
    const search = document.querySelector("#main [data-search]");

    if (search) search.select?.();
    if (search) search.focus();
    else go("#/reports?focus=search");
  },
  n: () => { if (!press("n")) go("#/reports?focus=search"); },
  j: () => move(1),
  k: () => move(-1),
  x: () => press("x"),
  r: () => press("r"),
  "?": () => showHelp(),
};

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, " +
    "[contenteditable], [role=combobox], [data-keys=own]");
}

// Start listening; `open` goes to a screen.
export function startKeys(open) {
  go = open;
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("[data-row]");

    if (!row) return;
    document.querySelector("#main .current")?.classList.remove("current");
    row.classList.add("current");
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !isOn()) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (!Object.hasOwn(ACTIONS, event.key)) return;
    event.preventDefault();
    ACTIONS[event.key]();
  });
}

export function showHelp() {
  const keys = HELP.map(([key, what]) => [
    el("dt", {}, key.split("  ").map((one) => el("kbd", {}, one))), el("dd", {}, what)]);
  const setting = el("input", { type: "checkbox", id: "keys-on", checked: isOn(), on: {
    change: () => keep(SETTING, setting.checked ? "on" : "off") } });

  return openDialog("Keys and help", (close) => [
    el("dl", { class: "keys" }, keys),
    el("p", { class: "check" }, setting, el("label", { for: "keys-on" }, "Use these single keys")),
    el("p", { class: "muted" }, "Reports are kept for a limited time after they finish, then the " +
      "server deletes them. Delete works at any moment, also while a report runs, and cannot be " +
      "undone. The same is done by ", el("code", {}, "reportctl"), " and by the ",
    el("a", { href: "/openapi.json", target: "_blank", rel: "noopener" }, "API"), "."),
    el("div", { class: "buttons" }, button("Close", () => close(), { look: "primary",
      autofocus: true })),
  ], { className: "help" });
}
