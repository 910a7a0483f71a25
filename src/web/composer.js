/** Writes, answers and edits messages. Each conversation has a draft, for as long as the tab exists. */
import { $ } from "./dom.js";
import { gist } from "./words.js";

export class Composer {
  #on; #user; #key = null; #subject = null;

  /** An error that `on.send(key, content)` or `on.edit(message, text)` throws is shown. */
  constructor({ user, on }) {
    this.#on = on;
    this.#user = user;
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    $("text").addEventListener("keydown", (event) => this.#onKey(event));
    $("text").addEventListener("input", () => this.#onInput());
    $("attach").addEventListener("click", () => this.#showFiles($("files-row").hidden));
    $("end-subject").addEventListener("click", () => this.#end());
  }

  open(key) {
    this.#key = key;
    this.#subject = null;
    this.#showFiles(false);
    this.#write(sessionStorage.getItem(`draft ${key}`) ?? "");
  }

  reply(message) {
    if (this.#subject?.isEdit) this.#write(sessionStorage.getItem(`draft ${this.#key}`) ?? "");
    this.#begin({ message, isEdit: false });
  }

  edit(message) {
    this.#begin({ message, isEdit: true });
    this.#write(message.text ?? "");
  }

  #begin(subject) {
    this.#subject = subject;
    this.#show();
    $("text").focus();
  }

  #end() {
    if (this.#subject?.isEdit) this.#write(sessionStorage.getItem(`draft ${this.#key}`) ?? "");
    this.#subject = null;
    this.#show();
    $("text").focus();
  }

  #write(text) {
    $("text").value = text;
    this.#show();
  }

  #show() {
    const { message, isEdit } = this.#subject ?? {};
    $("subject").hidden = !message;
    $("subject-verb").textContent = isEdit ? "Editing" : `Replying to ${message?.from === this.#user ? "yourself" : message?.from}`;
    $("subject-gist").textContent = message ? gist(message) : "";
    $("send").setAttribute("aria-label", isEdit ? "Save" : "Send");
    $("attach").hidden = Boolean(isEdit);
    $("composer-error").textContent = "";
    this.#resize();
  }

  #onInput() {
    if (!this.#subject?.isEdit) sessionStorage.setItem(`draft ${this.#key}`, $("text").value);
    this.#resize();
  }

  #resize() {
    // Only for browsers whose style sheets cannot do it.
    if (CSS.supports("field-sizing", "content")) return;
    $("text").style.height = "auto";
    $("text").style.height = `${$("text").scrollHeight}px`;
  }

  #onKey(event) {
    // 229: Safari ends a composition before it reports the Enter key that has accepted the candidate.
    if (event.isComposing || event.keyCode === 229) return;
    const isTouch = matchMedia("(pointer: coarse)").matches;
    if (event.key === "Enter" && !event.shiftKey && !isTouch) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && this.#subject) {
      event.preventDefault();
      this.#end();
    } else if (event.key === "ArrowUp" && !$("text").value) {
      event.preventDefault();
      this.#on.editLast();
    }
  }

  #showFiles(isShown) {
    $("files-row").hidden = !isShown;
    $("attach").setAttribute("aria-expanded", isShown);
    if (isShown) $("files").focus();
    else $("files").value = "";
  }

  async #submit() {
    const [key, subject, text] = [this.#key, this.#subject, $("text").value.trim()];
    const files = subject?.isEdit ? [] : $("files").value.split(/[\s,]+/).filter(Boolean);
    if (!text && !files.length && !(subject?.isEdit && subject.message.files)) return;
    // The field is emptied at once: the user may go on writing.
    if (!subject?.isEdit) sessionStorage.removeItem(`draft ${key}`);
    this.#subject = null;
    this.#showFiles(false);
    this.#write(sessionStorage.getItem(`draft ${key}`) ?? "");
    try {
      if (subject?.isEdit) await this.#on.edit(subject.message, text);
      else await this.#on.send(key, { text, files: [...new Set(files)], replyTo: subject?.message.id });
    } catch (error) {
      this.#giveBack(key, subject, text);
      $("composer-error").textContent = error.words ?? error.message;
    }
  }

  /** Puts a text that could not be sent or stored into the field again, unless the field is in use. */
  #giveBack(key, subject, text) {
    if (this.#key !== key || this.#subject || (!subject?.isEdit && $("text").value)) return;
    this.#subject = subject;
    this.#write(text);
  }
}
