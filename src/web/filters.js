// @ts-check
/**
 * What narrows a search beside its words: a chip for each filter, which adds it or, if it is set, removes it. A button
 * shows the chips. They do not come and go with the focus: the list below them would move away from a pointer.
 */
import { askFor } from "./dialogs.js";
import { $, element, icon } from "./dom.js";
import { dateOf, isUserId, NOT_AN_ID, nextDay } from "./words.js";

/**
 * A filter: what its chip says while it is not set and with a `value`, the question for the value (undefined for none),
 * and the parameter of the service.
 *
 * @typedef {object} Filter
 * @property {string} name
 * @property {string} add
 * @property {(value: string) => string} words
 * @property {(values: Values) => Promise<string | null>} ask
 * @property {(value: string) => string} parameter
 *
 * The values of the filters that are set. Days are written as `2026-11-30`.
 *
 * @typedef {{ from?: string, has?: string, since?: string, until?: string }} Values
 */

/** @type {Filter[]} */
const FILTERS = [
  {
    name: "from", add: "From…", words: (user) => `from: ${user}`, parameter: (user) => user,
    ask: () => askFor("From whom?", [{ name: "value", label: "Sender", hint: "The id of a user, such as john" }], "Search", ({ value }) => {
      if (!isUserId(value.trim())) throw new Error(NOT_AN_ID);
      return value.trim();
    }),
  },
  { name: "has", add: "With files", words: () => "with files", parameter: (thing) => thing, ask: async () => "file" },
  {
    name: "since", add: "Since…", words: (day) => `since ${dateOf(day)}`, parameter: (day) => midnight(day),
    ask: ({ until }) => askForDay("Since when?", "The first day", (day) => !until || day <= until),
  },
  {
    // The last day belongs to it.
    name: "until", add: "Until…", words: (day) => `until ${dateOf(day)}`, parameter: (day) => midnight(nextDay(day)),
    ask: ({ since }) => askForDay("Until when?", "The last day", (day) => !since || since <= day),
  },
];

/** A day of the years that a time can be written in; the day after it, too. */
const DAY = /^(?!9999)\d{4}-\d\d-\d\d$/;

/** Days begin and end where the reader is. */
const midnight = (day) => new Date(`${day}T00:00`).toISOString();

function askForDay(title, label, isPossible) {
  return askFor(title, [{ name: "value", label, type: "date" }], "Search", ({ value }) => {
    if (!DAY.test(value)) throw new Error("Choose a day.");
    if (!isPossible(value)) throw new Error("The first day must not be after the last one.");
    return value;
  });
}

export class Filters {
  #values = /** @type {Values} */ ({}); #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    const chips = FILTERS.map((filter) => {
      const chip = element("button", { type: "button", class: "chip", onclick: () => this.#press(filter) });
      chip.dataset.filter = filter.name;
      return chip;
    });
    $("filters").append(...chips);
    $("show-filters").addEventListener("click", () => this.#toggle());
    this.clear();
  }

  /** The parameters of the service. */
  get parameters() {
    const set = FILTERS.filter(({ name }) => this.#values[name] !== undefined);
    return Object.fromEntries(set.map(({ name, parameter }) => [name, parameter(this.#values[name])]));
  }

  /** Removes all filters, and hides the chips. */
  clear() {
    this.#values = {};
    this.#show();
    this.#open(false);
  }

  #open(isOpen) {
    $("filters").hidden = !isOpen;
    $("show-filters").setAttribute("aria-expanded", `${isOpen}`);
  }

  /** No filter is set that is not shown. */
  #toggle() {
    const isSet = Object.keys(this.#values).length > 0;
    if ($("filters").hidden) this.#open(true);
    else this.clear();
    if (isSet) this.#onChange();
  }

  /** @param {Filter} filter */
  async #press({ name, ask }) {
    if (this.#values[name] !== undefined) {
      delete this.#values[name];
    } else {
      const value = await ask(this.#values);
      if (value === null) return;
      this.#values[name] = value;
    }
    this.#show();
    this.#onChange();
  }

  #show() {
    for (const { name, add, words } of FILTERS) {
      const chip = /** @type {HTMLElement} */ ($("filters").querySelector(`[data-filter="${name}"]`));
      const value = this.#values[name];
      const isSet = value !== undefined;
      chip.classList.toggle("set", isSet);
      chip.replaceChildren(...(isSet ? [element("bdi", {}, words(value)), icon("close")] : [add]));
      if (isSet) chip.setAttribute("aria-label", `Remove the filter “${words(value)}”`);
      else chip.removeAttribute("aria-label");
    }
  }
}
