// web/operator_list.js -- the reports of all users: chosen, selected, cancelled, deleted.

import { call } from "/console/api.js";
import { closeDialogs, confirmBox, failure, leaveSearch, notify, notifyDeleted, openDialog }
  from "/console/dialogs.js";
import { button, el, icon, placeRows, replace, setText } from "/console/dom.js";
import { bytes, counted, moment, number, stateWord } from "/console/format.js";
import { beforeNow, deleteAndTell, deleteCounted, deleteEach, question }
  from "/console/mine_delete.js";
import { parametersLine, ReportRow } from "/console/report_row.js";
import { isActive } from "/console/store.js";

// What is chosen by: the name in the address → the name in a query of the API.
export const FILTER = { state: "State", user: "User", report: "ReportName", source: "Source" };

const PAGE = 100, PAGE_MOST = 1000; // reports that are listed
const BAD_REQUEST = 400, UNKNOWN = 404;

const STATES = ["", "queued", "processing", "complete", "error"];
const CELLS = ["user", "rows", "size", "submitted", "took"];
const COLUMNS = { state: "State", name: "Report", user: "User", rows: "Rows", size: "Size",
  submitted: "Submitted", took: "Took" };

// Delete a report of any user. Its receipt; null if it was gone already.
async function deleteOne(reference) {
  try {
    const { headers } = await call("DELETE", "/Admin/Report", { query: { reference } });

    return headers.get("X-Deletion-Receipt");
  } catch (error) {
    if (error.status === UNKNOWN) return null;
    throw error;
  }
}

class Row extends ReportRow {
  constructor(report, list) {
    super(report, (on) => list.select(report.reference, on), CELLS);
    this.list = list;
    setText(this.user, report.user);
    this.user.title = report.user;
  }

  opener({ reportName }) {
    return el("button", { type: "button", class: "link", "aria-haspopup": "dialog",
      on: { click: () => this.list.open(this.report) } }, reportName);
  }

  noteOf({ state, message, parameters }) {
    return [state === "error" ? message : "", parametersLine(parameters)].filter(Boolean)
      .join(" · ");
  }

  endIt() {
    return this.list.end(this.report);
  }
}

export class List {
  // `choose(filter)` lists other reports, `again()` asks once more what there is.
  constructor(filter, { choose, again }) {
    Object.assign(this, { filter, choose, again });
    this.size = PAGE;
    this.rows = new Map();     // reference → its row
    this.selected = new Set(); // references
    this.opened = null;        // the reference of the dialog that is open
    this.chips = STATES.map((state) => this.chip(state));
    this.fields = this.makeFields();
    this.all = el("input", { type: "checkbox", id: "select-all", "aria-label": "Select all shown",
      on: { change: () => this.selectAll(this.all.checked) } });
    this.deleteSelected = button("", () => this.removeSelected(), { look: "danger",
      sign: "remove", hidden: true });
    this.deleteAll = button("Delete all that match…", () => this.removeMatching(),
      { look: "quiet" });
    this.body = el("tbody", { role: "rowgroup" });
    this.table = this.makeTable();
    this.none = el("p", { class: "panel empty" });
    this.wrong = el("div");
    this.more = button("Show more", () => {
      this.size = Math.min(this.size + PAGE, PAGE_MOST);
      this.again();
    });
    this.beyond = el("p", { class: "muted small number" });
    this.title = el("h2", { id: "all-title", tabindex: "-1" }, "Reports of all users");
    this.node = el("section", { class: "all-reports", "aria-labelledby": "all-title" },
      this.title,
      el("div", { class: "filters", role: "search", "aria-label": "Choose reports" },
        Object.values(this.fields).map(({ node }) => node)),
      el("div", { class: "bar" }, el("div", { class: "chips", role: "group",
        "aria-label": "Filter by state" }, this.chips.map((chip) => chip.node)),
      el("span", { class: "space" }), this.deleteSelected, this.deleteAll),
      this.wrong, this.table, this.none, el("div", { class: "more" }, this.more, this.beyond));
  }

  makeTable() {
    return el("table", { class: "panel mine all", role: "table", "aria-labelledby": "all-title" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
        el("th", { role: "columnheader", class: "cell-check" }, this.all),
        Object.entries(COLUMNS).map(([name, title]) => (
          el("th", { role: "columnheader", class: `cell-${name}` }, title))),
        el("th", { role: "columnheader", class: "cell-actions" }, el("span", { class: "unseen" },
          "Actions")))), this.body);
  }

  chip(state) {
    const count = el("span", { class: "number" });
    const node = el("button", { type: "button", class: "chip",
      on: { click: () => this.choose({ state }) } },
    state === "" ? "All" : stateWord(state), " ", count);

    return { state, node, count };
  }

  // ---- choosing ----

  makeFields() {
    const field = (name, label, input) => {
      input.id = `filter-${name}`;
      input.addEventListener("change", () => this.apply());
      input.addEventListener("input", () => { if (this.isWhole(name)) this.apply(); });
      return { input, node: el("div", { class: "filter" },
        el("label", { for: input.id }, label), input) };
    };
    const text = (name) => el("input", { type: "search", value: this.filter[name],
      "data-search": name === "user", autocomplete: "off", spellcheck: "false",
      list: `known-${name}`,
      on: { keydown: (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault(); // what is chosen stays
        leaveSearch();
      } } });

    this.known = { user: el("datalist", { id: "known-user" }),
      report: el("datalist", { id: "known-report" }) };
    return { user: field("user", "User", text("user")),
      report: field("report", "Report type", text("report")),
      source: field("source", "Source", el("select", {}, el("option", { value: "" }, "Any"))),
      lists: { node: Object.values(this.known) } };
  }

  // Emptied, or one of the names that are offered.
  isWhole(name) {
    const { value } = this.fields[name].input;

    return value === "" ||
      [...this.known[name]?.children ?? []].some((option) => option.value === value);
  }

  apply() {
    const changes = {};

    for (const name of ["user", "report", "source"]) {
      const value = this.fields[name].input.value.trim();

      if (value !== this.filter[name]) changes[name] = value;
    }
    if (Object.keys(changes).length > 0) this.choose(changes);
  }

  // Other reports are listed from now on: what was shown of those before is not left.
  chosen() {
    this.size = PAGE;
    this.selected.clear();
    for (const name of ["user", "report", "source"]) {
      const { input } = this.fields[name];

      if (input.value.trim() !== this.filter[name]) input.value = this.filter[name];
    }
    this.table.setAttribute("aria-busy", "true");
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

  // The page that is shown; `wrong`, if there is none for such a choice.
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
    this.table.setAttribute("aria-busy", "false");
    this.table.hidden = reports.length === 0;
    this.none.hidden = reports.length > 0 || wrong !== null;
    setText(this.none, this.isFiltered() ? "No report matches." : "There are no reports.");
    this.more.hidden = totalCount <= reports.length || this.size >= PAGE_MOST;
    setText(this.beyond, totalCount > reports.length
      ? `The latest ${number(reports.length)} of ${number(totalCount)}.` : "");
    this.drawChips(queue);
    this.drawKnown(reports, sources, users);
    this.drawBar();
  }

  place(reports) {
    placeRows(this.body, this.rows, reports, {
      keyOf: (report) => report.reference,
      make: (report) => new Row(report, this),
      update: (row, report) => row.update(report),
      gone: (reference) => this.forget(reference) });
    for (const [reference, row] of this.rows) row.check.checked = this.selected.has(reference);
  }

  isFiltered() {
    return Object.values(this.filter).some(Boolean);
  }

  // The queue's counts are those of all: with a user, type or source they do not apply.
  drawChips(queue) {
    const whole = !this.filter.user && !this.filter.report && !this.filter.source;

    for (const { state, node, count } of this.chips) {
      const all = STATES.slice(1).reduce((sum, one) => sum + queue[one], 0);

      setText(count, whole ? number(state === "" ? all : queue[state]) : "");
      node.setAttribute("aria-pressed", String(state === this.filter.state));
    }
  }

  drawKnown(reports, sources, users) {
    const offer = (list, names) => {
      const shown = [...new Set(names)].sort();

      if (shown.join("\n") === list.dataset.shown) return;
      list.dataset.shown = shown.join("\n");
      replace(list, shown.map((value) => el("option", { value })));
    };
    const { input } = this.fields.source;
    const names = ["", ...sources.map(({ name }) => name)];

    offer(this.known.user, [...users.map(({ name }) => name), ...reports.map(({ user }) => user)]);
    offer(this.known.report, reports.map(({ reportName }) => reportName));
    if (this.filter.source && !names.includes(this.filter.source)) names.push(this.filter.source);
    if (names.join("\n") === [...input.options].map(({ value }) => value).join("\n")) return;
    replace(input, names.map((value) => el("option", { value }, value || "Any")));
    input.value = this.filter.source;
  }

  drawBar() {
    const count = this.selected.size;

    this.all.checked = count > 0 && count === this.rows.size;
    this.all.indeterminate = count > 0 && count < this.rows.size;
    this.deleteSelected.hidden = count === 0;
    setText(this.deleteSelected.lastChild, `Delete ${number(count)} selected`);
    this.deleteAll.hidden = !this.isFiltered() || this.total === 0;
  }

  tick() {
    for (const row of this.rows.values()) row.tick();
  }

  // ---- one report ----

  // All that is known of it, beside its result, which nobody but its owner reads.
  async open(report) {
    const { reference, reportName, user, state, rows, message, parameters } = report;
    const fact = (name, value) => (value ? [el("dt", {}, name), el("dd", {}, value)] : null);
    const time = (iso) => (iso ? moment(iso) : "");

    this.opened = reference;
    const answer = await openDialog(reportName, (close) => [
      el("dl", { class: "facts" }, fact("User", user), fact("State", stateWord(state)),
        fact("Message", message), fact("Reference", el("span", { class: "mono" }, reference)),
        fact("Submitted", time(report.submittedAt)), fact("Started", time(report.startedAt)),
        fact("Finished", time(report.finishedAt)), fact("Expires", time(report.expiresAt)),
        fact("Size", rows > 0 || report.bytes > 0
          ? `${counted(rows, "row")} · ${bytes(report.bytes)}` : ""),
        Object.entries(parameters ?? {}).map(([name, value]) => fact(name, value))),
      parameters === null ? el("p", { class: "muted" }, "Its parameters are too long for a list.")
        : null,
      el("div", { class: "buttons" },
        button(isActive(report) ? "Cancel it" : "Delete it", () => close("end"),
          { look: "danger" }),
        button("Close", () => close(), { look: "primary", autofocus: true }))],
    { className: "report-facts" });

    this.opened = null;
    if (answer === "end") await this.end(report);
  }

  // Gone, or not on this page any more: nothing of it stays here, also no question.
  forget(reference) {
    this.selected.delete(reference);
    if (reference === this.opened) closeDialogs();
  }

  // Those that are deleted go at once, whenever the server is asked again.
  drop(...references) {
    this.place([...this.rows.values()].map(({ report }) => report)
      .filter(({ reference }) => !references.includes(reference)));
  }

  async delete(reference) {
    const receipt = await deleteOne(reference);

    this.drop(reference);
    return receipt;
  }

  // Asked for, also while it is active: it is somebody's.
  async end({ reference, reportName, user, state, submittedAt }) {
    const active = isActive({ state });
    const what = `${reportName} of ${user}, ${stateWord(state).toLowerCase()}, submitted ${
      moment(submittedAt)}`;

    this.opened = reference;
    const agreed = await confirmBox(`${active ? "Cancel and delete" : "Delete"} ${
      what}? There is no undo.`, active ? "Cancel it" : "Delete");

    this.opened = null;
    if (!agreed) return;
    try {
      const receipt = await this.delete(reference);

      if (receipt) (await import("/console/receipts.js")).keepReceipt(receipt);
      notifyDeleted(`${reportName} of ${user} is deleted.`, receipt);
    } catch (error) {
      notify(error.message, { error: true });
    }
    await this.again();
  }

  // ---- many at once ----

  select(reference, on) {
    if (on) this.selected.add(reference);
    else this.selected.delete(reference);
    this.drawBar();
  }

  selectAll(on) {
    for (const [reference, row] of this.rows) {
      row.check.checked = on;
      if (on) this.selected.add(reference);
      else this.selected.delete(reference);
    }
    this.drawBar();
  }

  async removeSelected() {
    const chosen = [...this.selected].filter((reference) => this.rows.has(reference));
    const active = chosen.filter((reference) => isActive(this.rows.get(reference).report)).length;

    await deleteAndTell(async () => {
      if (!await confirmBox(question(chosen.length, active), `Delete ${chosen.length}`)) {
        return null;
      }
      return deleteEach(chosen, (reference) => this.delete(reference))
        .finally(() => this.again());
    });
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
