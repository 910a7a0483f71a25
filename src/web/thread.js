/** The open conversation: its messages from the oldest shown one on. Scrolling up shows older ones. */
import { rethrowBug } from "./api.js";
import { bubble, pendingBubble } from "./bubble.js";
import { olderMessages } from "./conversations.js";
import { $, element, reconcile } from "./dom.js";
import { dayKey, dayOf, isChat } from "./words.js";

const PAGE = 50;
/** Messages of one sender within this time are shown as a group. */
const RUN_MS = 5 * 60 * 1000;
/** How near an edge counts as being at it, in pixels. */
const NEAR = 120;

export class Thread {
  /**
   * `#oldest` is the oldest shown message. It is undefined when everything is shown: a message with a lower
   * number may still arrive, such as one that was sent just before the user's own.
   */
  #call; #store; #user; #on;
  #key = null; #conversation; #oldest; #newFrom; #isComplete = false; #going = null;
  #begun = 0; #shown = 0; #isAtEnd = true; #height = 0;

  constructor({ call, store, user, on }) {
    this.#call = call;
    this.#store = store;
    this.#user = user;
    this.#on = { ...on, show: (message) => this.show(message) };
    $("messages").addEventListener("scroll", () => this.#onScroll(), { passive: true });
    // The keyboard of a phone makes the messages smaller, as a longer text in the composer does.
    new ResizeObserver(() => this.#onResize()).observe($("messages"));
    $("to-end").addEventListener("click", () => this.toEnd());
    $("log").addEventListener("focusin", ({ target }) => rove(target.closest("article")));
    $("log").addEventListener("keydown", onKey);
  }

  async open(key) {
    [this.#key, this.#oldest, this.#isComplete, this.#going] = [key, undefined, false, null];
    this.#conversation = undefined;
    $("log").replaceChildren();
    const held = await this.#store.messagesBefore(key, Number.MAX_SAFE_INTEGER, PAGE);
    const [unread] = await this.#store.unread(key);
    if (this.#key !== key) return;
    const whole = beforeGap(held);
    this.#oldest = held.length < PAGE && whole === held.length ? undefined : held[whole - 1];
    this.#isComplete = !isChat(key) && !this.#oldest;
    this.#newFrom = unread?.id;
    await this.render();
    this.toEnd();
    await this.#fill();
  }

  close() {
    this.#key = null;
  }

  /** Shows what the copy holds now. */
  async render() {
    const key = this.#key;
    if (!key) return;
    const turn = ++this.#begun;
    const { conversation, messages, pending } = await this.#store.conversationFrom(key, this.#oldest?.number ?? 0);
    const quoted = await this.#quoted(messages);
    // A call that began later has read later.
    if (this.#key !== key || turn < this.#shown) return;
    this.#shown = turn;
    this.#conversation = conversation;
    const keep = keepPlace();
    reconcile($("log"), [...this.#rows(messages, quoted), ...this.#waiting(messages, pending)]);
    keep();
    $("no-messages").hidden = messages.length + pending.length > 0;
    if (!$("log").querySelector("article[tabindex='0']")) rove($("log").querySelector("li:last-child article"));
    this.#onScroll();
  }

  toEnd() {
    $("messages").scrollTop = $("messages").scrollHeight;
    this.#isAtEnd = true;
  }

  /** Goes back to a message, however far, and highlights it. */
  async show({ id }) {
    while (!this.#isComplete && !(this.#oldest?.id <= id) && (await this.#older())) { /* further back */ }
    const shown = $("log").querySelector(`[data-key="${id}"] article`);
    if (!shown) return;
    shown.scrollIntoView({ block: "center" });
    shown.focus({ preventScroll: true });
    shown.classList.add("found");
    shown.addEventListener("animationend", () => shown.classList.remove("found"), { once: true });
  }

  #rows(messages, quoted) {
    const rows = [];
    let day;
    messages.forEach((message, at) => {
      const [before, after] = [messages[at - 1], messages[at + 1]];
      // The copy never had the message of some tombstones: then the day is unknown.
      const isNewDay = message.created && dayKey(message.created) !== day;
      if (isNewDay) {
        day = dayKey(message.created);
        rows.push(this.#day(message));
      }
      const isNew = message.id === this.#newFrom;
      if (isNew) rows.push(["new", "", () => element("li", { class: "day new" }, element("span", {}, "New"))]);
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
    const isOwner = this.#conversation?.chat?.owner === this.#user;
    const can = { edit: isMine, remove: isMine || !inChat || isOwner };
    const isRead = isMine && message.number <= (this.#conversation?.positions?.other ?? 0);
    const signature = JSON.stringify([message.timestamp, isRead, run, can, quoted?.timestamp]);
    const look = { user: this.#user, inChat, isRead, quoted, can, on: this.#on, ...run };
    return [`${message.id}`, signature, () => bubble(message, look)];
  }

  #waiting(messages, pending) {
    const follows = (at) => at > 0 || (messages.at(-1)?.from === this.#user && !messages.at(-1).deleted);
    const isGone = Boolean(this.#conversation?.isGone);
    return pending.map((item, at) => [`outbox ${item.order}`, `${isGone} ${item.refused ?? ""}`, () => pendingBubble(item, {
      isFirst: !follows(at),
      onRetry: isGone ? undefined : () => this.#on.retry(item),
      onDiscard: () => this.#on.discard(item),
    })]);
  }

  /** The messages to which these reply, by their ids. */
  async #quoted(messages) {
    // Of a personal conversation, the copy misses only messages that were deleted before it could store them.
    const missing = (id) => (isChat(this.#key) ? { id, text: "An earlier message" } : { deleted: true });
    const shown = new Map(messages.map((message) => [message.id, message]));
    const quoted = new Map();
    for (const { replyTo } of messages) {
      if (replyTo && !quoted.has(replyTo)) {
        const held = shown.get(replyTo) ?? (await this.#store.message(replyTo));
        quoted.set(replyTo, held ?? missing(replyTo));
      }
    }
    return quoted;
  }

  #onResize() {
    if (this.#isAtEnd) this.toEnd();
    this.#height = $("messages").clientHeight;
    this.#onScroll();
  }

  #onScroll() {
    // A scroll event may arrive after the pane has become smaller, and before the event of that.
    if ($("messages").clientHeight === this.#height) this.#isAtEnd = isAtEnd();
    $("to-end").hidden = this.#isAtEnd;
    if ($("messages").scrollTop < NEAR) this.#fill();
  }

  /** Fetches until there is something to scroll. */
  async #fill() {
    while (this.#key && $("messages").scrollTop < NEAR && (await this.#older()));
  }

  /** Goes one page back; returns whether there was one. Callers meanwhile wait for the same page. */
  #older() {
    const isEnd = this.#isComplete || this.#conversation?.isGone;
    if (this.#going || isEnd || !this.#key) return this.#going ?? false;
    const going = this.#fetchOlder(this.#key).finally(() => {
      if (this.#going === going) this.#going = null;
    });
    this.#going = going;
    return going;
  }

  async #fetchOlder(key) {
    try {
      const page = await olderMessages(this.#call, this.#store, key, this.#oldest);
      if (this.#key !== key) return false;
      const isEnd = isChat(key) ? page.at(-1)?.number === 1 : page.length < PAGE;
      this.#isComplete = isEnd || page.length === 0;
      this.#oldest = this.#isComplete ? undefined : page.at(-1);
      await this.render();
      return page.length > 0;
    } catch (error) {
      // Offline: the next scroll tries again.
      rethrowBug(error);
      return false;
    }
  }
}

/**
 * How many of the newest messages are without a gap. Messages of a chat from a time when the user was not a
 * member are in the history alone.
 */
function beforeGap(held) {
  const gap = held.findIndex((message, at) => at > 0 && message.chat && message.number !== held[at - 1].number - 1);
  return gap < 0 ? held.length : gap;
}

function isRun(one, next) {
  if (!one?.created || !next?.created || one.from !== next.from || one.deleted || next.deleted) return false;
  const apart = Date.parse(next.created) - Date.parse(one.created);
  return apart < RUN_MS && dayKey(one.created) === dayKey(next.created);
}

function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("messages");
  return scrollHeight - scrollTop - clientHeight < NEAR;
}

/** Returns a function that scrolls back to the present place: the end, or else the first visible message. */
function keepPlace() {
  if (isAtEnd()) return () => { $("messages").scrollTop = $("messages").scrollHeight; };
  const edge = $("messages").getBoundingClientRect().top;
  const seen = Array.from($("log").children).find((child) => child.getBoundingClientRect().bottom > edge);
  const top = seen?.getBoundingClientRect().top;
  return () => {
    const now = seen && $("log").querySelector(`[data-key="${seen.dataset.key}"]`);
    if (now) $("messages").scrollTop += now.getBoundingClientRect().top - top;
  };
}

/** Makes one message the stop of the Tab key; the arrow keys move from there. */
function rove(article) {
  if (!article) return;
  for (const other of $("log").querySelectorAll("article[tabindex='0']")) other.tabIndex = -1;
  article.tabIndex = 0;
}

function onKey(event) {
  const articles = Array.from($("log").querySelectorAll("article"));
  const at = articles.indexOf(document.activeElement?.closest("article"));
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: articles.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  articles[to]?.focus();
}
