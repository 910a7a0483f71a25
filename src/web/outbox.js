/**
 * Sends messages in order, until the service has acknowledged them. Each request has an idempotency key, so it
 * can be repeated: the service answers with the message that exists already. In a slow chat, they wait. The key is also in the message's
 * `attributes`, so that the timeline can remove the message from the outbox as well.
 */
import { pathOf } from "./api.js";
import { pauseOf } from "./rights.js";
import { key } from "./session.js";
import { isChat, NO_MEMBER } from "./words.js";

const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 20_000;

export class Outbox {
  #call; #store; #waits; #signal; #onSignedOut; #wake = () => {};

  constructor({ call, store, waits, signal, onSignedOut }) {
    this.#call = call;
    this.#store = store;
    this.#waits = waits;
    this.#signal = signal;
    this.#onSignedOut = onSignedOut;
  }

  /** Adds a message. Once this has returned, not even a crash of the browser loses it. */
  async add(conversation, { text, files, replyTo, ...mentions }) {
    const id = key();
    const body = { attributes: { key: id }, ...mentions };
    if (text) body.text = text;
    if (files?.length) body.files = files;
    if (replyTo) body.replyTo = replyTo;
    await this.#store.enqueue({ key: id, conversation, body });
    this.wake();
  }

  /** Tries a refused message again. */
  async retry(item) {
    await this.#store.amend(item, { refused: undefined });
    this.wake();
  }

  discard(item) {
    return this.#store.amend(item, null);
  }

  /** Ends the wait: there is something to send, or the service is back. */
  wake() {
    this.#wake();
  }

  async run() {
    let failures = 0;
    while (!this.#signal.aborted) {
      const woken = new Promise((resolve) => { this.#wake = resolve; });
      try {
        const { item, isWaiting } = await this.#next();
        if (item) await this.#deliver(item);
        else await Promise.race(isWaiting ? [woken, pause(0)] : [woken]);
        failures = 0;
      } catch (problem) {
        if (problem.status === 401) return this.#onSignedOut(problem);
        // The service cannot be reached, or the copy cannot be written: both may pass.
        await Promise.race([woken, pause(failures++)]);
      }
    }
  }

  /** The first message that can be sent now; if there is none, whether some wait because a chat is slow. */
  async #next() {
    const items = (await this.#store.outbox()).filter(({ refused }) => !refused);
    const waiting = new Set();
    for (const item of items) {
      if (waiting.has(item.conversation)) continue;
      if (this.#waits.left(await this.#placeOf(item)) === 0) return { item };
      // What was written after it waits for it, too.
      waiting.add(item.conversation);
    }
    return { isWaiting: items.length > 0 };
  }

  /** The conversation of a message. */
  async #placeOf({ conversation: key }) {
    return (await this.#store.conversation(key)) ?? { key };
  }

  async #deliver(item) {
    try {
      const message = await this.#send(item);
      this.#waits.begin(item.conversation, pauseOf(await this.#placeOf(item)));
      await this.#store.sent(item, message);
    } catch (problem) {
      if (problem.kind === "slow-mode" && (await this.#wait(item, problem))) return;
      const isFinal = problem.status > 0 && problem.status !== 401 && !problem.isTemporary;
      if (!isFinal) throw problem;
      await this.#refuse(item, problem);
    }
  }

  #send({ key, conversation, body }) {
    const [kind, name] = conversation.split("/");
    const headers = { "Idempotency-Key": key };
    if (kind === "users") return this.#call("POST", "/messages", { body: { to: name, ...body }, headers });
    return this.#call("POST", `${pathOf(conversation)}/messages`, { body, headers });
  }

  /** The chat is slow. Returns whether the copy has learned that already; else the message is tried again. */
  async #wait(item, { retryAfter }) {
    this.#waits.begin(item.conversation, retryAfter);
    // Shows the wait.
    await this.#store.amend(item, {});
    return this.#waits.left(await this.#placeOf(item)) > 0;
  }

  /** The service will never accept it: the user decides what to do with it. */
  #refuse(item, problem) {
    const isGone = problem.status === 404 && isChat(item.conversation);
    return this.#store.amend(item, { refused: isGone ? NO_MEMBER : problem.words });
  }
}

function pause(failures) {
  const longest = Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** failures);
  return new Promise((resolve) => { setTimeout(resolve, longest * (0.5 + Math.random() / 2)); });
}
