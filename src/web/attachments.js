// @ts-check
/** The files of what is being written. Each is uploaded at once, and waits with the draft of its conversation. */
import { $, button, element, icon, reconcile } from "./dom.js";
import { shortened } from "./words.js";

/** The most files of a message. */
const FILES_MAX = 20;
/** The most characters of a file's name. */
const NAME_MAX = 100;

/**
 * A file: with an id once it is uploaded, with an error if it could not be.
 *
 * @typedef {{ name: string, id?: string, error?: string, file?: File, upload?: AbortController }} Attachment
 */

export class Attachments {
  #files; #onChange; #key = "";
  /** By the key of the conversation. @type {Map<string, Attachment[]>} */
  #held = new Map();

  /**
   * @param {import("./files.js").Files} files
   * @param {(problem?: string) => void} onChange called when something has changed, perhaps with what was refused
   */
  constructor(files, onChange) {
    [this.#files, this.#onChange] = [files, onChange];
    const picker = $("file-picker");
    $("attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.#add(picker.files);
      // The same file can be picked again.
      picker.value = "";
    });
    $("text").addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    $("conversation").addEventListener("dragover", (event) => this.#areTaken && event.preventDefault());
    $("conversation").addEventListener("drop", (event) => this.#take(event, event.dataTransfer));
  }

  /** Whether files can be attached at all. */
  get areThere() {
    return this.#files.areThere;
  }

  get isEmpty() {
    return this.#shown.length === 0;
  }

  get isUploading() {
    return this.#shown.some(({ id, error }) => !id && !error);
  }

  /** What keeps the message from being sent, if anything does. */
  get problem() {
    return this.#shown.find(({ error }) => error)?.error;
  }

  /** Another conversation is open now. @param {string} key */
  open(key) {
    this.#key = key;
    this.#show();
  }

  /**
   * Puts back what was taken.
   *
   * @param {string} key
   * @param {Attachment[]} attachments
   */
  put(key, attachments) {
    this.#held.set(key, [...attachments, ...(this.#held.get(key) ?? [])]);
    this.#show();
  }

  /** Takes what is uploaded out of the open conversation. */
  take() {
    const taken = this.#shown.filter(({ id }) => id);
    this.#held.set(this.#key, this.#shown.filter(({ id }) => !id));
    this.#show();
    return taken;
  }

  get #areTaken() {
    return this.areThere && !$("composer").hidden && !$("files").hidden;
  }

  get #shown() {
    return this.#held.get(this.#key) ?? [];
  }

  /**
   * Takes files that are pasted or dropped.
   *
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #take(event, data) {
    if (!data?.files.length || !this.#areTaken) return;
    event.preventDefault();
    this.#add(data.files);
  }

  /** @param {FileList | null} files */
  #add(files) {
    const free = FILES_MAX - this.#shown.length;
    const added = Array.from(files ?? []).slice(0, free).map((file) => ({ name: shortened(file.name, NAME_MAX), file }));
    this.#held.set(this.#key, [...this.#shown, ...added]);
    for (const attachment of added) this.#upload(attachment);
    const isTooMany = (files?.length ?? 0) > free;
    if (isTooMany) this.#onChange(`A message has up to ${FILES_MAX} files.`);
  }

  /** @param {Attachment} attachment */
  async #upload(attachment) {
    if (!attachment.file) return;
    attachment.upload = new AbortController();
    attachment.error = undefined;
    this.#show();
    try {
      attachment.id = await this.#files.upload(attachment.file, attachment.upload.signal);
      attachment.file = undefined;
    } catch (error) {
      attachment.error = `“${attachment.name}” was not uploaded. ${error.words ?? error.message}`;
    }
    this.#show();
  }

  /** @param {Attachment} attachment */
  #remove(attachment) {
    attachment.upload?.abort();
    for (const [key, held] of this.#held) this.#held.set(key, held.filter((other) => other !== attachment));
    this.#show();
    $("text").focus();
  }

  #show() {
    $("attachments").hidden = this.isEmpty;
    reconcile($("attachments"), this.#shown.map((attachment, at) => {
      const { name, id, error } = attachment;
      return [`${at}`, `${name} ${id} ${error}`, () => this.#row(attachment)];
    }));
    this.#onChange();
  }

  /** @param {Attachment} attachment */
  #row(attachment) {
    const { name, id, error } = attachment;
    const state = error ? "failed" : id ? "" : "uploading";
    return element("li", { class: state, title: error },
      icon(error ? "warning" : "file"),
      element("span", {}, name),
      state === "uploading" && element("span", { class: "unseen" }, "is being uploaded"),
      error && button(`Try ${name} again`, "retry", () => this.#upload(attachment)),
      button(`Remove ${name}`, "close", () => this.#remove(attachment)));
  }
}
