// web/operator_list.js -- the reports of all users: chosen, selected, cancelled, deleted.

import { call } from "./api.js";
import { beforeNow, deleteAndTell, deleteCounted, questionOf } from "./deletion.js";
import { closeDialogs, confirmBox, failure, notifyDeleted, showDialog } from "./dialogs.js";
import { el, factList, leaveOnEscape, replace, setText } from "./dom.js";
import { bytes, counted, moment, number, stateWord } from "./format.js";
import { parametersLine, ReportList } from "./report_list.js";
import { deleteReport, isActive } from "./store.js";

// The filters: the name in the address → the name in a query of the API.
export const FILTER = { state: "State", user: "User", report: "ReportName", source: "Source" };

const FIELDS = { user: "User", report: "Report type", source: "Source" };
const PAGE = 100, PAGE_MOST = 1000; // reports that are listed
const COUNTED = 1000; // and that the server counts
const BAD_REQUEST = 400;

const STATES = ["queued", "processing", "complete", "error"];
const CHIPS = { "": "All",
  ...Object.fromEntries(STATES.map((state) => [state, stateWord(state)])) };
const CELLS = ["user", "rows", "size", "submitted", "took"];

export class List extends ReportList {
  // `change(filter)` lists other reports, `again()` requests the list again.
  constructor(filter, { change, again }) {
    super(CELLS, CHIPS, { "aria-labelledby": "all-title" });
    Object.assign(this, { filter, change, again });
    this.size = PAGE;
    this.opened = null; // the reference of the dialog that is open
    this.fields = Object.keys(FIELDS).map((name) => this.makeField(name));
    this.table.classList.add("all");
    this.wrong = el("div");
    this.title = el("h2", { id: "all-title", tabindex: "-1" }, "Reports of all users");
    this.node = el("section.all-reports", { "aria-labelledby": "all-title" }, this.title,
      el("div.filters", { role: "search", "aria-label": "Choose reports" },
        this.fields.map(({ node }) => node)), this.wrong, this.parts);
  }

  choose(state) {
    this.change({ state });
  }

  showMore() {
    this.size = Math.min(this.size + PAGE, PAGE_MOST);
    this.again();
  }

  // ---- filters ----

  makeField(name) {
    const known = el("datalist", { id: `known-${name}` });
    const attributes = { id: `filter-${name}`, on: { change: () => this.apply(), input: () => {
      // Empty, or one of the names that are offered.
      if (input.value === "" || [...known.children].some(({ value }) => value === input.value)) {
        this.apply();
      }
    } } };
    const input = name === "source" ? el("select", attributes) : el("input", { ...attributes,
      type: "search", value: this.filter[name], "data-search": name === "user",
      autocomplete: "off", spellcheck: "false", list: known.id });

    input.addEventListener("keydown", leaveOnEscape);
    return { name, input, known, node: el("div.labelled", el("label", { for: input.id },
      FIELDS[name]), input, known) };
  }

  apply() {
    const changes = this.fields.map(({ name, input }) => [name, input.value.trim()])
      .filter(([name, value]) => value !== this.filter[name]);

    if (changes.length > 0) this.change(Object.fromEntries(changes));
  }

  // Other reports are listed from now on: nothing of the previous ones is left.
  chosen() {
    this.size = PAGE;
    this.selected.clear();
    for (const { name, input } of this.fields) {
      if (input.value.trim() !== this.filter[name]) input.value = this.filter[name];
    }
    this.table.ariaBusy = true;
    this.drawBar();
  }

  show() {
    this.title.focus();
    this.title.scrollIntoView({ block: "start" });
  }

  query() {
    return Object.fromEntries(Object.entries(FILTER)
      .map(([name, key]) => [key, this.filter[name]]).filter(([, value]) => value));
  }

  // The page that is shown; `wrong`, if no report can match the filter.
  async ask(options) {
    try {
      const { data } = await call("GET", "/Admin/Reports", { ...options,
        query: { ...this.query(), PageSize: this.size } });

      return data;
    } catch (error) {
      if (error.status !== BAD_REQUEST) throw error;
      return { reports: [], totalCount: 0, wrong: error };
    }
  }

  // ---- what is shown ----

  draw({ reports, totalCount, wrong = null }, { queue, sources, users }) {
    this.total = totalCount;
    this.place(reports);
    if (wrong?.message !== this.wrong.textContent) {
      replace(this.wrong, wrong ? failure(wrong) : null);
    }
    this.table.ariaBusy = false;
    if (wrong) this.none.hidden = true;
    setText(this.none, this.isFiltered() ? "No report matches." : "There are no reports.");
    this.more.hidden = totalCount <= reports.length || this.size >= PAGE_MOST;
    setText(this.beyond, totalCount > reports.length
      ? `The latest ${number(reports.length)} of ${number(totalCount)}${totalCount >= COUNTED ? " or more" : ""}.` : "");
    this.drawCounts(queue);
    this.drawKnown(reports, sources, users);
    this.drawBar();
  }

  isFiltered() {
    return Object.values(this.filter).some(Boolean);
  }

  // The queue's counts are those of all: with a user, type or source they do not apply.
  drawCounts(queue) {
    const { user, report, source, state: chosen } = this.filter;
    const all = STATES.reduce((sum, state) => sum + queue[state], 0);

    this.drawChips(chosen, (state) => (
      user || report || source ? "" : number(state === "" ? all : queue[state])));
  }

  drawKnown(reports, sources, users) {
    const offer = (node, names, any = []) => {
      const shown = [...any, ...[...new Set(names)].sort()];

      if (shown.join("\n") === node.dataset.shown) return false;
      node.dataset.shown = shown.join("\n");
      replace(node, shown.map((value) => el("option", { value }, value || "Any")));
      return true;
    };
    const [user, report, source] = this.fields;

    offer(user.known, [...users.map(({ name }) => name), ...reports.map((one) => one.user)]);
    offer(report.known, reports.map(({ reportName }) => reportName));
    if (offer(source.input, [...sources.map(({ name }) => name), this.filter.source]
      .filter(Boolean), [""])) source.input.value = this.filter.source;
  }

  drawBar() {
    super.drawBar();
    this.deleteAll.hidden = !this.isFiltered() || this.total === 0;
  }

  // ---- one report ----

  opener(row) {
    return el("button.link", { type: "button", "aria-haspopup": "dialog",
      on: { click: () => this.open(row) } }, row.report.reportName);
  }

  noteOf({ state, message, parameters }) {
    return [state === "error" ? message : "", parametersLine(parameters)];
  }

  // All that is known about it, except its result, which only its owner may read.
  async open(row) {
    const { report } = row, { reference, user, state, rows, message, parameters } = report;
    const facts = { User: user, State: stateWord(state), Message: message,
      Reference: el("span.mono", reference), Submitted: report.submittedAt,
      Started: report.startedAt, Finished: report.finishedAt, Expires: report.expiresAt,
      Size: rows > 0 || report.bytes > 0
        ? `${counted(rows, "row")} · ${bytes(report.bytes)}` : "" };

    for (const name of ["Submitted", "Started", "Finished", "Expires"]) {
      if (facts[name]) facts[name] = moment(facts[name]);
    }
    if (await this.askOf(reference, () => showDialog(report.reportName, [
      factList([...Object.entries(facts), ...Object.entries(parameters ?? {})]
        .filter(([, value]) => value)),
      parameters === null && el("p.muted", "Its parameters are too long for a list.")],
    { className: "report-facts", action: isActive(report) ? "Cancel it" : "Delete it" }))) {
      await row.endIt();
    }
  }

  // The content of a dialog about this report; it is closed when the report is gone.
  async askOf(reference, show) {
    this.opened = reference;
    const answer = await show();

    this.opened = null;
    return answer;
  }

  // Gone, or no longer on this page: nothing of it stays here, including questions.
  forget(reference) {
    super.forget(reference);
    if (reference === this.opened) closeDialogs();
  }

  // Deleted reports are removed at once, whenever the server is asked again.
  drop(...references) {
    this.place([...this.rows.values()].map(({ report }) => report)
      .filter(({ reference }) => !references.includes(reference)));
  }

  async remove(reference) {
    const receipt = await deleteReport(reference, "/Admin/Report");

    this.drop(reference);
    return receipt;
  }

  // The user is asked, even while it is active: it belongs to another user.
  async end(report) {
    const { reference, reportName, user } = report;

    if (!await this.askOf(reference, () => confirmBox(questionOf(report),
      isActive(report) ? "Cancel it" : "Delete"))) return;
    try {
      notifyDeleted(`${reportName} of ${user} is deleted.`, await this.remove(reference));
    } finally {
      await this.again();
    }
  }

  // ---- many at once ----

  removeSelected() {
    return super.removeSelected().finally(() => this.again());
  }

  removeMatching() {
    const query = { ...this.query(), Before: beforeNow() };

    return deleteAndTell(async () => {
      const shown = [...this.rows.keys()];
      const done = await deleteCounted("/Admin/Reports", [query], () => this.node.isConnected)
        .finally(() => this.again());

      if (done) this.drop(...shown);
      return done;
    });
  }
}
