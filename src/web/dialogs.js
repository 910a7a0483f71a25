// @ts-check
/** Questions and forms. A `<dialog>` keeps the focus within itself. */
import { element } from "./dom.js";

let count = 0;

/**
 * Shows a dialog; the title may be several nodes. Resolves with the `value` of `close(value)`, or null after Escape.
 *
 * @typedef {import("./dom.js").Child} Child
 *
 * @param {Child | Child[]} title
 * @param {(close: (value?: any) => void) => Child | Child[]} content
 */
export function showDialog(title, content) {
  const id = `dialog-${++count}`;
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  return new Promise((resolve) => {
    let value = null;
    const close = (given = null) => {
      value = given;
      dialog.close();
    };
    const dialog = element("dialog", { "aria-labelledby": id }, element("h2", { id }, title), content(close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      // The actions of a message exist only while the focus is within it.
      opener?.closest("article")?.focus({ preventScroll: true });
      opener?.focus({ preventScroll: true });
      resolve(value);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks a question; `choices` are [value, label, class]. */
export function ask(title, body, choices) {
  return showDialog(title, (close) => [
    body,
    element("div", { class: "choices" }, choices.map(([value, label, kind = ""]) =>
      element("button", { type: "button", class: kind, onclick: () => close(value) }, label))),
  ]);
}

/**
 * A form; `fields` are {name, label, hint, value}. If `submit(values)` throws, the error is shown and the form
 * stays open; else the promise resolves with its value.
 *
 * @param {string} title
 * @param {Field[]} fields
 * @param {string} verb
 * @param {(values: any) => unknown} submit
 */
export function askFor(title, fields, verb, submit) {
  return showDialog(title, (close) => form(fields, verb, submit, close));
}

function form(fields, verb, submit, close) {
  const error = element("p", { class: "error", role: "alert" });
  const button = element("button", { type: "submit", class: "primary" }, verb);
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      const values = Object.fromEntries(new FormData(event.target));
      close(await submit(values));
    } catch (problem) {
      error.textContent = problem.words ?? problem.message;
    } finally {
      button.disabled = false;
    }
  };
  return element("form", { onsubmit, autocomplete: "off" },
    fields.map(field),
    error,
    element("div", { class: "choices" },
      element("button", { type: "button", onclick: () => close() }, "Cancel"), button));
}

/**
 * A field of a form, with a hint below it.
 *
 * @typedef {{ name: string, label: string, hint?: string, value?: string, required?: boolean, type?: string }} Field
 *
 * @param {Field} field
 */
export function field({ name, label, hint, value = "", required = true, type }) {
  return element("label", { class: "field" }, element("span", {}, label),
    element("input", { name, value, required, type, dir: "auto", autocapitalize: "none", spellcheck: "false" }),
    hint && element("small", {}, hint));
}

/** Asks before something is deleted. */
export function confirmed(title, text, verb) {
  return ask(title, element("p", {}, text), [[null, "Cancel"], [true, verb, "danger"]]);
}

/**
 * Asks what is wrong with a message, and tells those who look after this service. Nobody else learns of it.
 *
 * @param {import("/client/messages.js").Client["call"]} call
 * @param {import("/client/messages.js").Message} message
 */
export async function reportMessage(call, { id }) {
  const fields = [
    { name: "reason", label: "What is wrong with it?", hint: "Spam, abuse, … Only those who look after this service read it." },
    { name: "text", label: "Anything else", required: false },
  ];
  const reported = await askFor("Report the message?", fields, "Report", (body) =>
    call("POST", `/messages/${id}/reports`, { body }));
  if (reported) await ask("Thank you", element("p", {}, "The message is reported."), [[null, "Done", "primary"]]);
}

/** Shows two texts of one message; resolves with the one to store, or null. */
export function chooseText(present, mine) {
  const version = (title, text) => element("figure", { class: "version" },
    element("figcaption", {}, title), element("blockquote", { dir: "auto" }, text || "(no text)"));
  const body = [
    element("p", {}, "The message was edited somewhere else meanwhile. Which text is to stay?"),
    version("As it is now", present.text),
    version("As you wrote it", mine),
  ];
  return ask("Two versions", body, [[null, "Keep the present one"], [mine, "Save mine", "primary"]]);
}

/** Asks whether a message whose text has changed is to be deleted all the same. */
export function confirmRemoval(present) {
  const body = [
    element("p", {}, "The message was edited meanwhile. It now says:"),
    element("blockquote", { dir: "auto" }, present.text || "(no text)"),
  ];
  return ask("Delete it all the same?", body, [[null, "Keep it"], [true, "Delete", "danger"]]);
}
