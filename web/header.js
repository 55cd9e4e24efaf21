// web/header.js -- the header: where one is, how many reports are active, theme and user.

import { session } from "/console/api.js";
import { button, el, icon, replace, setText } from "/console/dom.js";
import { notify } from "/console/dialogs.js";
import { watchConnection } from "/console/events.js";
import { keep, recall } from "/console/kept.js";
import { showHelp } from "/console/keys.js";
import { isActive, onReports, reportsKnown } from "/console/store.js";

const THEME = "reportd-theme";
const THEMES = ["auto", "light", "dark"];
const SCREENS = [["reports", "Reports"], ["mine", "Mine"]];
const FOR_OPERATORS = ["operator", "Operator"];

let drawn = null;   // the header's parts while somebody is logged in
let scheduled = false;

function theme() {
  return document.documentElement.dataset.theme;
}

// Before anything is shown.
export function applyTheme(name = recall(THEME)) {
  document.documentElement.dataset.theme = THEMES.includes(name) ? name : "auto";
}

function themeButton() {
  const node = el("button", { type: "button", class: "button only-icon quiet", id: "theme",
    on: { click: () => {
      const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];

      applyTheme(next);
      keep(THEME, next);
      label();
    } } });
  const label = () => {
    const text = `Theme: ${theme() === "auto" ? "as the system" : theme()}`;

    node.setAttribute("aria-label", text);
    node.title = text;
    replace(node, icon(theme()));
  };

  label();
  return node;
}

async function logOut() {
  try {
    await session.logout();
  } catch (error) {
    notify(`You are still logged in. ${error.message}`, { error: true });
  }
}

function userMenu() {
  const menu = el("details", { class: "menu" },
    el("summary", { class: "button quiet", "aria-label": `User menu of ${session.user}` },
      icon("user"), el("span", { class: "user-name" }, session.user)),
    el("div", { class: "menu-items" },
      el("p", { class: "muted" }, "Logged in as ", el("b", {}, session.user)),
      el("a", { class: "button quiet", href: "#/receipts",
        on: { click: () => { menu.open = false; } } }, "Receipts"),
      button("Keys and help", () => { menu.open = false; showHelp(); }, { look: "quiet" }),
      button("Log out", () => { menu.open = false; logOut(); }, { look: "quiet", id: "logout" })));

  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  return menu;
}

function showActive() {
  scheduled = false;
  if (!drawn) return;
  const count = reportsKnown().filter(isActive).length;
  const limit = session.limits.active ?? null;

  setText(drawn.count, `${count}${limit ? ` of ${limit}` : ""}`);
  drawn.active.classList.toggle("busy", count > 0);
}

// Make it again: for the user who is logged in, or for nobody.
export function drawHeader() {
  const header = document.getElementById("header");
  const brand = el("a", { class: "brand", href: "#/reports" }, "reportd");

  drawn = null;
  if (session.user === null) {
    replace(header, brand, el("span", { class: "space" }), themeButton());
    return;
  }
  drawn = {
    active: el("a", { class: "active", href: "#/mine?state=active" },
      el("span", { class: "word" }, "Active"), " "),
    count: el("span"),
    offline: el("span", { class: "offline", hidden: true }, icon("error"), "Reconnecting…"),
    links: new Map([...SCREENS, ...(session.operator ? [FOR_OPERATORS] : [])].map(([path, title]) => [path, el("a", { href: `#/${path}` }, title)])),
  };
  replace(header, brand, el("nav", { "aria-label": "Screens" }, [...drawn.links.values()]),
    el("span", { class: "space" }), drawn.offline, drawn.active, themeButton(), userMenu());
  drawn.active.append(drawn.count);
  showActive();
}

// Mark where one is.
export function markScreen(screen) {
  for (const [path, link] of drawn?.links ?? []) {
    if (path === screen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

onReports(() => {
  if (!scheduled) requestAnimationFrame(showActive);
  scheduled = true;
});
watchConnection((on, why) => {
  if (!drawn) return;
  drawn.offline.hidden = on;
  setText(drawn.offline.lastChild,
    why === 429 ? "Not live: too many pages are open" : "Reconnecting…");
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
