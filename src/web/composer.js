// @ts-check
/** Writes, answers and edits messages. Each conversation has a draft. */
import { Attachments } from "./attachments.js";
import { $ } from "./dom.js";
import { namedBy, namesIn } from "./text.js";
import { countdown, fileName, gist, lasting } from "./words.js";

/**
 * @typedef {import("/client/conversation.js").Conversation} Conversation
 * @typedef {import("/client/copy.js").Message} Message
 *
 * The message that is edited, or to which the new one replies.
 * @typedef {{ message: Message, isEdit: boolean }} Subject
 */

export class Composer {
  #on; #user; #drafts; #mentions; #attachments; #notice = ""; #left = 0;
  /** The open conversation. Before there is one, nothing is written. */
  #conversation = /** @type {Conversation} */ (/** @type {unknown} */ (null));
  #subject = /** @type {Subject | null} */ (null);

  /**
   * An error that `on.send(conversation, content)` or `on.edit(conversation, message, content)` throws is shown.
   *
   * @param {{ user: string, drafts: import("./drafts.js").Drafts, mentions: import("./mentions.js").Mentions,
   *   files: import("./files.js").Files, on: Record<string, (...values: any[]) => any> }} parts
   */
  constructor({ user, drafts, mentions, files, on }) {
    [this.#on, this.#user, this.#drafts, this.#mentions] = [on, user, drafts, mentions];
    this.#attachments = new Attachments(files, drafts, () => this.#onAttachments());
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    $("text").addEventListener("keydown", (event) => this.#onKey(event));
    $("text").addEventListener("input", () => this.#onInput());
    $("end-subject").addEventListener("click", () => this.#end());
  }

  /** @param {Conversation} conversation */
  open(conversation) {
    this.#conversation = conversation;
    this.#subject = null;
    this.#attachments.open(conversation.key);
    this.#write(this.#draft);
    this.#mentions.open(conversation, $("text").value);
  }

  reply(message) {
    if (this.#subject?.isEdit) this.#write(this.#draft);
    this.#begin({ message, isEdit: false });
  }

  /**
   * Puts what was refused, or could not be kept, into the fields of its conversation again, with what they have.
   *
   * @param {Conversation} conversation
   * @param {import("/client/conversation.js").Draft} content
   * @param {Message} [replied]
   */
  takeBack(conversation, { text = "", files = [], attributes }, replied) {
    const { key } = conversation;
    const whole = [text, this.#drafts.get(key)].filter(Boolean).join("\n");
    this.#drafts.set(key, whole);
    this.#attachments.put(key, files.map((id) => ({ id, name: fileName(id, attributes) })));
    if (this.#conversation.key !== key || this.#subject?.isEdit) return;
    if (replied) this.#subject = { message: replied, isEdit: false };
    this.#write(whole);
    this.#mentions.open(conversation, whole);
    $("text").focus();
  }

  edit(message) {
    this.#begin({ message, isEdit: true });
    this.#write(message.text ?? "");
  }

  /** Puts an edit that was refused into the field again, and shows why. Returns whether the field was free. */
  giveBackEdit(message, text, words) {
    const isBack = this.#giveBack(this.#conversation, { message, isEdit: true }, text);
    $("composer-error").textContent = words;
    return isBack;
  }

  /** Nothing new is sent for this many seconds. */
  wait(seconds) {
    if (this.#left === seconds) return;
    this.#left = seconds;
    this.#showSend();
  }

  get #draft() {
    return this.#drafts.get(this.#conversation.key);
  }

  get #isWaiting() {
    return this.#left > 0 && !this.#subject?.isEdit;
  }

  get #isUploading() {
    return this.#attachments.isUploading && !this.#subject?.isEdit;
  }

  #begin(subject) {
    this.#subject = subject;
    this.#show();
    $("text").focus();
  }

  #end() {
    if (this.#subject?.isEdit) this.#write(this.#draft);
    this.#subject = null;
    this.#show();
    $("text").focus();
  }

  #write(text) {
    $("text").value = text;
    this.#show();
  }

  #show() {
    const { message, isEdit = false } = this.#subject ?? {};
    $("subject").hidden = !message;
    $("subject-verb").textContent = isEdit ? "Editing" : `Replying to ${message?.from === this.#user ? "yourself" : message?.from}`;
    $("subject-gist").textContent = message ? gist(message) : "";
    this.#showSend();
    $("files").hidden = isEdit;
    $("attach").hidden = isEdit || !this.#attachments.isPossible;
    $("composer-error").textContent = isEdit ? "" : this.#attachments.notice;
    this.#resize();
  }

  #showSend() {
    const ready = this.#subject?.isEdit ? "Save" : this.#isUploading ? "Wait until the files are uploaded" : "Send";
    const label = this.#isWaiting ? `Send in ${lasting(this.#left)}` : ready;
    $("send").setAttribute("aria-label", label);
    $("send").setAttribute("aria-disabled", `${this.#isWaiting || this.#isUploading}`);
    $("send").title = this.#isWaiting ? "This chat is slow: wait between two messages" : label;
    $("send-wait").textContent = this.#isWaiting ? countdown(this.#left) : "";
  }

  #onInput() {
    if (!this.#subject?.isEdit) {
      const text = $("text").value;
      this.#drafts.set(this.#conversation.key, text);
      if (text.trim()) this.#conversation.typing();
    }
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
    if (event.isComposing || event.keyCode === 229 || this.#mentions.onKey(event)) return;
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

  #onAttachments() {
    const { notice } = this.#attachments;
    if (notice !== this.#notice) $("composer-error").textContent = notice;
    this.#notice = notice;
    this.#showSend();
  }

  async #submit() {
    if (this.#isWaiting || this.#isUploading) return;
    const [conversation, subject, text] = [this.#conversation, this.#subject, $("text").value.trim()];
    if (!subject?.isEdit && this.#attachments.failure) {
      $("composer-error").textContent = this.#attachments.failure;
      return;
    }
    if (!text && (subject?.isEdit ? !subject.message.files : this.#attachments.isEmpty)) return;
    // The field is emptied at once: the user may go on writing.
    const mentions = this.#mentions.of(text);
    if (!subject?.isEdit) this.#drafts.set(conversation.key, "");
    const content = { text, ...mentions, ...filesOf(subject?.isEdit ? [] : this.#attachments.take()) };
    this.#subject = null;
    this.#write(this.#draft);
    try {
      if (subject?.isEdit) await this.#on.edit(conversation, subject.message, { text, ...withThoseBefore(mentions, subject.message, text) });
      else await this.#on.send(conversation, { ...content, replyTo: subject?.message.id });
    } catch (error) {
      if (subject?.isEdit) this.#giveBack(conversation, subject, text);
      else this.takeBack(conversation, content, subject?.message);
      $("composer-error").textContent = error.words ?? error.message;
    }
  }

  /** Puts the text of an edit into the field again, unless something else is being done there. */
  #giveBack({ key }, subject, text) {
    if (this.#conversation.key !== key || this.#subject) return false;
    this.#subject = subject;
    this.#write(text);
    return true;
  }
}

/** The fields of a message with these files: their names are in its attributes. */
function filesOf(attached) {
  if (attached.length === 0) return {};
  const files = [...new Set(attached.map(({ id }) => id))];
  return { files, attributes: { fileNames: Object.fromEntries(attached.map(({ id, name }) => [id, name])) } };
}

/**
 * Whom an edited text mentions: also those whom the message mentioned before and who are not members any more. The
 * fields are left out where they do not change.
 */
function withThoseBefore({ mentions = [], mentionsAll = false }, message, text) {
  const kept = namesIn(text, namedBy(message)).filter((name) => message.mentions?.includes(name));
  const all = [...new Set([...kept, ...mentions])];
  const isSame = all.length === (message.mentions ?? []).length && all.every((name) => message.mentions?.includes(name));
  return { ...(!isSame && { mentions: all }), ...(mentionsAll && !message.mentionsAll && { mentionsAll }) };
}
