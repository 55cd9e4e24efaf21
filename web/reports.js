// web/reports.js -- the screen Reports: the types that the user may run, and the last run of each.

import { serverNow } from "./api.js";
import { go, heading, setQuery } from "./app.js";
import { notifyError } from "./dialogs.js";
import { button, el, every, icon, onFrame, replace, searchBox, setText } from "./dom.js";
import { ago, counted, stateWord } from "./format.js";
import { loadReports, newKey, onReports, parametersOf, reportTypes, reportsKnown, submitReport }
  from "./store.js";

const LOOK_BACK = 200; // reports in which the last run of each type is looked for

// Ask for what the screen shows, before it is known that it will be shown.
export function prepare() {
  return Promise.allSettled([reportTypes(), loadReports(LOOK_BACK)]);
}

// The address of a form that is filled in.
export function formAddress(name, values = {}) {
  const query = new URLSearchParams(values).toString();

  return `#/new/${encodeURIComponent(name)}${query ? `?${query}` : ""}`;
}

// The best address for a report.
export function reportAddress(report) {
  return `#/${report.state === "complete" ? "result" : "run"}/${report.reference}`;
}

// A state by icon, word and colour.
export function stateLabel(state) {
  return el(`span.state.state-${state}`, icon(state), stateWord(state));
}

// The buttons for a report that has ended: `values` are what it was run with, as pairs.
export function endedButtons(report, values, remove, look) {
  return [formLink(formAddress(report.reportName, values), "n", look),
    button("Run again", () => runAgain(report), { sign: "rerun", "data-key": "r" }),
    button("Delete", remove, { sign: "remove", look: "danger", "data-key": "x" })];
}

export function formLink(href, keys, look = "") {
  return el("a", { href, class: `button ${look}`, "data-key": keys }, "Change and run again");
}

let rerunning = false; // until the new run is on the screen

// Run a report once more, once however often it is pressed; if it is not accepted, show the form.
export async function runAgain(report) {
  let values = null;

  if (rerunning) return;
  rerunning = true;
  try {
    values = await parametersOf(report.reference);
    await go(`#/run/${await submitReport(report.reportName, values, newKey())}`);
  } catch (error) {
    if (values && (error.status === 429 || error.status === 422)) {
      await go(formAddress(report.reportName, values));
    }
    notifyError(error);
  } finally {
    rerunning = false;
  }
}

function lastText(report) {
  const when = ago(serverNow() - Date.parse(report.submittedAt));

  return report.state === "complete" || report.rows > 0
    ? `${counted(report.rows, "row")} · ${when}` : when;
}

class TypeRow {
  constructor(type) {
    const count = type.parameters.length;

    this.type = type;
    const names = type.parameters.map((one) => one.name);

    this.words = [type, ...type.parameters].map(({ name, description }) => `${name} ${
      description ?? ""}`).join(" ").toLowerCase();
    this.text = el("span.muted.number");
    this.last = el("div.type-last");
    this.again = button("Re-run", () => runAgain(this.report), { sign: "rerun", "data-key": "r",
      "aria-label": `Re-run ${type.name}`, hidden: true });
    this.node = el("li.type", { "data-row": true }, el("div.type-what",
        el("h2", el("a", { href: formAddress(type.name), "data-open": true }, type.name)),
        el("p.muted", type.description ?? ""),
        el("p.muted.small", count === 0 ? "No parameters"
          : `${counted(count, "parameter")}: ${names.join(", ")}`)),
      this.last,
      el("div.buttons.type-buttons", this.again,
        el("a.button.primary", { href: formAddress(type.name), "data-key": "n",
          "aria-label": `Run ${type.name}` }, icon("run"), "Run")));
    this.show(undefined);
  }

  // What does not change stays in place, so that a link keeps its focus.
  show(report) {
    const shown = report ? `${report.reference} ${report.state}` : "";

    this.report = report;
    this.again.hidden = !report;
    if (report) setText(this.text, lastText(report));
    if (shown === this.shown) return;
    this.shown = shown;
    replace(this.last, report ? el("a", { href: reportAddress(report), class: "last-run" },
      el("span.unseen", "Last run: "), stateLabel(report.state), this.text)
      : el("span.muted", "Not run lately"));
  }
}

export async function show(main, route) {
  const [types] = await Promise.all([reportTypes(), loadReports(LOOK_BACK)]);
  const rows = types.map((type) => new TypeRow(type));
  const list = el("ul.panel.types", rows.map((row) => row.node));
  const none = el("p.panel.empty", { hidden: true });
  const filter = (query) => {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);

    for (const row of rows) row.node.hidden = !words.every((word) => row.words.includes(word));
    list.hidden = rows.every((row) => row.node.hidden);
    none.hidden = !list.hidden;
    setText(none, rows.length === 0
      ? "You may not run any report yet: ask the operator for a grant."
      : "No report has these words in its name, description or parameters.");
  };
  const search = searchBox("Search reports", route.query.get("q") ?? "", (query) => {
    filter(query);
    setQuery(query ? { q: query } : {});
  });

  replace(main, el("div.head", heading("Reports"), search), list, none);
  filter(route.query.get("q") ?? "");
  if (route.query.has("focus")) search.querySelector("input").focus();
  return keepLastRuns(rows);
}

// Each row has the newest report of its type, also after deletions.
function keepLastRuns(rows) {
  const update = () => {
    const newest = new Map();

    for (const report of reportsKnown()) {
      if (!newest.has(report.reportName)) newest.set(report.reportName, report);
    }
    for (const row of rows) row.show(newest.get(row.type.name));
  };
  const updateSoon = onFrame(update);
  const stop = onReports(updateSoon);
  const stopClock = every(30000, update); // "5 min ago"

  update();
  return () => { stop(); stopClock(); updateSoon.cancel(); };
}
