// @ts-check
/** A user's client: the copy, and what keeps it current and sends. */
import { Calls, claimsOf, isBug, OtherUser, Problem, report, unlessRefused } from "./calls.js";
import { Conversation } from "./conversation.js";
import { Copy } from "./copy.js";
import { History } from "./history.js";
import { keyOf, pathOf, randomKey } from "./keys.js";
import { memoryStore } from "./memory.js";
import { Outbox } from "./outbox.js";
import { ALONE, joinTabs } from "./tabs.js";
import { follow } from "./timeline.js";
import { Typing } from "./typing.js";

/**
 * @typedef {import("./copy.js").Item} Item
 * @typedef {import("./copy.js").Changed} Changed
 * @typedef {import("./timeline.js").State} State
 * @typedef {import("./window.js").HistoryWindow} HistoryWindow
 */

/**
 * @typedef {object} Settings
 * @property {string} [base] where the service is, as `https://messages.example`; the page's own host if it is left out
 * @property {string} [user] whose client it is: needed only where tokens do not say that
 * @property {import("./memory.js").Store} [store] where the copy is kept; in memory if it is left out
 * @property {"stream" | "poll"} [transport] `poll` works wherever `fetch` does, also without streams of bytes
 *
 * @typedef {Settings & import("./calls.js").Credentials} ConnectOptions
 */

/**
 * What another user signals in a conversation, which `key` names.
 *
 * @typedef {Omit<import("./copy.js").Schemas["Signal"], "chat" | "with"> & { key: string }} Signal
 */

/**
 * What a client tells.
 *
 * @typedef {object} Events
 * @property {(state: State, error?: unknown) => void} state
 * @property {(changed: Changed) => void} change the copy has changed
 * @property {(item: Item) => void} sent the service has acknowledged it
 * @property {(item: Item) => void} refused the service will never accept it, for the reason in `refused`. Messages and
 *   changes of messages stay in the outbox until they are tried again or discarded
 * @property {(wait: { key: string, seconds: number }) => void} wait in a slow chat, nothing can be sent for so long
 * @property {(signal: Signal) => void} signal another user has signalled; only with streams
 * @property {(typing: { key: string, users: string[] }) => void} typing these other users are typing in a conversation;
 *   only with streams
 * @property {(error: unknown) => void} failure the copy cannot be read or written at present, as where there is no space.
 *   What needs it is tried again
 * @property {(error: unknown) => void} end the client has ended: the token is not accepted any more (a
 *   {@link Problem}), or the copy cannot be kept
 */

/** After this time a token is asked for again that could not be had. */
const RENEWAL_PAUSE_MS = 2000;

export class Client {
  #calls;
  #copy;
  #history;
  #outbox;
  #transport;
  #ending = new AbortController();
  #tabs = ALONE;
  /** @type {{ [name in keyof Events]: Set<Events[name]> }} */
  #listeners = {
    state: new Set(), change: new Set(), sent: new Set(), refused: new Set(), wait: new Set(), signal: new Set(),
    typing: new Set(), failure: new Set(), end: new Set(),
  };
  #typing = new Typing((key) => this.#emit("typing", { key, users: this.#typing.users(key) }));
  #windows = /** @type {Set<WeakRef<HistoryWindow>>} */ (new Set());
  #state = /** @type {State} */ ("connecting");
  #leads = false;
  #isFetching = false;
  /** The cursor at which this tab has read the copy. @type {number | undefined} */
  #cursor;
  /** Messages of other tabs are handled one after the other. @type {Promise<void>} */
  #handling = Promise.resolve();

  /** Resolves when the copy can be read. Rejects if there is none, as in a browser that keeps no data. */
  ready;

  /** @param {ConnectOptions} options */
  constructor({ store = memoryStore(), transport = "stream", user, ...options }) {
    const calls = new Calls(options, (token) => this.#check(token));
    this.#calls = calls;
    this.#copy = new Copy(store, (changed) => this.#onChange(changed));
    this.#history = new History(calls, this.#copy);
    this.#transport = transport;
    this.#outbox = new Outbox({
      calls, copy: this.#copy, signal: this.#ending.signal,
      onWait: (key, seconds) => this.#share("wait", { key, seconds }),
      onFailure: (error) => this.#onFailure(error),
      onSent: (item) => this.#share("sent", item),
      onRefused: (item) => this.#share("refused", item),
    });
    this.#ending.signal.addEventListener("abort", () => this.#typing.clear());
    this.ready = this.#open(store.name, user ?? claimsOf(options.token ?? "")?.sub);
    this.ready.then(() => this.#tabs.lead(() => this.#lead())).catch((error) => this.#end(error));
  }

  // What there is.

  /** Whose client it is. */
  get user() {
    return this.#copy.user;
  }

  /** @returns {State} "current": everything so far is in the copy */
  get state() {
    return this.#state;
  }

  /**
   * All conversations, in the order of a list: the pinned ones first, then those with the newest message. The same
   * array until something has changed.
   */
  get conversations() {
    return this.#copy.conversations;
  }

  /** What is unread in conversations that are neither muted nor archived. */
  get unread() {
    const now = Date.now();
    const counted = this.conversations.filter(({ settings }) =>
      !settings?.archived && !(Date.parse(settings?.mutedUntil ?? "") > now));
    const sum = (/** @type {"unread" | "mentions"} */ name) =>
      counted.reduce((all, conversation) => all + (conversation[name] ?? 0), 0);
    const conversations = counted.filter(({ unread = 0 }) => unread > 0).length;
    return { messages: sum("unread"), mentions: sum("mentions"), conversations };
  }

  /** What waits to be sent, and what was refused. */
  get outbox() {
    return this.#copy.outbox;
  }

  /**
   * @param {string} key `users/john`, `chats/3`
   */
  conversation(key) {
    return new Conversation({
      calls: this.#calls, copy: this.#copy, history: this.#history, typing: this.#typing,
      isCurrent: () => this.#state === "current", enqueue: (item) => this.#enqueue(item),
      watch: (window) => this.#windows.add(new WeakRef(window)),
    }, key);
  }

  /** @param {number} number */
  chat(number) {
    return this.conversation(keyOf({ chat: number }));
  }

  /** @param {string} user */
  with(user) {
    return this.conversation(keyOf({ with: user }));
  }

  /**
   * A message of the copy by its id.
   *
   * @param {number} id
   */
  message(id) {
    return this.#copy.message(id);
  }

  // What can be done.

  /**
   * Calls `listener` whenever that happens. Returns a function that ends it.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} listener
   */
  on(name, listener) {
    this.#listeners[name].add(listener);
    return () => { this.#listeners[name].delete(listener); };
  }

  /**
   * Creates a chat. It needs the service. Repeated with the same `key` it creates no second one.
   *
   * @param {{ name: string, members?: string[] }} chat
   * @param {string} [key]
   */
  async createChat(chat, key = randomKey()) {
    const created = await this.#calls.call("POST", "/chats", { body: chat, headers: { "Idempotency-Key": key } });
    await this.#copy.addConversation(await this.#calls.call("GET", `/chats/${created.number}`));
    return this.chat(created.number);
  }

  /**
   * Tries again what was refused.
   *
   * @param {Item} item
   */
  retry(item) {
    return this.#copy.amend(item, { refused: undefined });
  }

  /**
   * Drops what waits or was refused.
   *
   * @param {Item} item
   */
  discard(item) {
    return this.#copy.amend(item, null);
  }

  /**
   * Decides a conflict: the change is made on the message as it is now, or dropped.
   *
   * @param {Item} item
   * @param {boolean} isKept
   */
  async resolve(item, isKept) {
    const { conflict } = item;
    if (!conflict) return;
    const base = { base: conflict.timestamp, texts: [conflict.text ?? ""], conflict: undefined };
    await this.#copy.amend(item, isKept ? base : null);
  }

  /**
   * Calls the service as the user, and returns the body of the answer.
   *
   * @param {string} method
   * @param {string} path
   * @param {import("./calls.js").CallOptions} [options]
   */
  call(method, path, options) {
    return this.#calls.call(method, path, options);
  }

  /**
   * Fetches something from another service that accepts the user's token, as one for files: the token goes to whatever
   * `url` names. A refusal is thrown as a {@link Problem}.
   *
   * @param {string} url
   * @param {RequestInit & { headers?: Record<string, string> }} [request]
   */
  fetch(url, request) {
    return this.#calls.fetch(url, request);
  }

  /** Ends the client. The copy stays. */
  close() {
    this.#ending.abort();
  }

  /** Ends the client in all tabs, and deletes the copy with what was not sent. */
  async destroy() {
    this.#tabs.tell({ type: "end" });
    this.close();
    await this.#copy.destroy();
  }

  // How it runs.

  /**
   * @param {string | undefined} name of the store
   * @param {string | undefined} user
   */
  async #open(name, user) {
    // Before anything is read: what changes meanwhile comes again.
    this.#tabs = joinTabs(name, this.#ending.signal, (message) => this.#receive(message));
    await this.#copy.open(user);
    this.#cursor = await this.#copy.cursor();
    this.#tabs.tell({ type: "hello" });
  }

  /** @param {string} token */
  #check(token) {
    const user = claimsOf(token)?.sub;
    if (user && this.user && user !== this.user) throw new OtherUser();
  }

  /** Follows and sends, as the one tab that does. */
  async #lead() {
    if (this.#ending.signal.aborted) return;
    this.#leads = true;
    // The tab before may have ended without a word of what it had just written.
    await this.#copy.reload();
    if ((await this.#copy.cursor()) !== this.#cursor) this.#onChange(everything());
    if (!this.user) await this.#learnUser();
    const following = follow({
      calls: this.#calls, copy: this.#copy, transport: this.#transport, signal: this.#ending.signal,
      onState: (state, error) => this.#onState(state, error),
      onSignal: (signal) => this.#onSignal(signal),
    });
    await Promise.race([following, this.#outbox.run()]);
  }

  /** Whose token it is, where the client was not given one. */
  async #learnUser() {
    for (;;) {
      try {
        const user = claimsOf(await this.#calls.token())?.sub;
        if (!user) throw new Error("connect() needs the user of this token");
        return await this.#copy.open(user);
      } catch (error) {
        if (!(error instanceof Problem && error.isTemporary)) throw error;
        this.#onState("offline", error);
        await new Promise((resolve) => { setTimeout(resolve, RENEWAL_PAUSE_MS); });
      }
    }
  }

  /**
   * @param {State} state
   * @param {unknown} [error]
   */
  #onState(state, error) {
    const wasCurrent = this.#state === "current";
    this.#share("state", state, error);
    if (error && !(error instanceof Problem)) this.#emit("failure", error);
    if (state !== "current" || wasCurrent) return;
    this.#outbox.hurry();
    this.#fetchDue();
    for (const window of this.#openWindows()) this.#look(() => window.retry());
  }

  /** @param {import("./copy.js").Schemas["Signal"]} signal */
  #onSignal({ chat, with: other, ...signal }) {
    this.#share("signal", { key: keyOf({ chat, with: other }), ...signal });
  }

  /** @param {Changed} changed */
  #onChange(changed) {
    this.#tabs.tell({ type: "change", ...changed });
    if (this.#leads && this.outbox.length) this.#outbox.wake();
    if (this.#leads && this.#state === "current") this.#fetchDue();
    this.#show(changed);
  }

  *#openWindows() {
    for (const reference of this.#windows) {
      const window = reference.deref();
      if (window) yield window;
      else this.#windows.delete(reference);
    }
  }

  /** @param {Changed} changed */
  #show(changed) {
    for (const window of this.#openWindows()) {
      if (changed.isReset) this.#look(() => window.reset());
      else if (changed.conversations.has(window.key)) this.#look(() => window.refresh());
    }
    for (const { conversation, from, edited } of changed.messages) {
      if (from && !edited) this.#typing.end(conversation, from);
    }
    this.#emit("change", changed);
  }

  /**
   * Reads something of the copy for a window.
   *
   * @param {() => Promise<void>} look
   */
  async #look(look) {
    try {
      await look();
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /** @param {unknown} error */
  #onFailure(error) {
    if (isBug(error)) report(error);
    else if (!(error instanceof Problem)) this.#emit("failure", error);
  }

  /**
   * What another tab says, after what it has said before.
   *
   * @param {any} message
   */
  #receive(message) {
    this.#handling = this.#handling.then(() => this.#look(() => this.#handle(message)));
  }

  /** @param {any} message */
  async #handle({ type, values = [], ...changed }) {
    switch (type) {
      case "hello":
        if (this.#leads) this.#tabs.tell({ type: "state", values: [this.#state] });
        break;
      case "change":
        await this.#copy.reload(changed.isReset ? undefined : changed.conversations);
        this.#cursor = await this.#copy.cursor();
        if (this.#leads) this.#outbox.wake();
        this.#show(/** @type {Changed} */ (changed));
        break;
      case "state":
      case "signal":
        // Without locks, each tab has a stream of its own.
        if (!this.#leads) this.#tellHere(type, ...values);
        break;
      case "sent":
      case "refused":
      case "wait":
        this.#tellHere(type, ...values);
        break;
      case "end":
        this.#end();
        break;
      // Anything else comes from a tab with another version.
    }
  }

  /**
   * Fetches the conversations of which the timeline tells only that they have changed. The copy notes which, so
   * nothing is forgotten when the client ends.
   */
  async #fetchDue() {
    if (this.#isFetching) return;
    this.#isFetching = true;
    try {
      const failed = new Set();
      const next = () => this.#copy.due.find((held) => !failed.has(held));
      for (let held = next(); held; held = next()) {
        const { key, due } = held;
        try {
          const found = await unlessRefused(this.#calls.call("GET", pathOf(key)), 404);
          await this.#copy.fetched(key, found, due);
        } catch (error) {
          // It is fetched when the copy is current again, or changes again.
          failed.add(held);
          this.#onFailure(error);
        }
      }
    } finally {
      this.#isFetching = false;
    }
  }

  /** @param {any} item */
  async #enqueue(item) {
    await this.ready;
    await this.#copy.enqueue(item);
  }

  /** @param {unknown} [error] */
  #end(error) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#state = "offline";
    this.#emit("end", error);
  }

  /**
   * Tells it in all tabs.
   *
   * @template {"state" | "signal" | "wait" | "sent" | "refused"} Name
   * @param {Name} name
   * @param {Parameters<Events[Name]>} values
   */
  #share(name, ...values) {
    // An error cannot be copied to another tab whole.
    this.#tabs.tell({ type: name, values: values.slice(0, 1) });
    this.#tellHere(name, ...values);
  }

  /**
   * Tells it in this tab.
   *
   * @template {"state" | "signal" | "wait" | "sent" | "refused"} Name
   * @param {Name} name
   * @param {any[]} values
   */
  #tellHere(name, ...values) {
    const [value] = values;
    if (name === "state") this.#state = value;
    this.#emit(name, .../** @type {any} */ (values));
    if (name === "signal" && value.kind === "typing") this.#typing.begin(value.key, value.from, value.ttl);
    if (value === "offline") this.#typing.clear();
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Parameters<Events[Name]>} values
   */
  #emit(name, ...values) {
    for (const listener of [...this.#listeners[name]]) {
      try {
        /** @type {any} */ (listener)(...values);
      } catch (error) {
        // What an application does with an event does not undo what has happened.
        report(error);
      }
    }
  }
}

/** @returns {Changed} */
const everything = () => ({ isReset: true, conversations: new Set(), messages: [] });
