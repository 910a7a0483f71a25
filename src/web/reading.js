// @ts-check
/** Marks as read what was on the screen: one call covers everything up to the newest message that was seen. */
import { $ } from "./dom.js";

/** @typedef {import("/client/messages.js").ConversationHandle} Conversation */

/** A message counts as seen when it stays this long on the screen. What is seen together is marked together. */
const PAUSE_MS = 300;
/** This much of a message must be on the screen, or it fills this much of the screen. */
const SHARE = 0.75;

export class Reading {
  #conversation = /** @type {Conversation | null} */ (null); #read = 0; #isAstray = false; #seen = 0; #marked = 0;
  #onScreen = /** @type {Set<HTMLElement>} */ (new Set()); #timer;
  #observer = new IntersectionObserver((changes) => this.#onChange(changes), {
    root: $("messages"),
    threshold: [0, 0.25, 0.5, SHARE, 1],
  });

  constructor() {
    document.addEventListener("visibilitychange", () => this.look());
  }

  /**
   * Another conversation is open now, or none. What was seen of the one before is marked.
   *
   * @param {Conversation | null} conversation
   */
  open(conversation) {
    if (this.#conversation?.key !== conversation?.key) this.#flush();
    this.#observer.disconnect();
    this.#onScreen.clear();
    [this.#conversation, this.#seen, this.#marked, this.#isAstray] = [conversation, 0, 0, false];
  }

  /**
   * Unread messages are passed over, as in a conversation that is opened at a hit of the search. A mark would cover
   * them too, so nothing is marked until the first of them is on the screen: what is there now does not count.
   */
  stray() {
    this.forget();
    this.#isAstray = true;
  }

  get isAstray() {
    return this.#isAstray;
  }

  /** What was passed over counts as read. */
  settle() {
    this.#isAstray = false;
  }

  /**
   * Watches the messages that are shown now. The user has read up to the number `read`.
   *
   * @param {Iterable<Element>} elements
   * @param {number} read
   */
  watch(elements, read) {
    this.#read = read;
    for (const element of elements) this.#observer.observe(element);
    this.look();
  }

  /** Nothing that is on the screen now is to be marked, as where the user has just marked it as unread. */
  forget() {
    clearTimeout(this.#timer);
    [this.#timer, this.#seen] = [undefined, 0];
    this.#observer.disconnect();
    this.#onScreen.clear();
  }

  /** Notes what is on the screen. */
  look() {
    if (!this.#conversation || document.hidden || $("messages").inert) return;
    this.#isAstray &&= Math.min(...this.#numbersOnScreen()) > this.#read + 1;
    if (this.#isAstray) return;
    this.#seen = Math.max(this.#seen, this.#newestOnScreen());
    if (this.#seen > this.#marked) this.#timer ??= setTimeout(() => this.#mature(), PAUSE_MS);
  }

  #newestOnScreen() {
    return Math.max(0, ...this.#numbersOnScreen());
  }

  #numbersOnScreen() {
    const shown = Array.from(this.#onScreen).filter(({ isConnected }) => isConnected);
    return shown.map(({ dataset }) => Number(dataset.number));
  }

  /** What has left the screen again was not seen, as when the conversation jumps to a hit of the search. */
  #mature() {
    this.#seen = Math.min(this.#seen, Math.max(this.#marked, this.#newestOnScreen()));
    this.#flush();
  }

  #onChange(changes) {
    for (const { target, isIntersecting, intersectionRatio, intersectionRect, rootBounds } of changes) {
      const isSeen = intersectionRatio >= SHARE || intersectionRect.height >= SHARE * (rootBounds?.height ?? Infinity);
      if (isIntersecting && isSeen) this.#onScreen.add(target);
      else this.#onScreen.delete(target);
    }
    this.look();
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [conversation, number] = [this.#conversation, this.#seen];
    if (!conversation || number <= this.#marked) return;
    this.#marked = number;
    if ((conversation.state?.read ?? number) < number) conversation.markRead(number);
  }
}
