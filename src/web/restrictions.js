// @ts-check
/**
 * What the service says that the user may do: the policy of the application, and whether the user is suspended. Until it
 * has said so everything is offered, since the service decides in any case.
 */
import { Problem } from "/client/messages.js";
import { isLimited } from "./rights.js";

/** @typedef {import("./rights.js").Limits} Limits */

/** The kinds of refusals after which it may have changed. */
const KINDS = ["suspended", "not-accepted", "forbidden"];

export class Restrictions {
  #call; #onChange; #limits; #hasFailed = false;
  /** Of the reads, the last one counts. */
  #turn = 0;

  /**
   * `call` calls the service as the user; `onChange` is called when something else is allowed.
   *
   * @param {{ call: import("/client/messages.js").Client["call"], user: string, onChange: () => unknown }} parts
   */
  constructor({ call, user, onChange }) {
    [this.#call, this.#onChange] = [call, onChange];
    this.#limits = /** @type {Limits} */ ({ user });
  }

  /** @returns {Limits} as they were last read */
  get limits() {
    return this.#limits;
  }

  /** Reads them. If that fails, those that were read last count. */
  async read() {
    const turn = ++this.#turn;
    this.#hasFailed = false;
    const { user } = this.#limits;
    try {
      const { policy, suspendedUntil } = await this.#call("GET", `/users/${encodeURIComponent(user)}/restrictions`);
      if (turn === this.#turn) this.#take({ user, policy, suspendedUntil });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (turn === this.#turn) this.#hasFailed = true;
    }
  }

  /** Reads again what could not be read, and what may have ended. */
  async recheck() {
    if (this.#hasFailed || isLimited(this.#limits, Date.now())) await this.read();
  }

  /**
   * Reads them again if a refusal shows that they may have changed.
   *
   * @param {{ status?: number, kind?: string }} refused
   */
  async readAfter({ status, kind = "" }) {
    if (status === 403 && KINDS.includes(kind)) await this.read();
  }

  /** @param {Limits} limits */
  #take(limits) {
    const isSame = JSON.stringify(limits) === JSON.stringify(this.#limits);
    this.#limits = limits;
    if (!isSame) this.#onChange();
  }
}
