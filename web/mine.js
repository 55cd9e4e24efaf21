// web/mine.js -- the screen Mine: the user's reports, live; filters, cancel, re-run, delete many.

import { heading, setQuery } from "./app.js";
import { deleteAndTell, deleteMatching, questionOf } from "./deletion.js";
import { confirmBox, notifyDeleted } from "./dialogs.js";
import { el, every, iconButton, onFrame, replace, searchBox, setText } from "./dom.js";
import { counted, number, placeInQueue } from "./format.js";
import { parametersLine, ReportList } from "./report_list.js";
import { reportAddress, runAgain } from "./reports.js";
import { deleteReport, isActive, loadReports, onReports, parametersKnown, reportKnown,
  reportsBeyond, reportsKnown, STORE_MOST } from "./store.js";

const PAGE = 200; // rows at first, and more each time

const CHIPS = { "": "All", active: "Active", complete: "Complete", error: "Failed" };
const CELLS = ["rows", "size", "submitted", "took", "expires"];

function isIn(state, report) {
  return state === "active" ? isActive(report) : !Object.hasOwn(CHIPS, state) || state === "" ||
    report.state === state;
}

export async function show(main, route) {
  const mine = new Mine(route.query);

  await loadReports(STORE_MOST);
  replace(main, mine.node);
  mine.draw();
  return mine.start();
}

class Mine extends ReportList {
  constructor(query) {
    super(CELLS, CHIPS, { "aria-label": "My reports" });
    this.state = query.get("state") ?? "";
    this.q = query.get("q") ?? "";
    this.shown = PAGE;
    this.dirty = new Set(); // references whose rows have to be updated
    this.drawSoon = onFrame(() => this.draw());
    this.node = el("div", el("div.head", heading("My reports"),
      searchBox("Search my reports", this.q, (text) => { this.q = text; this.filtered(); },
        "Name, value or message")), this.parts);
  }

  choose(state) {
    this.state = state;
    this.filtered();
  }

  filtered() {
    this.shown = PAGE;
    this.selected.clear();
    setQuery(Object.entries({ state: this.state, q: this.q }).filter(([, value]) => value));
    this.draw();
  }

  showMore() {
    this.shown += PAGE;
    this.draw();
  }

  start() {
    const stop = onReports((reference) => {
      if (reference !== null) this.dirty.add(reference);
      else for (const known of this.rows.keys()) this.dirty.add(known);
      this.drawSoon();
    });
    const stopClock = every(1000, () => this.tick());

    return () => { stop(); stopClock(); this.drawSoon.cancel(); };
  }

  // ---- what is shown ----

  hasWords({ reportName, reference, message }) {
    const text = `${reportName} ${reference} ${message ?? ""} ${
      parametersLine(parametersKnown(reference))}`.toLowerCase();

    return this.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  // Those that match the filter, newest first.
  draw() {
    const named = reportsKnown().filter((report) => this.hasWords(report));
    const found = named.filter((report) => isIn(this.state, report));
    const rest = found.length - this.shown, beyond = reportsBeyond();
    const isFiltered = this.q !== "" || this.state !== "";

    this.found = found;
    this.drawChips(this.state, (state) => (
      number(named.filter((report) => isIn(state, report)).length)));
    this.place(found.slice(0, this.shown), (reference) => this.dirty.has(reference));
    this.dirty.clear();
    if (found.length === 0) this.drawNone(isFiltered);
    this.more.hidden = rest <= 0;
    setText(this.more, `Show ${number(Math.min(PAGE, rest))} more of ${number(found.length)}`);
    setText(this.beyond, beyond > 0 ? `${counted(beyond, "older report")} on the server ${
      beyond === 1 ? "is" : "are"} not shown.` : "");
    this.deleteAll.hidden = found.length === 0;
    setText(this.deleteAll.lastChild, isFiltered ? "Delete all that match…" : "Delete all…");
    this.drawBar();
  }

  drawNone(isFiltered) {
    const text = isFiltered ? "No report matches."
      : "No reports. What you run is listed here until it expires.";

    if (this.none.firstChild?.textContent !== text) {
      replace(this.none, el("p", text), el("p", el("a", { href: "#/reports" }, "Run a report")));
    }
  }

  // ---- a row ----

  opener({ report }) {
    return el("a.link", report.reportName);
  }

  buttons(row) {
    return iconButton(`Re-run ${row.report.reportName}`, "rerun", () => runAgain(row.report),
      { "data-key": "r" });
  }

  entered({ link, report }) {
    link.setAttribute("href", reportAddress(report));
  }

  noteOf(report) {
    return [report.state === "error" ? report.message : placeInQueue(report),
      parametersLine(parametersKnown(report.reference))];
  }

  // An active report is cancelled at once; for one that has ended, the user is asked.
  async end(report) {
    const { reference, reportName } = report, active = isActive(report);

    if (!reportKnown(reference)) return;
    if (!active && !await confirmBox(questionOf(report), "Delete")) return;
    notifyDeleted(`${reportName} is ${active ? "cancelled and " : ""}deleted.`,
      await deleteReport(reference));
  }

  remove(reference) {
    return deleteReport(reference);
  }

  removeMatching() {
    return deleteAndTell(() => deleteMatching(this, () => this.node.isConnected));
  }
}
