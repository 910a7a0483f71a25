// @ts-check
/**
 * Sends what waits, until the service has acknowledged it. What is of one conversation goes in order; conversations do
 * not wait for each other, so what the service does not take holds up nothing else.
 *
 * A message has an idempotency key, so it can be repeated: the service answers with the message that exists already.
 * Everything else says what is to be, and can be repeated as well.
 */
import { pauseAfter, Problem, startTimer, unlessRefused } from "./calls.js";
import { GONE } from "./copy.js";
import { isChat, namedBy, pathOf } from "./keys.js";

const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 20_000;
/** The calls that are under way at a time. */
const CALLS_MAX = 4;

/**
 * @typedef {import("./copy.js").Item} Item
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 *
 * @typedef {object} Sending
 * @property {import("./calls.js").Calls} calls
 * @property {import("./copy.js").Copy} copy
 * @property {AbortSignal} signal
 * @property {(key: ConversationKey, seconds: number) => void} onWait a chat is slow: nothing can be sent for so long
 * @property {(item: Item) => void} onSent the service has acknowledged it
 * @property {(error: unknown) => void} onFailure an item could not be sent at present, or the copy not be
 *   written
 * @property {(item: Item) => void} onRefused the service will never accept it, for the reason in `refused`
 */

/**
 * What is under way of what goes in order.
 *
 * @typedef {object} Lane
 * @property {boolean} isBusy
 * @property {number} failures
 * @property {number} notBefore nothing is tried before this time
 * @property {number} [slowAt] if that is because the chat is slow: the version of the chat of which the service has
 *   said so
 */

export class Outbox {
  #sending;
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #wake = () => {};
  /** The calls that are under way. */
  #busy = 0;
  /** @type {Problem | undefined} */
  #end;

  /** @param {Sending} sending */
  constructor(sending) {
    this.#sending = sending;
  }

  /** There is something to send. */
  wake() {
    this.#wake();
  }

  /** The service is back: nothing waits for it any longer. */
  hurry() {
    for (const lane of this.#lanes.values()) if (lane.failures > 0) lane.notBefore = 0;
    this.#wake();
  }

  /** Sends until `signal` is aborted. Throws when the token has ended. */
  async run() {
    const { copy, signal } = this.#sending;
    signal.addEventListener("abort", () => this.#wake());
    while (!signal.aborted) {
      /** @type {Promise<void>} */
      const woken = new Promise((resolve) => { this.#wake = resolve; });
      let pauseMs = Infinity;
      const first = Array.from(firstOfEach(copy.outbox), ([name, item]) => ({ lane: this.#laneOf(name), item }));
      // What fails again and again does not take the turns of what does not.
      first.sort((one, other) => one.lane.failures - other.lane.failures);
      for (const { lane, item } of first) {
        if (lane.isBusy) continue;
        const left = hasEnded(lane, copy.conversation(item.conversation)) ? 0 : lane.notBefore - Date.now();
        if (left > 0) pauseMs = Math.min(pauseMs, left);
        else if (this.#busy < CALLS_MAX) this.#start(lane, item);
      }
      if (this.#end) throw this.#end;
      const stopTimer = startTimer(pauseMs, this.#wake);
      await woken;
      stopTimer();
    }
  }

  /** @param {string} name */
  #laneOf(name) {
    const lane = this.#lanes.get(name) ?? { isBusy: false, failures: 0, notBefore: 0 };
    this.#lanes.set(name, lane);
    return lane;
  }

  /**
   * @param {Lane} lane
   * @param {Item} item
   */
  async #start(lane, item) {
    lane.isBusy = true;
    this.#busy += 1;
    lane.slowAt = undefined;
    try {
      await this.#deliver(lane, item);
      lane.failures = 0;
    } catch (error) {
      // The service cannot be reached, or the copy cannot be written: both may pass.
      lane.notBefore = Date.now() + pauseAfter(error, lane.failures, PAUSE_MS, PAUSE_MAX_MS);
      lane.failures += 1;
      this.#sending.onFailure(error);
      if (error instanceof Problem && error.status === 401) this.#end = error;
    } finally {
      lane.isBusy = false;
      this.#busy -= 1;
      this.#wake();
    }
  }

  /**
   * @param {Lane} lane
   * @param {Item} item
   */
  async #deliver(lane, item) {
    const { copy, onWait, onSent, onRefused } = this.#sending;
    try {
      const message = await this.#carryOut(item);
      if (message === CONFLICT) return;
      await copy.settle(item, message);
      onSent(item);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.kind === "slow-mode") {
        lane.notBefore = Date.now() + 1000 * problem.retryAfter;
        lane.slowAt = copy.conversation(item.conversation)?.timestamp ?? 0;
        return onWait(item.conversation, problem.retryAfter);
      }
      if (problem.isTemporary || problem.status === 401) throw problem;
      const { status, kind, words } = problem;
      const isGone = status === 404 && item.kind === "send" && isChat(item.conversation);
      const refused = { status, kind, words: isGone ? GONE.words : words };
      const isKept = ["send", "edit", "remove"].includes(item.kind);
      await copy.amend(item, isKept ? { refused } : null);
      onRefused({ ...item, refused });
    }
  }

  /**
   * Returns what the service has answered; CONFLICT if the user has to decide.
   *
   * @param {Item} item
   */
  async #carryOut(item) {
    const { calls } = this.#sending;
    const call = calls.call.bind(calls);
    const { kind, conversation, id, key = "", body } = item;
    const path = pathOf(conversation);
    const message = `/messages/${id}`;
    const once = { "Idempotency-Key": key };
    switch (kind) {
      case "send":
        if (isChat(conversation)) return call("POST", `${path}/messages`, { body, headers: once });
        return call("POST", "/messages", { body: { to: namedBy(conversation).with, ...body }, headers: once });
      case "edit":
        return this.#change(item, (headers) => call("PATCH", message, { body, headers }));
      case "remove":
        return this.#change(item, (headers) => call("DELETE", message, { headers }));
      case "react":
        return call(body.reacts ? "PUT" : "DELETE", `${message}/reactions/${encodeURIComponent(body.key)}`);
      case "read":
        return call("PUT", `${path}/read`, { body });
      case "set":
        return call("PATCH", `${path}/settings`, { body, headers: MERGE_PATCH });
    }
  }

  /**
   * Changes a message. The change names the version that it is based on. If the message has changed since (412), the
   * present version is fetched: if its text is another one, the user decides; else the change is repeated on it.
   *
   * @param {Item} item
   * @param {(headers: Record<string, string>) => Promise<any>} attempt
   */
  async #change(item, attempt) {
    for (let base = item.base; ;) {
      const changed = await unlessRefused(attempt({ "If-Match": `"${base}"` }), 410, 412);
      if (changed) return changed;
      const { calls, copy } = this.#sending;
      const present = await calls.call("GET", `/messages/${item.id}`);
      if (present.deleted) return present;
      await copy.putMessages([present], item.conversation);
      if (!item.texts?.includes(present.text ?? "")) {
        await copy.amend(item, { conflict: { ...present, conversation: item.conversation } });
        return CONFLICT;
      }
      base = present.timestamp;
    }
  }
}

/** The message has another text than that on which a change is based. */
const CONFLICT = Symbol("conflict");

const MERGE_PATCH = { "Content-Type": "application/merge-patch+json" };

/**
 * Whether a chat is not slow any more, or not for this user.
 *
 * @param {Lane} lane
 * @param {import("./copy.js").Conversation | undefined} chat
 */
function hasEnded({ slowAt }, { timestamp = 0, slowMode = 0, role = "member" } = { key: "" }) {
  const isFree = slowMode === 0 || ["moderator", "owner"].includes(role);
  return slowAt !== undefined && timestamp > slowAt && isFree;
}

/**
 * The first item of each lane that can be sent at all. Messages go in order, and so do the changes of one message,
 * positions, and settings; they do not wait for each other, since a chat may be slow.
 *
 * @param {Item[]} items
 */
function firstOfEach(items) {
  /** @type {Map<string, Item>} */
  const first = new Map();
  for (const item of items) {
    const name = `${item.id ?? item.kind} ${item.conversation}`;
    if (!item.refused && !item.conflict && !first.has(name)) first.set(name, item);
  }
  return first;
}
