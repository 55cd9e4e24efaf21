// web/result.js -- the screen Result: one report's rows, chart and summary; downloads; deletion.

import { go, heading, referenceIn, setQuery, showMessage } from "./app.js";
import { call, errorOf, fetchText, send, serverNow } from "./api.js";
import { button, el, every, factList, loadStyle, replace, setText } from "./dom.js";
import { closeDialogs, confirmBox, notify, notifyError } from "./dialogs.js";
import { follow, watchConnection } from "./events.js";
import { parseExact, shown } from "./exact.js";
import { bytes, counted, left, moment, number } from "./format.js";
import { receiptScreen } from "./receipts.js";
import { endedButtons } from "./reports.js";
import { Rows } from "./result_rows.js";
import { Table } from "./result_table.js";
import { deleteReport, findReport, watchReport } from "./store.js";

const HEAD = 256 << 10; // bytes at the beginning of the JSON: the part before the rows is smaller
const FIRST_ROWS = 40;
const STYLE = "/console/result.css";
const FORMS = ["csv", "xlsx", "json", "ndjson"];
const LONG_NAMES = { XLSX: "Excel (XLSX)", NDJSON: "JSON lines (NDJSON)" };
const WITH_LABELS = ["csv", "xlsx"];
const VIEWS = { table: "Table", chart: "Chart", summary: "Summary" };
const TICK = 30000; // milliseconds between two looks at the clock
const NOT_FOUND = 404, NOT_COMPLETE = 409;

export async function show(main, route) {
  const screen = new Result(main, route);

  await screen.begin();
  return () => screen.close();
}

// What precedes the rows in the JSON, and its size and its end: the rows themselves, which may be
// many, are not fetched.
async function readHead(reference, signal) {
  const { text, headers } = await fetchText("GET", "/Report", { query: { reference }, signal,
    headers: { Range: `bytes=0-${HEAD - 1}` } });
  const rows = ',"results":[';

  for (let at = text.indexOf(rows); at >= 0; at = text.indexOf(rows, at + 1)) {
    try {
      const { reportName, generatedDate, parameters } = parseExact(`${text.slice(0, at)}}}`).data;

      return { reportName, generatedDate, parameters,
        size: Number(headers.get("Content-Range").split("/")[1]),
        expires: Date.parse(headers.get("Expires")) };
    } catch {
      continue; // it was in a text
    }
  }
  throw new Error("The result has a form that this page does not know. The downloads have it.");
}

class Result {
  #main;
  query;             // of the address
  #view = null;      // {node, close()} of the view that is shown
  #control = new AbortController();
  #stops;            // what ends the following of events and of the clock
  #isDeleting = false;
  #hasDownloads = false;
  #isOver = false;   // nothing of the result may stay in the page

  constructor(main, route) {
    this.#main = main;
    this.query = route.query;
    this.reference = referenceIn(route);
    this.rows = new Rows(this.reference, () => this.#rowsCame());
    this.#stops = [follow(({ reference, state }) => {
      if (reference === this.reference && state === "deleted" && !this.#isDeleting) this.#gone();
    }), watchReport(this.reference), watchConnection((isOn) => {
      if (isOn && this.rows.error?.passing) this.rows.retry();
    }), every(TICK, () => { if (this.facts) this.#tick(); })];
  }

  get signal() {
    return this.#control.signal;
  }

  get total() {
    return this.rows.total;
  }

  async begin() {
    const from = Math.max(0, Math.floor(Number(this.query.get("from")) || 0));

    try {
      const [head] = await Promise.all([readHead(this.reference, this.signal),
        this.rows.want(from, from + FIRST_ROWS), loadStyle(STYLE)]);

      if (this.#isOver) return;
      if (this.total === null) throw this.rows.error;
      Object.assign(this, head);
      this.#draw(from);
    } catch (error) {
      if (!this.failed(error)) throw error;
    }
  }

  // Leave: what was fetched is forgotten.
  close() {
    this.#isOver = true;
    this.#control.abort();
    for (const stop of this.#stops) stop();
    this.#view?.close();
    this.#view = null;
    this.rows.close();
    this.parameters = null;
  }

  // True if the error says that there is no such result; then the screen does, too.
  failed(error) {
    if (this.#isOver) return true;
    if (error.status === NOT_COMPLETE) go(`#/run/${this.reference}`, { replacing: true });
    else if (error.status === NOT_FOUND) this.#gone();
    else return false;
    return true;
  }

  #rowsCame() {
    if (this.rows.error && this.failed(this.rows.error)) return;
    this.#view?.change?.();
  }

  // ---- the screen ----

  #draw(from) {
    this.facts = el("p.facts.muted.number");
    this.tabs = el("div.tabs", { role: "group", "aria-label": "View" },
      Object.entries(VIEWS).map(([name, label]) => (
        button(label, () => this.#showView(name, 0), { "data-view": name }))));
    this.box = el("div.view");
    this.labels = el("input", { type: "checkbox" });
    replace(this.#main, el("div.result",
      el("div.head", el("div.name", heading(this.reportName), this.facts),
        el("div.buttons", endedButtons(this, this.#given, () => this.#delete()))),
      el("details.parameters", el("summary", `Generated ${moment(this.generatedDate)}, ` +
        counted(this.#given.length, "parameter")), factList(this.#given)),
      el("div.bar", this.tabs, el("div.buttons", this.#downloads())),
      this.box));
    this.#tick();
    findReport(this.reference).then(({ rows }) => { this.read = rows; this.#tick(); }, () => {});
    const view = this.query.get("view") ?? "";

    this.#showView(Object.hasOwn(VIEWS, view) ? view : "table", from);
  }

  #tick() {
    const time = this.expires - serverNow();
    const from = this.read > this.total ? `, from ${number(this.read)} of the database` : "";

    setText(this.facts, [counted(this.total, "row") + from, bytes(this.size),
      time > 0 ? `expires in ${left(time)}` : "expires now"].join(" · "));
  }

  // What it was run with, as pairs of a name and a text.
  get #given() {
    return Object.entries(this.parameters ?? {}).filter(([, value]) => value !== null)
      .map(([name, value]) => [name, shown(value)]);
  }

  #downloads() {
    return [el("span.muted", "Download"), FORMS.map((form) => {
      const name = form.toUpperCase();

      return button(name, (event) => this.#download(form, event.currentTarget), {
        title: `Download as ${LONG_NAMES[name] ?? name}`, "aria-label": `Download as ${name}` });
    }),
    el("label", { title: "For downloads as CSV and XLSX: the first line has the columns' " +
        "labels in place of their names" }, this.labels, "Labels as headers")];
  }

  async #showView(name, from) {
    this.#view?.close();
    this.#view = null;
    for (const tab of this.tabs.children)
      tab.ariaPressed = tab.dataset.view === name;
    this.viewName = name;
    if (name === "table") {
      const table = new Table(this.rows, { from, chosen: this.query.getAll("columns"),
        onMove: () => this.saveQuery() });

      replace(this.box, table.node);
      this.#view = table;
      table.draw();
    } else {
      const control = new AbortController();

      this.#view = { close: () => control.abort() };
      replace(this.box, el("p.loading", "Loading …"));
      const { showChart } = name === "chart" ? await import("./result_chart.js") : {};
      const { showSummary } = name === "summary" ? await import("./result_summary.js") : {};

      if (control.signal.aborted) return;
      await (showChart ?? showSummary)(this.box, this, control.signal);
    }
    this.saveQuery();
  }

  // The address says which view, columns and row are shown, and contains the state of the view.
  saveQuery(more = {}) {
    if (this.#isOver) return;
    const table = this.#view instanceof Table ? this.#view : null;

    this.query.delete("from");
    if (this.viewName === "table") this.query.delete("view");
    else this.query.set("view", this.viewName);
    if (table) {
      if (table.from > 0) this.query.set("from", table.from);
      this.query.delete("columns");
      for (const column of table.chosen) this.query.append("columns", column);
    }
    for (const [key, value] of Object.entries(more)) this.query.set(key, value);
    setQuery(this.query);
  }

  // ---- downloads ----

  async #download(format, pressed) {
    const labels = this.labels.checked && WITH_LABELS.includes(format);

    if (pressed.ariaDisabled) return;
    pressed.ariaDisabled = true; // not `disabled`: it keeps the focus
    const told = notify(`Preparing the ${format.toUpperCase()}…`);

    try {
      const { data } = await call("POST", "/Report/Link",
        { body: { reference: this.reference, format, ...(labels ? { labels } : {}) } });

      // An error about the form would be saved in place of the file, so it is shown.
      if (!(await send("HEAD", data.url)).ok) throw await errorOf(await send("GET", data.url));
      el("a", { href: data.url, download: "" }).click();
      this.#hasDownloads = true;
      notify("The download has begun.");
    } catch (error) {
      if (!this.failed(error)) notifyError(error);
    } finally {
      told.remove();
      pressed.ariaDisabled = null;
    }
  }

  // ---- the end ----

  async #delete() {
    const question = `Delete the result of ${this.reportName}, generated ${
      moment(this.generatedDate)}? It cannot be undone.${this.#hasDownloads
      ? " A download in progress will fail." : ""}`;

    if (this.#isOver || !await confirmBox(question, "Delete")) return;
    this.#isDeleting = true;
    try {
      const receipt = await deleteReport(this.reference);

      if (receipt === null) {
        this.#gone();
        return;
      }
      this.close();
      receiptScreen(this.#main, receipt);
    } catch (error) {
      this.#isDeleting = false;
      notifyError(error);
    }
  }

  // It has expired, was deleted elsewhere, or never existed.
  #gone() {
    this.close();
    closeDialogs();
    showMessage(this.#main, "This report is gone", "It has been deleted or has expired, or the " +
      "address is wrong. The server has nothing of it any more, and neither has this page.");
  }
}
