// @ts-check
/** A user's client: the copy, and what keeps it current and sends. */
import { Calls, claimsOf, Problem, rethrowBug } from "./calls.js";
import { Conversation } from "./conversation.js";
import { Copy } from "./copy.js";
import { History } from "./history.js";
import { keyOf, pathOf, randomKey } from "./keys.js";
import { memoryStore } from "./memory.js";
import { Outbox } from "./outbox.js";
import { joinTabs } from "./tabs.js";
import { follow } from "./timeline.js";

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
 * What a client tells.
 *
 * @typedef {object} Events
 * @property {(state: State, error?: unknown) => void} state
 * @property {(changed: Changed) => void} change the copy has changed
 * @property {(item: Item) => void} sent the service has acknowledged it
 * @property {(item: Item) => void} refused the service will never accept it, for the reason in `refused`. Messages and
 *   changes of messages stay in the outbox until they are tried again or discarded
 * @property {(wait: { key: string, seconds: number }) => void} wait in a slow chat, nothing can be sent for so long
 * @property {(error: unknown) => void} end the client has ended: the token is not accepted any more (a
 *   {@link Problem}), or the copy cannot be kept
 */

export class Client {
  #calls;
  #copy;
  #history;
  #outbox;
  #transport;
  #given;
  #store;
  #ending = new AbortController();
  /** @type {ReturnType<typeof joinTabs>} */
  #tabs = { tell() {}, lead: (work) => work() };
  /** @type {{ [name in keyof Events]: Set<Events[name]> }} */
  #listeners = {
    state: new Set(), change: new Set(), sent: new Set(), refused: new Set(), wait: new Set(), end: new Set(),
  };
  #windows = /** @type {Set<WeakRef<HistoryWindow>>} */ (new Set());
  #state = /** @type {State} */ ("connecting");
  #leads = false;
  #isFetching = false;

  /** Resolves when the copy can be read. Rejects if there is none, as in a browser that keeps no data. */
  ready;

  /** @param {ConnectOptions} options */
  constructor({ store = memoryStore(), transport = "stream", user, ...options }) {
    const calls = new Calls(options);
    this.#calls = calls;
    this.#copy = new Copy(store, (changed) => this.#onChange(changed));
    this.#history = new History(calls, this.#copy);
    this.#store = store;
    this.#transport = transport;
    this.#given = { user, token: options.token };
    this.#outbox = new Outbox({
      calls, copy: this.#copy, signal: this.#ending.signal,
      onWait: (key, seconds) => this.#share("wait", { key, seconds }),
      onSent: (item) => this.#share("sent", item),
      onRefused: (item) => this.#share("refused", item),
    });
    this.ready = this.#open();
    this.ready.then(() => this.#run(), (error) => this.#end(error));
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
      calls: this.#calls, copy: this.#copy, history: this.#history,
      enqueue: (item) => this.#enqueue(item),
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
  async retry(item) {
    await this.#copy.amend(item, { refused: undefined });
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
    const base = { base: conflict.timestamp, texts: [conflict.text], conflict: undefined };
    await this.#copy.amend(item, isKept ? base : null);
  }

  /**
   * Brings messages of a conversation into the copy, by their ids.
   *
   * @param {string} key
   * @param {number[]} ids
   */
  fetch(key, ids) {
    return this.#history.fetch(key, ids);
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

  async #open() {
    const { user, token } = this.#given;
    await this.#copy.open(user ?? (token && claimsOf(token)?.sub));
    this.#tabs = joinTabs(this.#store.name, this.#ending.signal, (message) => this.#onMessage(message));
    this.#tabs.tell({ type: "hello" });
  }

  async #run() {
    try {
      await this.#tabs.lead(() => this.#lead());
    } catch (error) {
      this.#end(error);
    }
  }

  /** Follows and sends, as the one tab that does. */
  async #lead() {
    if (this.#ending.signal.aborted) return;
    this.#leads = true;
    // What the tab before has not told any more.
    await this.#copy.reload();
    if (this.user === undefined) await this.#learnUser();
    const { signal } = this.#ending;
    const following = { calls: this.#calls, copy: this.#copy, transport: this.#transport, signal };
    const onState = (/** @type {State} */ state, /** @type {unknown} */ error) => this.#onState(state, error);
    await Promise.race([follow({ ...following, onState }), this.#outbox.run()]);
  }

  /** Whose token it is, where the client was not told. */
  async #learnUser() {
    const user = claimsOf(await this.#calls.token())?.sub;
    if (user === undefined) throw new Error("the token does not say whose it is: connect() needs the user");
    await this.#copy.open(user);
  }

  /**
   * @param {State} state
   * @param {unknown} [error]
   */
  #onState(state, error) {
    this.#share("state", state, error);
    if (state !== "current") return;
    this.#outbox.hurry();
    this.#fetchDue();
  }

  /** @param {Changed} changed */
  #onChange(changed) {
    this.#tabs.tell({ type: "change", ...changed });
    this.#show(changed);
    if (!this.#leads) return;
    if (this.outbox.length) this.#outbox.wake();
    if (this.#state === "current") this.#fetchDue();
  }

  /** @param {Changed} changed */
  #show(changed) {
    for (const reference of this.#windows) {
      const window = reference.deref();
      if (!window) this.#windows.delete(reference);
      else if (changed.isReset || changed.conversations.has(window.key)) this.#refresh(window);
    }
    this.#emit("change", changed);
  }

  /** @param {HistoryWindow} window */
  async #refresh(window) {
    try {
      await window.refresh();
    } catch (error) {
      rethrowBug(error);
    }
  }

  /**
   * What another tab tells.
   *
   * @param {any} message
   */
  async #onMessage({ type, ...told }) {
    switch (type) {
      case "hello":
        if (this.#leads) this.#tabs.tell({ type: "state", values: [this.#state] });
        break;
      case "change":
        if (told.isReset) await this.#copy.reload();
        else await this.#copy.reloadThose([...told.conversations]);
        this.#show(/** @type {Changed} */ (told));
        if (this.#leads) this.#outbox.wake();
        break;
      case "end":
        this.#end(undefined);
        break;
      default:
        if (type === "state") this.#state = told.values[0];
        this.#emit(type, ...told.values);
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
      for (let { due } = this.#copy; due.length; { due } = this.#copy) {
        for (const { key, due: since } of due) await this.#copy.fetched(key, await this.#find(key), since);
      }
    } catch (error) {
      // They are fetched when the copy is current again.
      rethrowBug(error);
    } finally {
      this.#isFetching = false;
    }
  }

  /**
   * A conversation as the service has it, or null.
   *
   * @param {string} key
   */
  async #find(key) {
    try {
      return await this.#calls.call("GET", pathOf(key));
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
      return null;
    }
  }

  /** @param {any} item */
  async #enqueue(item) {
    await this.ready;
    await this.#copy.enqueue(item);
  }

  /** @param {unknown} error */
  #end(error) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#emit("end", error);
  }

  /**
   * Tells it in all tabs.
   *
   * @template {"state" | "wait" | "sent" | "refused"} Name
   * @param {Name} name
   * @param {Parameters<Events[Name]>} values
   */
  #share(name, ...values) {
    if (name === "state") this.#state = /** @type {State} */ (values[0]);
    // An error cannot be copied to another tab whole.
    this.#tabs.tell({ type: name, values: values.slice(0, 1) });
    this.#emit(name, ...values);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Parameters<Events[Name]>} values
   */
  #emit(name, ...values) {
    for (const listener of [...this.#listeners[name]]) /** @type {any} */ (listener)(...values);
  }
}
