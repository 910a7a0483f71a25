// @ts-check
/** The settings of a chat, which its owner changes. Each change is made at once. */
import { element } from "./dom.js";
import { lasting } from "./words.js";

/** What is offered for the wait between two messages, in seconds. */
const PAUSES = [0, 10, 30, 60, 300];

/**
 * [name, label, hint, value when it is on, value when it is off]
 *
 * @type {[string, string, string, string | boolean, string | boolean][]}
 */
const SWITCHES = [
  ["posting", "Announcements only", "Only moderators can write.", "moderators", "members"],
  ["frozen", "Frozen", "Nobody can write, not even you.", true, false],
  ["history", "Hide what came before", "Members read only what came after they joined.", "joined", "all"],
  ["reactions", "No reactions", "Nobody can react to messages. Those that are there stay.", false, true],
];

export class Rules {
  #switches = new Map(); #pause; #change;
  element;

  /**
   * `change(rules)` changes the chat, and `remove()` deletes it.
   *
   * @param {(rules: Record<string, unknown>) => unknown} change
   * @param {() => unknown} remove
   */
  constructor(change, remove) {
    this.#change = change;
    this.#pause = element("select", { onchange: ({ target }) => change({ slowMode: Number(target.value) }) });
    const ontoggle = () => this.element.scrollIntoView({ block: "nearest" });
    this.element = element("details", { class: "rules", ontoggle },
      element("summary", {}, "Settings"),
      SWITCHES.map((rule) => this.#switch(...rule)),
      row("Slow mode", "Members wait between two messages.", this.#pause),
      element("button", { type: "button", class: "danger", onclick: remove }, "Delete the chat"));
  }

  /** Shows the rules of a chat. */
  show(chat) {
    for (const [name, , , on] of SWITCHES) this.#switches.get(name).checked = chat[name] === on;
    this.#showPause(chat.slowMode ?? 0);
  }

  #showPause(slowMode) {
    // A list that is open stays open.
    if (this.#pause.length > 0 && Number(this.#pause.value) === slowMode) return;
    const pauses = [...new Set([...PAUSES, slowMode])].sort((a, b) => a - b);
    this.#pause.replaceChildren(...pauses.map((seconds) =>
      element("option", { value: seconds, selected: seconds === slowMode }, seconds ? lasting(seconds) : "Off")));
  }

  #switch(name, label, hint, on, off) {
    const onchange = ({ target }) => this.#change({ [name]: target.checked ? on : off });
    const input = element("input", { type: "checkbox", role: "switch", onchange });
    this.#switches.set(name, input);
    return row(label, hint, input);
  }
}

function row(label, hint, control) {
  return element("label", { class: "rule" },
    element("span", {}, label, element("small", {}, hint)), control);
}
