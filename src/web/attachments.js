// @ts-check
/** The files of what is being written. Each is uploaded at once, and kept with the draft of its conversation. */
import { $, button, element, icon, reconcile } from "./dom.js";
import { shortName } from "./words.js";

/** The most files of a message. */
const FILES_MAX = 20;

/**
 * A file: with an id once it is uploaded, with an error if it could not be.
 *
 * @typedef {object} Attachment
 * @property {string} name
 * @property {number} row what names its element
 * @property {string} [id]
 * @property {string} [error]
 * @property {File} [file]
 * @property {AbortController} [upload]
 *
 * @typedef {{ id: string, name: string }} Uploaded
 */

export class Attachments {
  #files; #drafts; #onChange; #key = ""; #rows = 0; #excess = "";
  /** By the key of the conversation. @type {Map<string, Attachment[]>} */
  #held = new Map();

  /**
   * @param {import("./files.js").Files} files
   * @param {import("./drafts.js").Drafts} drafts
   * @param {() => void} onChange called when something has changed
   */
  constructor(files, drafts, onChange) {
    [this.#files, this.#drafts, this.#onChange] = [files, drafts, onChange];
    const picker = $("file-picker");
    $("attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.#add(picker.files);
      // The same file can be picked again.
      picker.value = "";
    });
    $("text").addEventListener("paste", (event) => {
      const data = event.clipboardData;
      // What is copied from a table or a text has a picture of it beside.
      if (data && !data.types.includes("text/plain")) this.#take(event, data);
    });
    // A file that is dropped elsewhere would take the place of the page.
    document.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
    document.addEventListener("drop", (event) => this.#take(event, event.dataTransfer));
  }

  /** Whether files can be attached at all. */
  get isPossible() {
    return this.#files.isConfigured;
  }

  get isEmpty() {
    return this.#shown.length === 0;
  }

  get isUploading() {
    return this.#shown.some(({ id, error }) => !id && !error);
  }

  /** What the user has to know of them. */
  get notice() {
    return this.failure ?? this.#excess;
  }

  /** Why they cannot be sent, if they cannot. */
  get failure() {
    return this.#shown.find(({ error }) => error)?.error;
  }

  /**
   * Another conversation is open now.
   *
   * @param {string} key
   */
  open(key) {
    [this.#key, this.#excess] = [key, ""];
    this.#held.set(key, this.#in(key));
    this.#show();
  }

  /**
   * Puts back what was taken.
   *
   * @param {string} key
   * @param {Uploaded[]} uploaded
   */
  put(key, uploaded) {
    this.#hold(key, [...uploaded.map((file) => this.#attachment(file)), ...this.#in(key)]);
  }

  /**
   * Takes what is uploaded out of the open conversation.
   *
   * @returns {Uploaded[]}
   */
  take() {
    const taken = uploadedOf(this.#shown);
    this.#excess = "";
    this.#hold(this.#key, this.#shown.filter(({ id }) => !id));
    return taken;
  }

  get #shown() {
    return this.#held.get(this.#key) ?? [];
  }

  /**
   * The files of a conversation: at first, those that are kept with its draft.
   *
   * @param {string} key
   */
  #in(key) {
    return this.#held.get(key) ?? this.#drafts.files(key).map((file) => this.#attachment(file));
  }

  /**
   * @param {{ name: string, id?: string, file?: File }} file
   * @returns {Attachment}
   */
  #attachment(file) {
    return { ...file, row: ++this.#rows };
  }

  /**
   * @param {string} key
   * @param {Attachment[]} attachments
   */
  #hold(key, attachments) {
    this.#held.set(key, attachments);
    this.#drafts.setFiles(key, uploadedOf(attachments));
    this.#show();
  }

  /**
   * Takes files that are pasted or dropped.
   *
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #take(event, data) {
    if (!data?.files.length) return;
    event.preventDefault();
    if (this.isPossible && $("files").checkVisibility()) this.#add(data.files);
  }

  /** @param {FileList | null} files */
  #add(files) {
    const picked = Array.from(files ?? []);
    const free = Math.max(0, FILES_MAX - this.#shown.length);
    const added = picked.slice(0, free).map((file) => this.#attachment({ name: shortName(file.name), file }));
    this.#excess = picked.length > free ? `A message has up to ${FILES_MAX} files.` : "";
    this.#hold(this.#key, [...this.#shown, ...added]);
    for (const attachment of added) this.#upload(attachment, this.#key);
  }

  /**
   * @param {Attachment} attachment
   * @param {string} key
   */
  async #upload(attachment, key) {
    if (!attachment.file) return;
    attachment.upload = new AbortController();
    attachment.error = undefined;
    this.#show();
    try {
      attachment.id = await this.#files.upload(attachment.file, attachment.upload.signal);
      attachment.file = undefined;
    } catch (error) {
      attachment.error = `“${attachment.name}” was not uploaded: ${error.message}.`;
    }
    // It may have been removed meanwhile.
    this.#hold(key, this.#in(key));
  }

  /** @param {Attachment} attachment */
  #remove(attachment) {
    attachment.upload?.abort();
    this.#excess = "";
    this.#hold(this.#key, this.#shown.filter((other) => other !== attachment));
    $("text").focus();
  }

  #show() {
    $("attachments").hidden = this.isEmpty;
    reconcile($("attachments"), this.#shown.map((attachment) => {
      const { name, id, error, row } = attachment;
      return [`${row}`, `${name} ${id} ${error}`, () => this.#row(attachment, this.#key)];
    }));
    this.#onChange();
  }

  /**
   * @param {Attachment} attachment
   * @param {string} key
   */
  #row(attachment, key) {
    const { name, id, error } = attachment;
    const state = error ? "failed" : id ? "" : "uploading";
    return element("li", { class: state, title: error, tabindex: "-1" },
      icon(error ? "warning" : "file"),
      element("span", { dir: "auto" }, name),
      state === "uploading" && element("span", { class: "unseen" }, "is being uploaded"),
      error && button(`Try ${name} again`, "retry", () => this.#upload(attachment, key)),
      button(`Remove ${name}`, "close", () => this.#remove(attachment)));
  }
}

/**
 * @param {Attachment[]} attachments
 * @returns {Uploaded[]}
 */
const uploadedOf = (attachments) => attachments.flatMap(({ id, name }) => (id ? [{ id, name }] : []));
