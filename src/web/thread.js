// @ts-check
/**
 * The open conversation: its messages from one number to another one, without gaps. It opens at the first unread
 * message, or else at the end. Scrolling shows more, in both directions.
 */
import { bubble, pendingBubble, receiptOf } from "./bubble.js";
import { $, element, reconcile } from "./dom.js";
import { countReplies, Replies } from "./replies.js";
import { isClosed, rightsTo } from "./rights.js";
import { Roving } from "./roving.js";
import { countOf, dayKey, dayOf, isChat } from "./words.js";

/**
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/messages.js").ConversationHandle} ConversationHandle
 * @typedef {import("/client/messages.js").HistoryWindow} HistoryWindow
 * @typedef {import("/client/messages.js").Item} Item
 * @typedef {import("/client/messages.js").Message} Message
 * @typedef {import("./dom.js").Row} Row
 *
 * What a user can do with a message, and with one that waits.
 *
 * @typedef {"react" | "reply" | "edit" | "remove" | "pin" | "report" | "editRefused" | "retry" | "discard"} Act
 * @typedef {Record<Act, (...what: any) => unknown> & { save?: (id: string, name: string) => unknown,
 *   replies?: (message: Message) => unknown }} Actions
 */

/** Messages of one sender within this time are shown as a group. */
const RUN_MS = 5 * 60 * 1000;
/** What stands for a message to which another one replies, until it is fetched. */
const UNSEEN = { text: "An earlier message" };
/** How near an edge counts as being at it, in pixels. */
const NEAR = 120;

export class Thread {
  /** The divider is before the first message that came after the number `#newAfter`. */
  #user; #reading; #growing; #pins; #limits; #on; #replies;
  #open = /** @type {ConversationHandle | null} */ (null); #window = /** @type {HistoryWindow | null} */ (null);
  #isBlind = false; #newAfter = /** @type {number | undefined} */ (undefined);
  #hasFailed = false; #isAtEnd = true; #height = 0;
  #roving = new Roving($("log"), "article");

  /**
   * `message(id)` is a message of the copy, and `limits()` are those of the user.
   *
   * @param {{ user: string, reading: import("./reading.js").Reading, growing: import("./growing.js").Growing,
   *   pins: import("./pins.js").Pins, limits: () => import("./rights.js").Limits,
   *   message: (id: number) => Promise<Message | undefined>, on: Actions }} parts
   */
  constructor({ user, reading, growing, pins, limits, message, on }) {
    this.#user = user;
    this.#reading = reading;
    [this.#growing, this.#pins, this.#limits] = [growing, pins, limits];
    const onCover = () => (($("messages").inert) ? reading.forget() : this.render());
    this.#replies = new Replies({ user, limits, message, onCover, on });
    this.#on = { ...on, show: (message) => this.show(message), replies: (message) => this.#showReplies(message) };
    $("messages").addEventListener("scroll", () => this.#onScroll(), { passive: true });
    // The keyboard of a phone makes the messages smaller, as a longer text in the composer does.
    new ResizeObserver(() => this.#onResize()).observe($("messages"));
    $("to-end").addEventListener("click", () => this.toEnd());
    $("log").addEventListener("keydown", (event) => onKey(event));
  }

  /** @param {ConversationHandle} conversation */
  async open(conversation) {
    this.#leave();
    this.#reading.open(conversation);
    $("log").replaceChildren();
    const window = conversation.window();
    [this.#open, this.#window, this.#hasFailed] = [conversation, window, false];
    const { timestamp, read, unread = 0 } = window.conversation ?? {};
    this.#isBlind = timestamp === undefined;
    this.#newAfter = unread > 0 ? read : undefined;
    window.watch(() => this.#show(window));
    const isThere = await window.open();
    if (window !== this.#window) return;
    if (isThere) return this.#place(() => $("log").querySelector(".new"));
    // The first unread message cannot be fetched now: what the copy has of the newest ones is shown, and not marked.
    this.#reading.stray();
    this.#hasFailed = true;
    await window.toEnd();
    if (window === this.#window) await this.#place(() => null);
  }

  /** Opens the conversation again if it could not be fetched: the service is back. */
  async retry() {
    if (this.#open && this.#hasFailed) await this.open(this.#open);
  }

  close() {
    this.#leave();
    this.#reading.open(null);
  }

  #leave() {
    this.#replies.close();
    this.#window?.close();
    [this.#open, this.#window] = [null, null];
  }

  /** Shows what the copy holds now. */
  async render() {
    await this.#window?.refresh();
  }

  /** Whether the newest message is shown. */
  get #hasEnd() {
    return Boolean(this.#window?.isOpen && !this.#window.hasNewer);
  }

  /** @returns {Partial<Conversation>} the open one as the copy has it; if it does not, only what names it */
  get #conversation() {
    return this.#window?.conversation ?? this.#open ?? {};
  }

  /** @param {HistoryWindow} window */
  #show(window) {
    const { conversation, messages, waiting, hasNewer } = window;
    // The conversation was not in the copy yet when it was opened.
    if (this.#open && this.#isBlind && (conversation?.messages ?? 0) > messages.length) return this.open(this.#open);
    // What comes while nobody looks is new for whoever comes back.
    if (document.hidden && conversation?.unread) this.#newAfter ??= conversation.read;
    const keep = keepPlace(!hasNewer && !document.hidden);
    const rows = [...expiredIn(window), ...this.#rows(messages, window.quoted), ...this.#waiting(messages, waiting)];
    reconcile($("log"), rows);
    keep();
    this.#replies.update();
    $("no-messages").hidden = rows.length > 0;
    this.#roving.keepStop($("log").querySelector("li:last-child article"));
    this.#reading.watch($("log").querySelectorAll("[data-number]"), conversation?.read ?? 0);
    this.#onScroll();
  }

  #showReplies(message) {
    const [conversation, window] = [this.#open, this.#window];
    if (conversation && window) return this.#replies.open(message, { conversation, window });
  }

  /** Goes to the newest message. What is passed over counts as read. */
  async toEnd() {
    this.#reading.settle();
    if (this.#hasEnd) {
      scrollToEnd();
      this.#isAtEnd = true;
      return this.render();
    }
    if (await this.#window?.toEnd()) await this.#place(() => null);
  }

  /**
   * Goes to a message, however far, and highlights it.
   *
   * @param {Message} message
   */
  async show({ id, number }) {
    const find = () => $("log").querySelector(`[data-key="${id}"]`);
    if (!find() && (await this.#window?.open(number)) && number > (this.#conversation.read ?? 0)) this.#reading.stray();
    const shown = find()?.querySelector("article");
    if (!shown) return;
    shown.scrollIntoView({ block: "center" });
    shown.focus({ preventScroll: true });
    shown.classList.add("found");
    shown.addEventListener("animationend", () => shown.classList.remove("found"), { once: true });
    await this.#fill();
  }

  /** Scrolls to an element of the messages, or to the end; then fills the screen. */
  async #place(find) {
    await this.render();
    const to = find();
    if (to) to.scrollIntoView({ block: "start" });
    else scrollToEnd();
    this.#onScroll();
    await this.#fill();
  }

  /**
   * @param {Message[]} messages
   * @param {Map<number, Message>} quoted
   */
  #rows(messages, quoted) {
    /** @type {Row[]} */
    const rows = [];
    const counts = countReplies(messages);
    let day;
    let isNewShown = this.#newAfter === undefined;
    messages.forEach((message, at) => {
      const [before, after] = [messages[at - 1], messages[at + 1]];
      // The copy never had the message of some tombstones: then the day is unknown.
      const isNewDay = message.created && dayKey(message.created) !== day;
      if (isNewDay) {
        day = dayKey(message.created);
        rows.push(this.#day(message));
      }
      const isNew = !isNewShown && message.number > (this.#newAfter ?? 0) && !message.deleted && !message.system;
      if (isNew) {
        isNewShown = true;
        rows.push(["new", "", () => element("li", { class: "day new" }, element("span", {}, "New messages"))]);
      }
      rows.push(this.#row(message, message.replyTo && (quoted.get(message.replyTo) ?? UNSEEN), {
        isFirst: isNewDay || isNew || !isRun(before, message),
        isLast: !isRun(message, after),
        replies: this.#repliesTo(counts.get(message.id)),
      }));
    });
    return rows;
  }

  /**
   * What is said of the replies to a message. They come after it, so all are there if the window reaches to the end.
   *
   * @param {number} [count]
   */
  #repliesTo(count) {
    if (!count) return undefined;
    return this.#hasEnd ? countOf(count, "reply", "replies") : "Replies";
  }

  /**
   * @param {Message} message
   * @returns {Row}
   */
  #day({ id, created }) {
    const name = dayOf(created);
    return [`day ${id}`, name, () => element("li", { class: "day" }, element("span", {}, name))];
  }

  /** @returns {Row} */
  #row(message, quoted, run) {
    const user = this.#user;
    const isMine = message.from === user;
    const inChat = isChat(this.#conversation);
    const rights = rightsTo(message, user, this.#conversation, Date.now(), this.#limits());
    const can = { ...rights, isPinned: this.#pins.has(message.id) };
    const receipt = isMine ? receiptOf(message, this.#conversation.reads, inChat) : undefined;
    const growing = this.#growing.textOf(message);
    const signature = JSON.stringify([
      message.timestamp, message.waiting, message.reactions, receipt, run, can, quoted?.timestamp, growing,
    ]);
    const look = { user, inChat, receipt, quoted, can, on: this.#on, ...run };
    return [`${message.id}`, signature, () => bubble({ ...message, text: growing ?? message.text }, look)];
  }

  /**
   * @param {Message[]} messages
   * @param {Item[]} pending
   * @returns {Row[]}
   */
  #waiting(messages, pending) {
    const follows = (at) => at > 0 || (messages.at(-1)?.from === this.#user && !messages.at(-1)?.deleted);
    const isOver = isClosed(this.#conversation, Date.now(), this.#limits());
    return pending.map((item, at) => [`outbox ${item.order}`, `${isOver} ${item.refused?.words ?? ""}`, () => pendingBubble(item, {
      isFirst: !follows(at),
      user: this.#user,
      onEdit: isOver ? undefined : () => this.#on.editRefused(item),
      onRetry: isOver ? undefined : () => this.#on.retry(item),
      onDiscard: () => this.#on.discard(item),
    })]);
  }

  #onResize() {
    if (this.#isAtEnd) scrollToEnd();
    this.#height = $("messages").clientHeight;
    this.#onScroll();
  }

  #onScroll() {
    // A scroll event may arrive after the pane has become smaller, and before the event of that.
    if ($("messages").clientHeight === this.#height) this.#isAtEnd = this.#hasEnd && isAtEnd();
    const unread = this.#conversation.unread ?? 0;
    $("to-end").hidden = this.#isAtEnd && !(this.#reading.isAstray && unread > 0);
    $("to-end-count").textContent = unread > 99 ? "99+" : `${unread}`;
    $("to-end-count").hidden = unread === 0;
    if ($("messages").scrollTop < NEAR || isAtEnd()) this.#fill();
  }

  /** Shows more until there is something to scroll. Offline there is nothing: the next scroll tries again. */
  async #fill() {
    const window = this.#window;
    if (!window) return;
    const isOpen = () => window === this.#window;
    while (isOpen() && $("messages").scrollTop < NEAR && (await window.older()));
    while (isOpen() && isAtEnd() && (await window.newer()));
  }
}

/**
 * Where the messages begin that are kept, if earlier ones have expired.
 *
 * @param {HistoryWindow} window
 * @returns {Row[]}
 */
function expiredIn({ conversation, hasOlder }) {
  if (hasOlder || !conversation?.first) return [];
  const words = "Earlier messages are no longer kept";
  return [["expired", "", () => element("li", { class: "day" }, element("span", {}, words))]];
}

/**
 * Whether a message and the next one are shown as a group.
 *
 * @param {Message | undefined} one
 * @param {Message | undefined} next
 */
function isRun(one, next) {
  if (!one?.created || !next?.created || one.from !== next.from || one.deleted || next.deleted) return false;
  if (one.system || next.system) return false;
  const apart = Date.parse(next.created) - Date.parse(one.created);
  return apart < RUN_MS && dayKey(one.created) === dayKey(next.created);
}

/**
 * A key for the message that has the focus: + reacts.
 *
 * @param {KeyboardEvent} event
 */
function onKey({ key, target, ctrlKey, metaKey, altKey }) {
  const article = /** @type {Element} */ (target);
  if (key === "+" && !ctrlKey && !metaKey && !altKey && article.matches("article")) article.querySelector("[aria-label=React]")?.dispatchEvent(new MouseEvent("click"));
}

function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("messages");
  return scrollHeight - scrollTop - clientHeight < NEAR;
}

function scrollToEnd() {
  $("messages").scrollTop = $("messages").scrollHeight;
}

/**
 * Returns a function that scrolls back to the present place: the first visible message or, if the reader `follows`
 * and is there, the end.
 */
function keepPlace(follows) {
  if (follows && isAtEnd()) return scrollToEnd;
  const edge = $("messages").getBoundingClientRect().top;
  const seen = Array.from($("log").children).find((child) => child.getBoundingClientRect().bottom > edge);
  const top = seen?.getBoundingClientRect().top ?? 0;
  return () => {
    const now = seen && $("log").querySelector(`[data-key="${seen.dataset.key}"]`);
    if (now) $("messages").scrollTop += now.getBoundingClientRect().top - top;
  };
}
