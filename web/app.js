// web/app.js -- the shell: it finds the screen for the address, shows it, and leaves it.

import { REACHED, session } from "./api.js";
import { closeDialogs, failure } from "./dialogs.js";
import { el, focusHeading, replace } from "./dom.js";
import * as events from "./events.js";
import { applyTheme, drawHeader, markScreen } from "./header.js";
import { startKeys } from "./keys.js";
import { prepare } from "./reports.js";

// The first part of the path → the module with its `show(main, route)`.
const SCREENS = {
  login: "login", reports: "reports", new: "form", run: "run", result: "result", mine: "mine",
  receipts: "receipts", operator: "operator",
};
const HOME = "#/reports";

const main = document.getElementById("main");
let leave = null;   // called when the current screen is left
let shown = 0;      // counts screens: what loads slowly does not overwrite a later one
let address = "";   // the hash of the screen that is shown

function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);

  return { path: path.split("/").map(decode), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// The reference in an address; without one, what no report has.
export const referenceIn = ({ path }) => (path[1] || "none").toLowerCase();

// Go to a screen, and wait until it is shown; with `replacing`, Back does not come here again.
export function go(hash, { replacing = false } = {}) {
  if (replacing) history.replaceState(null, "", hash);
  else if (hash !== location.hash) history.pushState(null, "", hash);
  return open();
}

// Keep this state of the screen in the address, without a new screen.
export function setQuery(query) {
  const text = new URLSearchParams(query).toString();
  const path = location.hash.split("?")[0];

  address = text ? `${path}?${text}` : path;
  history.replaceState(null, "", address || HOME);
}

// The heading of a screen, which the focus goes to, and the title of the window.
export function heading(text, ...more) {
  document.title = `${text} · reportd`;
  return el("h1", { tabindex: "-1" }, text, ...more);
}

// A screen with one message, and where to go from there: a first button is `action`.
export function showMessage(main, title, text, { content, action } = {}) {
  replace(main, heading(title), el("p.lead.muted.gone", text), content, el("div.buttons", action,
    el("a.button", { href: "#/reports" }, "All reports"),
    el("a.button", { href: "#/mine" }, "My reports")));
  focusHeading();
}

// Where the user is: the screens above this one, as pairs of an address and a name.
export function trail(...above) {
  return el("nav.trail.muted", { "aria-label": "Where you are" },
    [["#/reports", "Reports"], ...above].map(([href, name], i) => (
      [i > 0 && el("span", { "aria-hidden": "true" }, "/"), el("a", { href }, name)])));
}

async function open() {
  const turn = ++shown;
  const route = parse(location.hash.slice(2) ? location.hash : HOME);
  const name = session.user === null ? "login" : route.path[0];

  if (session.user !== null && name === "login") {
    go(HOME, { replacing: true });
    return;
  }
  address = location.hash;
  leave?.();
  leave = null;
  closeDialogs();
  markScreen(name);
  main.ariaBusy = true;
  try {
    if (!Object.hasOwn(SCREENS, name)) throw new Error("There is no such screen.");
    const screen = await import(`/console/${SCREENS[name]}.js`);

    if (turn !== shown) return;
    window.scrollTo(0, 0);
    const left = await screen.show(main, route);

    if (turn !== shown) left?.();
    else leave = left ?? null;
  } catch (error) {
    if (turn === shown) replace(main, heading("Not available"), failure(error, open));
    if (error.passing) {
      window.addEventListener(REACHED, () => { if (turn === shown) open(); }, { once: true });
    }
  }
  if (turn !== shown) return;
  main.ariaBusy = null;
  // A screen that has set the focus keeps it.
  if (!main.contains(document.activeElement)) focusHeading();
}

function onEnd(why) {
  if (why === "expired") import("./login.js").then((login) => login.ask());
}

// After a login: the previous screen, or the first one.
export function entered() {
  drawHeader();
  events.start();
  if (!location.hash || location.hash.startsWith("#/login")) go(HOME, { replacing: true });
  else open();
}

function isHome() {
  return /^(#\/reports\b.*)?$/.test(location.hash);
}

async function begin() {
  try {
    if (await session.restore(isHome() ? prepare : null)) {
      entered();
      return;
    }
    drawHeader();
    open();
  } catch (error) {
    drawHeader();
    replace(main, heading("Not available"), failure(error, begin));
  }
}

applyTheme();
startKeys(go);
session.onEnd(onEnd);
window.addEventListener("hashchange", () => { if (location.hash !== address) open(); });
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  (main.querySelector("h1") ?? main).focus();
});
begin();
