// @ts-check
/**
 * A chat at the service, and its changes. Those of its name and its members say so in a message of the system, if the
 * user may write at present.
 */
import { pathOf } from "/client/messages.js";
import { membersOf } from "./mentions.js";

/**
 * @typedef {import("/client/messages.js").Client} Client
 * @typedef {import("/client/messages.js").Conversation} Conversation
 */

/** The most names in a message of the system. */
const NAMES_MAX = 5;

/** Somebody else has changed the same meanwhile. */
export class Superseded extends Error {
  constructor() {
    super("It was changed somewhere else meanwhile. Change it again if you want to.");
  }
}

export class Chat {
  /** @type {Client["call"]} */ #call;
  #user; #now;

  /**
   * `conversation` is the chat as the user sees it.
   *
   * @param {Client["call"]} call
   * @param {Conversation} conversation
   * @param {string} user
   */
  constructor(call, conversation, user) {
    [this.#call, this.#user, this.#now] = [call, user, conversation];
  }

  /** @returns {Conversation} the chat as it was last seen */
  get now() {
    return this.#now;
  }

  /**
   * Takes a state of the chat from the copy; returns whether it is a newer one.
   *
   * @param {Conversation} conversation
   */
  update(conversation) {
    const isNewer = (conversation.timestamp ?? 0) > this.#now.timestamp;
    if (isNewer) this.#now = conversation;
    return isNewer;
  }

  members() {
    return membersOf(this.#call, this.#now.key);
  }

  /** @returns {Promise<string[]>} the ids of those who are banned */
  async bans() {
    const found = [];
    for (let after = ""; ;) {
      const page = await this.#call("GET", `${this.#path}/bans?limit=100${after}`);
      found.push(...page.bans.map(({ user }) => user));
      if (!page.next) return found;
      after = `&after=${encodeURIComponent(page.next)}`;
    }
  }

  rename(name) {
    return this.#patch({ name }, `${this.#user} has renamed the chat to ${name}`);
  }

  /** Changes its rules: `posting`, `frozen`, `history`, `slowMode`. */
  set(rules) {
    return this.#patch(rules);
  }

  handOn(user) {
    return this.#patch({ owner: user }, `${this.#user} has handed the chat on to ${user}`);
  }

  async delete() {
    try {
      await this.#call("DELETE", this.#path, { headers: this.#condition });
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      await this.#reload();
      await this.delete();
    }
  }

  async add(users) {
    await this.#changeMembers({ add: users }, `${this.#user} has added ${listed(users)}`);
  }

  async remove(user) {
    await this.#changeMembers({ remove: [user] }, `${this.#user} has removed ${user}`);
  }

  /** Ends the user's own membership. */
  async leave() {
    const [path, text] = [`${this.#path}/members`, `${this.#user} has left`];
    await this.#announced(text, (message) => this.#call("PATCH", path, { body: { remove: [this.#user], ...message } }));
  }

  async giveRole(user, role) {
    const text = `${this.#user} has made ${user} a ${role}`;
    await this.#announced(text, (message) => this.#alter(user, { role, ...message }));
  }

  /** `until` is a time, or null to let the member write again. Nobody else is told. */
  async mute(user, until) {
    await this.#alter(user, { mutedUntil: until });
  }

  async ban(user) {
    await this.#call("PUT", `${this.#path}/bans/${encodeURIComponent(user)}`);
    await this.#reload();
  }

  async allow(user) {
    await this.#call("DELETE", `${this.#path}/bans/${encodeURIComponent(user)}`);
    await this.#reload();
  }

  get #path() {
    return pathOf(this.#now.key);
  }

  get #condition() {
    return { "If-Match": `"${this.#now.timestamp}"` };
  }

  async #changeMembers(change, text) {
    const path = `${this.#path}/members`;
    const send = (message) => this.#call("PATCH", path, { body: { ...change, ...message } });
    this.#take(await this.#announced(text, send));
  }

  /** Makes a change with a message of the system; without one, where the user may not write or has to wait. */
  async #announced(text, send) {
    try {
      return await send({ message: { text } });
    } catch (problem) {
      if (!["may-not-post", "slow-mode"].includes(problem.kind)) throw problem;
      return await send({});
    }
  }

  async #alter(user, body) {
    this.#take(await this.#call("PATCH", `${this.#path}/members/${encodeURIComponent(user)}`, { body }));
  }

  /** Changes the chat. If something else of it has changed meanwhile, the change is repeated. */
  async #patch(patch, text) {
    const before = this.#now;
    const send = (message) => {
      return this.#call("PATCH", this.#path, { body: { ...patch, ...message }, headers: this.#condition });
    };
    try {
      this.#take(await (text ? this.#announced(text, send) : send({})));
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      await this.#reload();
      const isSame = Object.keys(patch).every((name) => this.#now[name] === before[name]);
      if (!isSame) throw new Superseded();
      await this.#patch(patch, text);
    }
  }

  async #reload() {
    this.#take(await this.#call("GET", this.#path));
  }

  /** Takes what was answered, unless something newer is there already. */
  #take(conversation) {
    if (conversation.timestamp < this.#now.timestamp) return;
    this.#now = { ...conversation, key: this.#now.key };
  }
}

function listed(users) {
  if (users.length === 1) return users[0];
  const named = users.length > NAMES_MAX ? users.slice(0, NAMES_MAX - 1) : users.slice(0, -1);
  const more = users.length - named.length;
  return `${named.join(", ")} and ${more > 1 ? `${more} others` : users.at(-1)}`;
}
