/**
 * The open conversation: its messages from one number to another one, without gaps. It opens at the first unread
 * message, or else at the end. Scrolling shows more, in both directions.
 */
import { bubble, pendingBubble, receiptOf } from "./bubble.js";
import { $, element, reconcile } from "./dom.js";
import { rightsTo, silenceOf } from "./rights.js";
import { Roving } from "./roving.js";
import { LAST } from "./store.js";
import { dayKey, dayOf, isChat } from "./words.js";

/** Messages of one sender within this time are shown as a group. */
const RUN_MS = 5 * 60 * 1000;
/** How near an edge counts as being at it, in pixels. */
const NEAR = 120;

export class Thread {
  /**
   * `#range` has the numbers of the first and the last shown message: `high` is `LAST` when the newest one is shown,
   * so that later ones appear. It is null until it is known. The divider is before the first message that came after
   * the number `#newAfter`.
   */
  #history; #store; #reading; #user; #on;
  #key = null; #conversation; #range = null; #isFirst = false; #isBlind = false; #newAfter; #extending = {};
  #hasFailed = false;
  #opened = 0; #begun = 0; #shown = 0; #isAtEnd = true; #height = 0; #asked = new Set();
  #roving = new Roving($("log"), "article");

  constructor({ history, store, reading, user, on }) {
    this.#history = history;
    this.#store = store;
    this.#reading = reading;
    this.#user = user;
    this.#on = { ...on, show: (message) => this.show(message) };
    $("messages").addEventListener("scroll", () => this.#onScroll(), { passive: true });
    // The keyboard of a phone makes the messages smaller, as a longer text in the composer does.
    new ResizeObserver(() => this.#onResize()).observe($("messages"));
    $("to-end").addEventListener("click", () => this.toEnd());
  }

  async open(key) {
    this.#reading.open(key);
    [this.#key, this.#conversation, this.#range] = [key, undefined, null];
    this.#asked.clear();
    $("log").replaceChildren();
    const turn = ++this.#opened;
    const { timestamp, read = 0, unread = 0, messages = 0 } = (await this.#store.conversation(key)) ?? {};
    if (turn !== this.#opened) return;
    this.#isBlind = timestamp === undefined;
    this.#hasFailed = false;
    this.#newAfter = unread > 0 ? read : undefined;
    const isThere = await this.#openAt(unread > 0 ? read : messages, messages, turn);
    if (isThere) return this.#place(() => $("log").querySelector(".new"));
    if (turn !== this.#opened) return;
    // The first unread message cannot be fetched now: what the copy has of the newest ones is shown, and not marked.
    this.#reading.stray();
    this.#hasFailed = true;
    const hasNewest = await this.#openAt(messages, messages, turn);
    if (turn !== this.#opened) return;
    if (!hasNewest) this.#range = { low: messages + 1, high: LAST };
    await this.#place(() => null);
  }

  /** Opens the conversation again if it could not be fetched: the service is back. */
  async retry() {
    if (this.#key && this.#hasFailed) await this.open(this.#key);
  }

  close() {
    this.#key = null;
    this.#opened += 1;
    this.#reading.open(null);
  }

  /** Shows what the copy holds now. */
  async render() {
    const [key, range] = [this.#key, this.#range];
    if (!key || !range) return;
    const turn = ++this.#begun;
    const { conversation, messages, pending } = await this.#store.conversationWith(key, range);
    const quoted = await this.#quoted(messages);
    // A call that began later has read later.
    if (this.#range !== range || turn < this.#shown) return;
    // The conversation was not in the copy yet when it was opened.
    if (this.#isBlind && conversation?.messages > messages.length) return this.open(key);
    this.#shown = turn;
    this.#conversation = conversation;
    // What comes while nobody looks is new for whoever comes back.
    if (document.hidden && conversation?.unread > 0) this.#newAfter ??= conversation.read;
    const keep = keepPlace(range.high === LAST && !document.hidden);
    const waiting = range.high === LAST ? this.#waiting(messages, pending) : [];
    reconcile($("log"), [...this.#rows(messages, quoted), ...waiting]);
    keep();
    $("no-messages").hidden = messages.length + pending.length > 0;
    this.#roving.keepStop($("log").querySelector("li:last-child article"));
    this.#reading.watch($("log").querySelectorAll("[data-number]"), conversation?.read ?? 0);
    this.#onScroll();
  }

  /** Goes to the newest message. What is passed over counts as read. */
  async toEnd() {
    this.#reading.settle();
    if (this.#range?.high === LAST) {
      scrollToEnd();
      this.#isAtEnd = true;
      return this.render();
    }
    const turn = ++this.#opened;
    const { messages = 0 } = (await this.#store.conversation(this.#key)) ?? {};
    if (await this.#openAt(messages, messages, turn)) await this.#place(() => null);
  }

  /** Goes to a message, however far, and highlights it. */
  async show({ id, number }) {
    const find = () => $("log").querySelector(`[data-key="${id}"]`);
    if (!find()) {
      const turn = ++this.#opened;
      const { messages = 0, read = 0 } = (await this.#store.conversation(this.#key)) ?? {};
      if (await this.#openAt(number, messages, turn)) {
        if (number > read) this.#reading.stray();
        await this.render();
      }
    }
    const shown = find()?.querySelector("article");
    if (!shown) return;
    shown.scrollIntoView({ block: "center" });
    shown.focus({ preventScroll: true });
    shown.classList.add("found");
    shown.addEventListener("animationend", () => shown.classList.remove("found"), { once: true });
    await this.#fill();
  }

  /**
   * Shows the messages around a number, of which `last` is the newest. Returns whether there are some: not if they
   * cannot be fetched, or another conversation was opened meanwhile.
   */
  async #openAt(number, last, turn) {
    const key = this.#key;
    const [{ low, isFirst }, high] = await Promise.all([
      this.#history.before(key, number + 1),
      this.#history.after(key, number, last),
    ]);
    // Whoever has joined late may read none of them.
    const isNone = low > high && last > 0 && !isFirst;
    if (turn !== this.#opened || isNone || (high === number && number < last)) return false;
    this.#range = { low: isFirst ? 1 : low, high: high >= last ? LAST : high };
    [this.#isFirst, this.#extending] = [isFirst, {}];
    return true;
  }

  /** Shows the messages and scrolls to an element of them, or to the end; then fills the screen. */
  async #place(find) {
    await this.render();
    const to = find();
    if (to) to.scrollIntoView({ block: "start" });
    else scrollToEnd();
    this.#onScroll();
    await this.#fill();
  }

  #rows(messages, quoted) {
    const rows = [];
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
      const isNew = !isNewShown && message.number > this.#newAfter && !message.deleted && !message.system;
      if (isNew) {
        isNewShown = true;
        rows.push(["new", "", () => element("li", { class: "day new" }, element("span", {}, "New messages"))]);
      }
      rows.push(this.#row(message, quoted.get(message.replyTo), {
        isFirst: isNewDay || isNew || !isRun(before, message),
        isLast: !isRun(message, after),
      }));
    });
    return rows;
  }

  #day({ id, created }) {
    const name = dayOf(created);
    return [`day ${id}`, name, () => element("li", { class: "day" }, element("span", {}, name))];
  }

  #row(message, quoted, run) {
    const isMine = message.from === this.#user;
    const inChat = isChat(this.#key);
    const can = rightsTo(message, this.#user, this.#conversation ?? { key: this.#key }, Date.now());
    const receipt = isMine ? receiptOf(message, this.#conversation?.reads, inChat) : undefined;
    const signature = JSON.stringify([message.timestamp, receipt, run, can, quoted?.timestamp]);
    const look = { user: this.#user, inChat, receipt, quoted, can, on: this.#on, ...run };
    return [`${message.id}`, signature, () => bubble(message, look)];
  }

  #waiting(messages, pending) {
    const follows = (at) => at > 0 || (messages.at(-1)?.from === this.#user && !messages.at(-1).deleted);
    const { isGone, ...conversation } = this.#conversation ?? { key: this.#key };
    const isClosed = Boolean(isGone || silenceOf(conversation, Date.now()));
    return pending.map((item, at) => [`outbox ${item.order}`, `${isClosed} ${item.refused ?? ""}`, () => pendingBubble(item, {
      isFirst: !follows(at),
      user: this.#user,
      onEdit: isClosed ? undefined : () => this.#on.editRefused(item),
      onRetry: isClosed ? undefined : () => this.#on.retry(item),
      onDiscard: () => this.#on.discard(item),
    })]);
  }

  /** The messages to which these reply, by their ids. Those that the copy lacks are fetched, once. */
  async #quoted(messages) {
    const shown = new Map(messages.map((message) => [message.id, message]));
    const quoted = new Map();
    for (const { replyTo } of messages) {
      if (replyTo && !quoted.has(replyTo)) {
        const held = shown.get(replyTo) ?? (await this.#store.message(replyTo));
        quoted.set(replyTo, held ?? { id: replyTo, text: "An earlier message" });
      }
    }
    const missing = [...quoted.values()].filter(({ id, number }) => !number && !this.#asked.has(id)).map(({ id }) => id);
    for (const id of missing) this.#asked.add(id);
    if (missing.length) this.#history.fetch(this.#key, missing);
    return quoted;
  }

  #onResize() {
    if (this.#isAtEnd) scrollToEnd();
    this.#height = $("messages").clientHeight;
    this.#onScroll();
  }

  #onScroll() {
    // A scroll event may arrive after the pane has become smaller, and before the event of that.
    if ($("messages").clientHeight === this.#height) this.#isAtEnd = isAtEnd() && this.#range?.high === LAST;
    const unread = this.#conversation?.unread ?? 0;
    $("to-end").hidden = this.#isAtEnd && !(this.#reading.isAstray && unread > 0);
    $("to-end-count").textContent = unread > 99 ? "99+" : unread;
    $("to-end-count").hidden = unread === 0;
    if ($("messages").scrollTop < NEAR || isAtEnd()) this.#fill();
  }

  /** Shows more until there is something to scroll. */
  async #fill() {
    const isMissing = () => this.#key && this.#range;
    while (isMissing() && $("messages").scrollTop < NEAR && (await this.#extend("older")));
    while (isMissing() && isAtEnd() && (await this.#extend("newer")));
  }

  /** Shows one page more; returns whether there was one. Callers meanwhile wait for the same page. */
  #extend(direction) {
    const { low, high } = this.#range;
    const isEnd = direction === "older" ? this.#isFirst || low <= 1 : high === LAST;
    if (isEnd || this.#conversation?.isGone) return false;
    const [extending, turn] = [this.#extending, this.#opened];
    extending[direction] ??= (direction === "older" ? this.#older(low, turn) : this.#newer(high, turn))
      .finally(() => { extending[direction] = null; });
    return extending[direction];
  }

  // Offline there is no page: the next scroll tries again.

  async #older(from, turn) {
    const { low, isFirst } = await this.#history.before(this.#key, from);
    if (turn !== this.#opened || (low === from && !isFirst)) return false;
    this.#isFirst = isFirst;
    this.#range = { ...this.#range, low: isFirst ? 1 : low };
    await this.render();
    return true;
  }

  async #newer(from, turn) {
    const last = this.#conversation?.messages ?? 0;
    const high = await this.#history.after(this.#key, from, last);
    if (turn !== this.#opened || (high === from && high < last)) return false;
    this.#range = { ...this.#range, high: high >= last ? LAST : high };
    await this.render();
    return true;
  }
}

function isRun(one, next) {
  if (!one?.created || !next?.created || one.from !== next.from || one.deleted || next.deleted) return false;
  if (one.system || next.system) return false;
  const apart = Date.parse(next.created) - Date.parse(one.created);
  return apart < RUN_MS && dayKey(one.created) === dayKey(next.created);
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
  const top = seen?.getBoundingClientRect().top;
  return () => {
    const now = seen && $("log").querySelector(`[data-key="${seen.dataset.key}"]`);
    if (now) $("messages").scrollTop += now.getBoundingClientRect().top - top;
  };
}
