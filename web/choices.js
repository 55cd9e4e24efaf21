// web/choices.js -- a text field with a list of choices that is searched while the user types.

import { el, icon, replace } from "./dom.js";

const SHOWN_MOST = 100; // choices in the list at a time

let count = 0;

// A field (ARIA combobox) over choices [{value, label}]. `onChoose(value)` is called with a choice,
// `onText()` when its text changes. `choices` may be set later.
export class ChoiceField {
  constructor(attributes, { onChoose, onText }) {
    this.choices = [];
    this.at = -1;
    this.onChoose = onChoose;
    this.id = `choices-${++count}`;
    this.list = el("ul.choices.popup", { role: "listbox", id: this.id, hidden: true,
      "aria-label": "Choices" });
    this.input = el("input", { type: "text", autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list",
      "aria-controls": this.id, ...attributes, on: {
        input: () => { onText(); this.open(); },
        focus: () => this.input.select(),
        click: () => this.open(),
        blur: () => setTimeout(() => this.close(), 120),
        keydown: (event) => this.key(event),
      } });
    this.node = el("div.choice-field", this.input, icon("open"), this.list);
  }

  // The label for a value, null if it is not a choice.
  labelOf(value) {
    return this.choices.find((choice) => choice.value === value)?.label ?? null;
  }

  matching() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const exact = this.choices.some((choice) => choice.value === this.input.value);

    if (exact) return this.choices;
    return this.choices.filter((choice) => {
      const text = `${choice.value} ${choice.label}`.toLowerCase();

      return words.every((word) => text.includes(word));
    });
  }

  open() {
    if (this.choices.length === 0) return;
    const found = this.matching();

    this.at = Math.max(0, found.findIndex((choice) => choice.value === this.input.value));
    if (this.at >= SHOWN_MOST) this.at = 0;
    this.found = found.slice(0, SHOWN_MOST);
    replace(this.list, this.found.map((choice, i) => el("li", { role: "option",
      id: `${this.id}-${i}`, on: { mousedown: (event) => {
        event.preventDefault();
        this.choose(choice);
      } } },
    el("span", choice.label), choice.label === choice.value ? null
      : el("span.muted.mono", choice.value))),
    found.length > SHOWN_MOST || found.length === 0 ? el("li.muted", { role: "none" },
      found.length === 0 ? "No choice has these words."
        : `${found.length - SHOWN_MOST} more: type to search.`) : null);
    this.list.hidden = false;
    this.list.scrollIntoView({ block: "nearest" });
    this.input.ariaExpanded = true;
    this.mark();
  }

  close() {
    this.list.hidden = true;
    this.input.ariaExpanded = false;
    this.input.removeAttribute("aria-activedescendant");
  }

  mark() {
    const options = this.list.querySelectorAll("[role=option]");

    options.forEach((option, i) => { option.ariaSelected = i === this.at; });
    if (!options[this.at]) return;
    this.input.setAttribute("aria-activedescendant", options[this.at].id);
    options[this.at].scrollIntoView({ block: "nearest" });
  }

  choose(choice) {
    this.close();
    this.onChoose(choice.value);
  }

  key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.list.hidden) {
        this.open();
        return;
      }
      this.at += event.key === "ArrowDown" ? 1 : -1;
      this.at = Math.min(Math.max(this.at, 0), this.found.length - 1);
      this.mark();
    } else if (event.key === "Enter" && !event.ctrlKey && !this.list.hidden &&
               this.found[this.at]) {
      event.preventDefault();
      event.stopPropagation();
      this.choose(this.found[this.at]);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.preventDefault();
      this.close();
    }
  }
}
