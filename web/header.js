// web/header.js -- the header: where the user is, number of active reports, theme and user.

import { session } from "./api.js";
import { button, closeOnEscape, el, icon, iconButton, onFrame, replace, setText } from "./dom.js";
import { notify } from "./dialogs.js";
import { watchConnection } from "./events.js";
import { keep, recall } from "./kept.js";
import { showHelp } from "./keys.js";
import { isActive, onReports, reportsKnown } from "./store.js";

const THEME = "reportd-theme";
const THEMES = ["auto", "light", "dark"];
const SCREENS = { reports: "Reports", mine: "Mine", operator: "Operator" };

let drawn = null;   // the header's parts while a user is logged in

function theme() {
  return document.documentElement.dataset.theme;
}

// Before anything is shown.
export function applyTheme(name = recall(THEME)) {
  document.documentElement.dataset.theme = THEMES.includes(name) ? name : "auto";
}

function themeButton() {
  const node = iconButton("", theme(), () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];

    applyTheme(next);
    keep(THEME, next);
    label();
  }, { id: "theme" });
  const label = () => {
    const text = `Theme: ${theme() === "auto" ? "as the system" : theme()}`;

    node.ariaLabel = text;
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
  const menu = el("details.menu", { on: { keydown: closeOnEscape } },
    el("summary.button.quiet", { "aria-label": `User menu of ${session.user}` },
      icon("user"), el("span.user-name", session.user)),
    el("div.menu-items.popup", { on: { click: ({ target }) => {
      if (target.closest(".button")) menu.open = false;
    } } },
    el("p.muted", "Logged in as ", el("b", session.user)),
    el("a.button.quiet", { href: "#/receipts" }, "Receipts"),
    button("Keys and help", showHelp, { look: "quiet" }),
    button("Log out", logOut, { look: "quiet", id: "logout" })));

  return menu;
}

function showActive() {
  if (!drawn) return;
  const count = reportsKnown().filter(isActive).length;
  const limit = session.limits.active ?? null;

  setText(drawn.count, `${count}${limit ? ` of ${limit}` : ""}`);
  drawn.active.classList.toggle("busy", count > 0);
}

// Make it again: for the user who is logged in, or for none.
export function drawHeader() {
  const header = document.getElementById("header");
  const brand = el("a.brand", { href: "#/reports" }, "reportd");

  drawn = null;
  if (session.user === null) {
    replace(header, brand, el("span.space"), themeButton());
    return;
  }
  const screens = Object.entries(SCREENS)
    .filter(([path]) => session.operator || path !== "operator");
  const count = el("span");

  drawn = {
    count,
    active: el("a.active", { href: "#/mine?state=active" }, el("span.word", "Active"), " ", count),
    offline: el("span.offline", { hidden: true }, icon("error"), "Reconnecting…"),
    links: screens.map(([path, title]) => [path, el("a", { href: `#/${path}` }, title)]),
  };
  replace(header, brand,
    el("nav", { "aria-label": "Screens" }, drawn.links.map(([, link]) => link)),
    el("span.space"), drawn.offline, drawn.active, themeButton(), userMenu());
  showActive();
}

// Mark the current screen.
export function markScreen(screen) {
  for (const [path, link] of drawn?.links ?? []) {
    link.ariaCurrent = path === screen ? "page" : null;
  }
}

onReports(onFrame(showActive));
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
