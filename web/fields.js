// web/fields.js -- the field of a form for one parameter, by its type.

import { ChoiceField } from "./choices.js";
import { el, icon, iconButton, replace } from "./dom.js";

const HINTS = { // of types whose control does not show it
  integer: "a whole number", decimal: "a number such as 12.50",
  timestamp: "2024-01-12 14:04 in the report's time zone, or 2024-01-12T14:04:05+11:00",
};

const INPUTS = { // the control of a type
  date: { type: "date" }, integer: { inputmode: "numeric", pattern: "-?[0-9]+" },
  decimal: { inputmode: "decimal", pattern: "-?[0-9]*[.]?[0-9]+" },
};
const BOOLEAN = { true: "Yes", false: "No" };

// Each kind of control has node, focus(), get() (a text, "" for none), set(text), and possibly
// problem(): why the input is not a value at all.

function textControl(attributes, onChange) {
  const input = el("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes,
    on: { input: onChange } });

  return { node: input, input, get: () => input.value, set: (text) => { input.value = text; },
    problem: () => (input.validity.badInput
      ? "This is not a day: complete or correct it, or clear it." : "") };
}

function selectControl(attributes, options, onChange) {
  const input = el("select", { ...attributes, on: { change: onChange } }, options
    .map(([value, label]) => el("option", { value }, label)));

  return { node: input, input, get: () => input.value, set: (text) => {
    input.value = text;
    if (input.value !== text) input.value = options[0][0];
  } };
}

function choiceControl(attributes, onChange) {
  const field = new ChoiceField(attributes, {
    onChoose: (value) => { control.set(value); onChange(); },
    onText: () => { replace(shown); onChange(); } });
  const shown = el("span.muted.chosen");
  const control = { node: el("div", field.node, shown), input: field.input, field,
    get: () => field.input.value,
    set: (text) => {
      const label = field.labelOf(text);

      field.input.value = text;
      replace(shown, label !== null && label !== text ? label : null);
    },
    choicesCame: () => control.set(field.input.value) };

  return control;
}

// The values of a list in one text: with commas if that is safe, otherwise as JSON.
export function joinList(values) {
  const safe = values.every((value) => value !== "" && value === value.trim() &&
    !value.includes(",")) && !values[0]?.startsWith("[");

  return safe ? values.join(",") : JSON.stringify(values);
}

export function splitList(text) {
  if (text.trimStart().startsWith("[")) {
    try {
      return JSON.parse(text).map(String);
    } catch {
      return [text];
    }
  }
  return text.split(",").map((value) => value.trim()).filter((value) => value !== "");
}

// Values as tags: Enter or a comma adds one, Backspace in the empty field takes the last away.
function listControl(attributes, onChange) {
  let values = [];
  const tags = el("ul.tags", { "aria-label": "Values" });
  const field = new ChoiceField({ ...attributes, placeholder: "Add a value" },
    { onChoose: (value) => add(value), onText: () => onText() });
  const draw = () => replace(tags, values.map((value, i) => el("li.tag",
    field.labelOf(value) ?? value,
    iconButton(`Remove ${value}`, "close", () => {
      values.splice(i, 1);
      draw();
      onChange();
      field.input.focus();
    }))));
  const add = (text) => {
    for (const value of splitList(text)) if (!values.includes(value)) values.push(value);
    field.input.value = "";
    draw();
    onChange();
  };
  const onText = () => {
    if (/[,\n]/.test(field.input.value) && !field.input.value.startsWith("[")) {
      add(field.input.value);
    } else {
      onChange();
    }
  };

  field.input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && field.input.value !== "" &&
        !event.defaultPrevented) {
      event.preventDefault();
      add(field.input.value);
    } else if (event.key === "Backspace" && field.input.value === "" && values.length > 0) {
      values.pop();
      draw();
      onChange();
    }
  });
  return { node: el("div.list-field", tags, field.node), input: field.input, field,
    get: () => joinList(field.input.value.trim() === "" ? values
      : [...values, field.input.value.trim()]),
    set: (text) => { values = splitList(text); draw(); },
    choicesCame: draw };
}

function makeControl(param, attributes, onChange) {
  const type = param.type;

  if (type.startsWith("list(")) return listControl(attributes, onChange);
  if (param.values) return choiceControl(attributes, onChange);
  if (type === "boolean" || param.allowedValues) {
    const none = param.required ? "Choose…" : param.default ? "Default" : "Not given";

    return selectControl(attributes, [["", none], ...(type === "boolean" ? Object.entries(BOOLEAN)
      : param.allowedValues.map((value) => [value, value]))], onChange);
  }
  return textControl({ ...attributes, ...INPUTS[type],
    ...(type === "date" ? { min: param.min, max: param.max } : {}) }, onChange);
}

function limits({ min, max, matching }) {
  if (min !== null && max !== null) return `from ${min} to ${max}`;
  if (min !== null) return `at least ${min}`;
  if (max !== null) return `at most ${max}`;
  return matching !== null ? `matching ${matching}` : "";
}

// What the control does not show itself; "" if there is nothing.
function hint(param) {
  const item = /^list\((.*)\)$/.exec(param.type)?.[1];
  const kind = param.allowedValues || param.values ? "" : HINTS[item ?? param.type] ?? "";
  const empty = !param.required && param.default !== null && param.default !== ""
    ? `; empty: the default, ${param.type === "boolean" ? BOOLEAN[param.default] : param.default}`
    : "";
  const text = [item ? "any number of values" : "", kind, limits(param)].filter(Boolean)
    .join(", ") + empty;

  return text === "" ? "" : `${text.replace(/^; /, "").replace(/^./, (c) => c.toUpperCase())}.`;
}

// A field: `value()` is undefined if the parameter is not given.
export class Field {
  constructor(param, onChange) {
    const id = `field-${param.name}`;

    this.param = param;
    this.control = makeControl(param, { id, "aria-describedby": `${id}-about ${id}-error`,
      "aria-required": param.required ? "true" : null }, () => { this.showError(""); onChange(); });
    this.error = el("p.error-text", { id: `${id}-error` });
    this.node = el("div.field", el("label", { for: id }, param.name,
        param.required ? el("span.required", { "aria-hidden": "true" }, "required")
          : null),
      el("div", { id: `${id}-about`, class: "about" },
        param.description ? el("p", param.description) : null,
        hint(param) ? el("p.muted.small", hint(param)) : null),
      el("div.control", this.control.node, this.error));
    this.set(param.default ?? "");
  }

  get type() {
    return this.param.type;
  }

  value() {
    const text = this.control.get();

    return text === "" ? undefined : text;
  }

  set(text) {
    this.control.set(text);
  }

  // Why the browser could not read the input.
  problem() {
    return this.control.problem?.() ?? "";
  }

  // The choices of `values`, or of an enum in a list.
  setChoices(choices) {
    this.control.field.choices = choices;
    this.control.choicesCame?.();
  }

  get takesChoices() {
    return this.control.field !== undefined;
  }

  showError(text) {
    this.control.input.ariaInvalid = text ? "true" : null;
    this.node.classList.toggle("wrong", text !== "");
    // What was below an error stays in its place.
    this.error.style.minHeight = this.error.offsetHeight ? `${this.error.offsetHeight}px` : "";
    replace(this.error, text ? [icon("error"), el("span", text)] : null);
  }

  focus() {
    this.control.input.focus();
  }
}
