// web/form.js -- the screen Form: the parameters of a report, and its submission.

import { call } from "./api.js";
import { go, heading, setQuery, trail } from "./app.js";
import { announce, failure, notify } from "./dialogs.js";
import { curlLine, reportctlLine } from "./command.js";
import { button, el, icon, replace, setText } from "./dom.js";
import { Field } from "./fields.js";
import { limitPanel } from "./limit.js";
import { newKey, reportTypes, submitReport } from "./store.js";

const TRIES = 8, PAUSE_MOST = 10000; // while the server cannot be reached, in milliseconds
const QUERY_MOST = 8000;             // characters of an address that keeps the input

export async function show(main, route) {
  const name = route.path[1] ?? "";
  const type = (await reportTypes()).find((one) => one.name === name);

  if (!type) throw new Error(`There is no report "${name}" that you may run.`);
  const form = new Form(type);

  form.fill(route.query);
  replace(main, trail(), heading(type.name), el("p.lead.muted", type.description ?? ""), form.node);
  form.fetchChoices();
  return () => form.leave();
}

class Form {
  constructor(type) {
    this.type = type;
    this.waiting = null; // wakes the pause between two tries; null if nothing is being submitted
    this.key = null;     // of the submission, until the server has answered it
    this.left = false;
    this.fields = type.parameters.map((param) => new Field(param, () => this.changed()));
    this.problem = el("div");
    this.limit = el("div");
    this.run = el("button", { type: "submit", class: "button primary", "data-key": "r" },
      icon("run"), "Run");
    this.progress = el("span.muted");
    this.stop = button("Stop trying", () => this.giveUp(), { hidden: true });
    this.curl = el("pre", { tabindex: "0", "aria-label": "curl command" });
    this.reportctl = el("pre", { tabindex: "0", "aria-label": "reportctl command" });
    this.node = el("div.form-columns", this.form(), this.commands());
  }

  form() {
    return el("form.panel.padded.form", { novalidate: true, on: {
      submit: (event) => { event.preventDefault(); this.submit(); },
      keydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit();
      } } },
    this.problem, this.limit,
    this.fields.length === 0 ? el("p.muted", "This report takes no parameters.")
      : this.fields.map((field) => field.node),
    el("div.buttons.form-buttons", this.run,
      button("Defaults", () => this.reset(), { look: "quiet" }), this.stop, this.progress));
  }

  commands() {
    const part = (title, pre) => [el("div.head", el("h3", title),
      button("Copy", () => copy(pre), { sign: "copy", look: "quiet",
        "aria-label": `Copy the ${title} command` })), pre];

    return el("aside.panel.padded.commands", { "aria-labelledby": "commands-title" },
      el("details", { open: matchMedia("(min-width: 961px)").matches },
        el("summary", el("h2", { id: "commands-title" }, "From a terminal")),
        el("p.muted.small", "What is filled in, as a command. curl takes the " +
          "access token from the variable TOKEN; reportctl keeps its own login."),
        part("reportctl", this.reportctl), part("curl", this.curl)));
  }

  // The values in the address; defaults for the rest.
  fill(query) {
    for (const field of this.fields) {
      if (query.has(field.param.name)) field.set(query.get(field.param.name));
    }
    this.showCommands();
  }

  reset() {
    for (const field of this.fields) {
      field.set(field.param.default ?? "");
      field.showError("");
    }
    replace(this.problem);
    this.changed();
  }

  values() {
    return Object.fromEntries(this.fields.map((field) => [field.param.name, field.value()])
      .filter(([, value]) => value !== undefined));
  }

  // Kept in the address, so that a reload loses nothing.
  changed() {
    const query = new URLSearchParams();

    this.key = null;
    for (const { param, control } of this.fields) {
      if (control.get() !== (param.default ?? "")) query.set(param.name, control.get());
    }
    if (query.toString().length <= QUERY_MOST) setQuery(query);
    this.showCommands();
  }

  showCommands() {
    setText(this.curl, curlLine(this.type.name, this.values()));
    setText(this.reportctl, reportctlLine(this.type.name, this.values()));
  }

  async fetchChoices() {
    for (const field of this.fields.filter((one) => one.takesChoices)) {
      const { param } = field;

      if (param.allowedValues) {
        field.setChoices(param.allowedValues.map((value) => ({ value, label: value })));
      } else if (param.values) {
        try {
          const { data } = await call("GET", "/Report/Types", { query: { values: param.values } });

          field.setChoices(data);
        } catch (error) {
          field.showError(`${error.message} You can type the value.`);
        }
      }
    }
  }

  // ---- submission ----

  async submit() {
    if (this.waiting || this.left) return;
    const unread = this.fields.filter((field) => field.problem() !== "");

    replace(this.problem);
    replace(this.limit);
    for (const field of unread) field.showError(field.problem());
    if (unread.length > 0) {
      unread[0].focus();
      return;
    }
    this.setBusy(true);
    try {
      const reference = await this.submitPatiently(this.key ??= newKey(), this.values());

      if (!this.left) go(`#/run/${reference}`); // busy until the screen is left
    } catch (error) {
      if (!error.passing) this.key = null;
      this.setBusy(false);
      if (!this.left) this.showProblem(error);
      else notify(`${this.type.name} was not submitted: ${error.message}`, { error: true });
      if (document.activeElement === document.body) this.run.focus();
    }
  }

  // Repeat the same request until the server has answered it; its key keeps it from running twice.
  async submitPatiently(key, values) {
    for (let tries = 1; ; tries++) {
      try {
        return await submitReport(this.type.name, values, key);
      } catch (error) {
        if (!error.passing || tries >= TRIES) throw error;
        setText(this.progress, `${error.message} Trying again…`);
        announce(this.progress.textContent);
        this.stop.hidden = false;
        const pause = Math.min(1000 * 2 ** (tries - 1), PAUSE_MOST);

        if (await this.pause(pause) === "stop") throw error;
      }
    }
  }

  pause(ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);

      this.waiting = (why) => { clearTimeout(timer); done(why); };
    });
  }

  giveUp() {
    this.waiting?.("stop");
  }

  setBusy(busy) {
    this.waiting = busy ? () => {} : null;
    this.run.disabled = busy;
    this.stop.hidden = true;
    setText(this.progress, busy ? "Submitting…" : "");
  }

  // Show an error at its field if the server names one, else above the form.
  showProblem(error) {
    const name = /^Parameter '([^']+)'/.exec(error.message)?.[1];
    const field = this.fields.find((one) => one.param.name === name);

    if (error.status === 429 && error.data?.active) {
      replace(this.limit, limitPanel(error, () => this.submit()));
      this.limit.querySelector("h2").focus();
    } else if (field) {
      field.showError(error.message);
      field.focus();
      announce(error.message);
    } else {
      replace(this.problem, failure(error));
    }
  }

  leave() {
    this.left = true;
    this.giveUp();
  }
}

// Copy to the clipboard if the browser permits it; else the text is selected, to be copied.
async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    notify("Copied.");
  } catch {
    getSelection().selectAllChildren(pre);
    notify("Selected: copy it with Ctrl+C.");
  }
}
