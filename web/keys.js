// web/keys.js -- the keyboard: moving in lists, and what a key does on the screen that is shown.

import { showDialog } from "./dialogs.js";
import { el } from "./dom.js";
import { keep, recall } from "./kept.js";

// What each key does, and its help; the screens mark with data-key what it presses.
const KEYS = {
  "/": ["Search", () => {
    const search = document.querySelector("#main [data-search]");

    search?.focus();
    search?.select();
    if (!search) go("#/reports?focus=search");
  }],
  n: ["New report: the form of the selected type, or the list of types",
    () => { if (!press("n")) go("#/reports?focus=search"); }],
  j: ["Next in the list", () => move(1)],
  k: ["Previous in the list", () => move(-1)],
  Enter: ["Open"],
  x: ["Cancel the report, or delete it if it has ended", () => press("x")],
  r: ["Run again with the same parameters", () => press("r")],
  "?": ["This help", () => showHelp()],
};
const SETTING = "reportd-keys";

let go = () => {};

function isOn() {
  return recall(SETTING) !== "off";
}

function rows() {
  return [...document.querySelectorAll("#main [data-row]")].filter((row) => !row.hidden);
}

// The row that has the focus, or was the last to have it.
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

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]), select");
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
    const [, action] = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : [];

    if (!action) return;
    event.preventDefault();
    action();
  });
}

export function showHelp() {
  const keys = Object.entries(KEYS).map(([key, [what]]) => [
    el("dt", el("kbd", key)), el("dd", what)]);
  const setting = el("input", { type: "checkbox", id: "keys-on", checked: isOn(), on: {
    change: () => keep(SETTING, setting.checked ? "on" : "off") } });

  return showDialog("Keys and help", [el("dl.pairs.keys", keys),
    el("p.check", setting, el("label", { for: "keys-on" }, "Use these single keys")),
    el("p.muted", "Reports are kept for a limited time after they finish, then the " +
      "server deletes them. Delete works at any moment, also while a report runs, and cannot be " +
      "undone. The same is done by ", el("code", "reportctl"), " and by the ",
    el("a", { href: "/openapi.json", target: "_blank", rel: "noopener" }, "API"), ".")]);
}
