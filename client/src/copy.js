// @ts-check
/**
 * The copy of one user's conversations: the service's state, of which nothing is counted here, and what waits to be
 * sent. Things that change together change in one transaction of the store: an entry and the cursor, an acknowledged
 * message and its item of the outbox.
 *
 * conversations  by key: each as the service returned it; `due` if a change of it is still to be fetched
 * messages       by conversation and number: each as the service returned it, with the key of its `conversation`, and
 *                with the `reactions` to it as of `reacted`, if these were read too
 * ids            by id: where the message is
 * outbox         by order: what the service has not acknowledged yet
 * meta           the cursor, whose copy it is, the order that was used last, and reactions to messages that were not
 *                there when the timeline brought them
 */
import { OtherUser } from "./calls.js";
import { isChat, keyOf, namedBy } from "./keys.js";

/**
 * @typedef {import("../types/api.js").components["schemas"]} Schemas
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 * @typedef {import("./memory.js").Store} Store
 * @typedef {import("./memory.js").Transaction} Transaction
 */

/**
 * A message of the copy. Without `reacted` it is not decided yet what reactions there are. Of a tombstone `from`, `created` and `system` are kept if the copy had the message. With
 * `waiting` it is as an item of the outbox, of that order, is going to make it.
 *
 * @typedef {Partial<Omit<Schemas["Message"], "id" | "timestamp" | "number">> & {
 *   id: number, timestamp: number, number: number, conversation: ConversationKey, waiting?: number
 * }} Message
 */

/**
 * A conversation as the service returned it. Without a `timestamp` nothing but its key is there yet. `isGone`: it is
 * not the user's any more, but something unsent is left of it.
 *
 * @typedef {Partial<Schemas["Conversation"]> & {
 *   key: ConversationKey, due?: number, isGone?: boolean
 * }} HeldConversation
 */

/**
 * A conversation with what waits to be sent into it.
 *
 * @typedef {HeldConversation & { waiting?: Item, isRefused?: boolean }} Conversation
 */

/**
 * An entry of the timeline, with what was included.
 *
 * @typedef {{
 *   id?: number, chat?: number, with?: string, reactions?: number, timestamp: number,
 *   message?: any, conversation?: any, summary?: Reactions, reacted?: number
 * }} Entry
 *
 * @typedef {Record<string, Schemas["ReactionCount"]>} Reactions by their keys
 */

/**
 * Something that waits to be sent: a message (`send`), a change of one (`edit`, `remove`), a reaction (`react`), a
 * position (`read`), or settings (`set`).
 *
 * @typedef {object} Item
 * @property {number} order
 * @property {"send" | "edit" | "remove" | "react" | "read" | "set"} kind
 * @property {ConversationKey} conversation
 * @property {Record<string, any>} body
 * @property {string} created when it was added (RFC 3339)
 * @property {number} since the cursor at that time
 * @property {string} [key] of a message: its idempotency key, which is also in its attributes
 * @property {number} [id] of a change: the message
 * @property {number} [base] of a change: the version that it is based on; of a reaction, the `reacted` of the message
 * @property {string[]} [texts] of a change: the texts that it is based on. If the message has another
 *   one, somebody else has changed it
 * @property {Refused} [refused] the service will never accept it
 * @property {Message} [conflict] of a change: the message as it is now, whose text is another one than that on which
 *   the change is based
 *
 * @typedef {{ status: number, kind?: string, words: string }} Refused
 */

/**
 * What has changed.
 *
 * @typedef {object} Changed
 * @property {boolean} isReset the copy was made anew
 * @property {Set<ConversationKey>} conversations of which something has changed: itself, its messages, or what waits
 * @property {Message[]} messages that the timeline has brought
 */

export const LAST = Number.MAX_SAFE_INTEGER;
/** To how many messages reactions are kept before the messages are there. */
const EARLY_MAX = 100;
const FIRST = "";
/** Beyond every key of a conversation. */
const END = "\uffff";

export class Copy {
  #store;
  #onChange;
  /** @type {string | undefined} */
  #user;
  /** @type {Map<ConversationKey, HeldConversation>} */
  #conversations = new Map();
  /** @type {Item[]} */
  #outbox = [];
  /** What waits, by conversation. @type {Map<ConversationKey, Item[]> | undefined} */
  #waiting;
  /** @type {Conversation[] | undefined} */
  #listed;

  /**
   * @param {Store} store
   * @param {(changed: Changed) => void} onChange called after each change
   */
  constructor(store, onChange) {
    this.#store = store;
    this.#onChange = onChange;
  }

  /**
   * Reads what is there. `user` is whose copy it is to be.
   *
   * @param {string | undefined} user
   */
  async open(user) {
    const held = await this.#store.read((transaction) => transaction.get("meta", "user"));
    if (held && user && held !== user) throw new OtherUser();
    this.#user = user ?? held;
    if (user && !held) {
      await this.#store.write(async (transaction) => transaction.put("meta", "user", user));
    }
    await this.reload();
  }

  /** Whose copy it is, as far as that is decided. */
  get user() {
    return this.#user;
  }

  /**
   * Reads again what is kept in memory: another tab has changed these conversations and the outbox, or has made the
   * copy anew.
   *
   * @param {Iterable<ConversationKey>} [keys] all of them, if they are left out
   */
  async reload(keys) {
    const [conversations, outbox] = await this.#store.read(async (transaction) => {
      const held = new Map();
      for (const key of keys ?? []) held.set(key, await transaction.get("conversations", key));
      if (!keys) for (const one of await transaction.range("conversations", FIRST, END)) held.set(one.key, one);
      return [held, await outboxIn(transaction)];
    });
    if (!keys) this.#conversations = new Map();
    this.#hold(conversations, outbox);
  }

  // The timeline.

  /** @returns {Promise<number | undefined>} where the timeline continues; undefined for an empty copy */
  cursor() {
    return this.#store.read((transaction) => transaction.get("meta", "cursor"));
  }

  /**
   * Stores all conversations, the archived ones too, and the cursor from which the timeline continues. If a
   * conversation is there twice, the later one is newer.
   *
   * @param {any[]} conversations
   * @param {number} cursor
   */
  begin(conversations, cursor) {
    return this.#write(async (writing) => {
      for (const conversation of conversations) {
        await putConversation(writing, conversation);
        if (conversation.message) await this.#put(writing, conversation.message, keyOf(conversation));
      }
      writing.transaction.put("meta", "cursor", cursor);
    }, { isReset: true });
  }

  /**
   * Stores entries of the timeline, and the cursor after them.
   *
   * @param {Entry[]} entries
   * @param {number} cursor
   */
  apply(entries, cursor) {
    return this.#write(async (writing) => {
      for (const { message, conversation, summary, reacted, ...changed } of entries) {
        const reactions = { reactions: summary, reacted };
        if (message) {
          const whole = { ...message, ...reactions, reacted: reacted ?? 0 };
          await this.#put(writing, whole, conversation && keyOf(conversation), true);
        }
        if (changed.reactions !== undefined && reacted !== undefined) {
          await putReactions(writing, changed.reactions, reactions);
        }
        if (conversation) await putConversation(writing, conversation);
        else if (changed.chat || changed.with) {
          // In what is not said: it is due to be fetched.
          const key = keyOf(changed);
          const held = (await conversationIn(writing, key)) ?? named(key);
          putHeld(writing, { ...held, due: changed.timestamp });
        }
      }
      writing.transaction.put("meta", "cursor", cursor);
    });
  }

  /** Removes everything that came from the service. What is unsent stays. */
  clear() {
    return this.#write(async (writing) => {
      const { transaction } = writing;
      for (const { key } of await transaction.range("conversations", FIRST, END)) removeConversation(writing, key);
      await removeMessages(writing, [], [END]);
      transaction.remove("meta", "cursor");
      transaction.remove("meta", "early");
    }, { isReset: true });
  }

  // Messages.

  /**
   * Stores messages, unless newer ones are stored. Tombstones do not say which conversation they are of.
   *
   * @param {any[]} messages
   * @param {ConversationKey} [key]
   */
  putMessages(messages, key) {
    return this.#write(async (writing) => {
      for (const message of messages) await this.#put(writing, message, key);
    });
  }

  /**
   * A message by its id, with the changes of it that wait.
   *
   * @param {number} id
   * @returns {Promise<Message | undefined>}
   */
  async message(id) {
    const held = await this.#store.read((transaction) => heldIn(transaction, id));
    return held && this.#withWaiting(held);
  }

  /**
   * The messages of a conversation from one number to another one that the copy has, in order, with the changes of
   * them that wait.
   *
   * @param {ConversationKey} key
   * @param {number} low
   * @param {number} high
   * @param {import("./memory.js").RangeOptions} [options]
   * @returns {Promise<Message[]>}
   */
  async messages(key, low, high, options) {
    const held = await this.#store.read((transaction) =>
      transaction.range("messages", [key, low], [key, high], options));
    return held.map((message) => this.#withWaiting(message));
  }

  // Conversations.

  /**
   * All of them, in the order of a list: the pinned ones first, then those with the newest message, sent or waiting.
   * The same array until something has changed.
   */
  get conversations() {
    this.#listed ??= this.#list();
    return this.#listed;
  }

  /**
   * @param {ConversationKey} key
   * @returns {Conversation | undefined}
   */
  conversation(key) {
    const held = this.#conversations.get(key);
    const waiting = this.waitingIn(key);
    return held || waiting.length ? withWaiting(held ?? named(key), waiting) : undefined;
  }

  /** The conversations with a change that is still to be fetched, and since which timestamp. */
  get due() {
    return [...this.#conversations.values()].filter(({ due }) => due);
  }

  /**
   * Adds a conversation, unless the timeline has brought it already.
   *
   * @param {any} conversation
   */
  addConversation(conversation) {
    return this.#write(async (writing) => {
      const held = await conversationIn(writing, keyOf(conversation));
      if (!held?.timestamp) await putConversation(writing, conversation);
    });
  }

  /**
   * Stores the answer to a call for a conversation that was due since `due`; null for one that is not the user's any
   * more. If the timeline has brought another change meanwhile, the answer may be older: the conversation stays due.
   *
   * @param {ConversationKey} key
   * @param {any} conversation
   * @param {number | undefined} due
   */
  fetched(key, conversation, due) {
    return this.#write(async (writing) => {
      const held = await conversationIn(writing, key);
      if (held?.due !== due) return;
      await (conversation ? putConversation(writing, conversation) : this.#leave(writing, held));
    });
  }

  // The outbox.

  /** What waits, in order. */
  get outbox() {
    return this.#outbox;
  }

  /**
   * What waits in a conversation, in order.
   *
   * @param {ConversationKey} key
   * @returns {Item[]}
   */
  waitingIn(key) {
    this.#waiting ??= grouped(this.#outbox);
    return this.#waiting.get(key) ?? [];
  }

  /**
   * Adds something to be sent. A position replaces those of the same conversation that wait; a change of a
   * message replaces those of the same message.
   *
   * @param {Omit<Item, "order" | "created" | "since">} item
   */
  enqueue(item) {
    return this.#write(async (writing) => {
      const { transaction } = writing;
      for (const before of await outboxIn(transaction)) {
        if (!replaces(item, before)) continue;
        // The user has seen the message as the one before makes it, which may be under way.
        if (before.texts) {
          const texts = [...before.texts, before.body.text ?? ""];
          item = { ...item, base: before.base, texts, ...(before.conflict && { conflict: before.conflict }) };
        }
        removeItem(writing, before);
      }
      const order = ((await transaction.get("meta", "order")) ?? 0) + 1;
      transaction.put("meta", "order", order);
      const since = (await transaction.get("meta", "cursor")) ?? 0;
      putItem(writing, { ...item, order, since, created: new Date().toISOString() });
    }, { isDurable: true });
  }

  /**
   * The service has acknowledged an item, with this answer: a message, a position, or settings.
   *
   * @param {Item} item
   * @param {any} answer
   */
  settle(item, answer) {
    return this.#write(async (writing) => {
      const { kind, conversation: key } = item;
      removeItem(writing, item);
      if (kind === "read" || kind === "set") return shown(writing, item, answer);
      if (kind === "react") return this.#reacted(writing, item);
      await this.#put(writing, answer, key);
      if (kind === "send") return advance(writing, key, answer);
      // What has replaced the change meanwhile is based on what has come of it.
      for (const other of await outboxIn(writing.transaction)) {
        if (other.id !== item.id || other.order <= item.order || !other.texts) continue;
        putItem(writing, { ...other, base: answer.timestamp, texts: [...other.texts, answer.text ?? ""] });
      }
    });
  }

  /**
   * Shows an acknowledged reaction until the timeline brings the reactions with it.
   *
   * @param {Writing} writing
   * @param {Item} item
   */
  async #reacted(writing, { id = 0, base, body }) {
    const held = await heldIn(writing.transaction, id);
    // If the timeline has brought others meanwhile, it may have brought this one, and what came after it.
    if (held && (held.reacted ?? 0) === base) putMessage(writing, { ...held, reactions: reactedWith(held.reactions, body, this.#user) });
  }

  /**
   * Changes an item of the outbox if it still exists; null removes it.
   *
   * @param {Item} item
   * @param {Partial<Item> | null} change
   */
  amend(item, change) {
    return this.#write(async (writing) => {
      const { transaction } = writing;
      const held = await transaction.get("outbox", item.order);
      if (!held) return;
      if (change) return putItem(writing, { ...held, ...change });
      removeItem(writing, item);
      const conversation = await conversationIn(writing, item.conversation);
      const unsent = await unsentOf(transaction, item.conversation);
      if (conversation?.isGone && unsent.length === 0) removeConversation(writing, item.conversation);
    });
  }

  /** Deletes everything. */
  destroy() {
    return this.#store.destroy();
  }

  // Within a transaction.

  /**
   * @param {Writing} writing
   * @param {any} message
   * @param {ConversationKey} [place]
   * @param {boolean} [isFromTimeline] whether the timeline has brought it
   */
  async #put(writing, message, place, isFromTimeline = false) {
    const { transaction } = writing;
    const held = await heldIn(transaction, message.id);
    if (held?.timestamp > message.timestamp) return putReactions(writing, message.id, message);
    const key = held?.conversation ?? place ?? this.#placeOf(message);
    // The tombstone of a personal message that the copy never had belongs to no conversation.
    if (!key) return;
    const conversation = await conversationIn(writing, key);
    // What has expired may have been on its way.
    if (message.number < conversation?.first) return;
    const present = held ?? (await takeEarly(writing, message.id));
    const record = { ...message, ...newerReactions(present, message), conversation: key };
    if (message.deleted) {
      const { from, created, system } = held ?? {};
      Object.assign(record, { from, created, system, reactions: undefined, reacted: 0 });
    }
    putMessage(writing, record, isFromTimeline);
    // It may arrive on the timeline before its acknowledgement.
    const sent = message.from === this.#user && message.attributes?.key;
    const item = sent && (await outboxIn(transaction)).find((item) => item.key === sent);
    if (item) removeItem(writing, item);
    const isOlder = conversation?.message?.id === message.id && conversation.message.timestamp < message.timestamp;
    if (isOlder) putHeld(writing, { ...conversation, message });
  }

  /** @param {any} message */
  #placeOf({ chat, from, to }) {
    return chat || to ? keyOf({ chat, with: from === this.#user ? to : from }) : undefined;
  }

  /**
   * Removes a conversation. What is unsent stays, refused, and a chat stays listed with it.
   *
   * @param {Writing} writing
   * @param {HeldConversation} held
   */
  async #leave(writing, { key, name, last }) {
    await removeMessages(writing, [key], [key, LAST]);
    const kept = isChat(key) ? await unsentOf(writing.transaction, key) : [];
    for (const item of kept) putItem(writing, { ...item, refused: GONE });
    if (kept.length) putHeld(writing, { key, chat: namedBy(key).chat, name, last, isGone: true });
    else removeConversation(writing, key);
  }

  /**
   * Writes, and then shows what was written.
   *
   * @param {(writing: Writing) => Promise<void>} work
   * @param {{ isReset?: boolean, isDurable?: boolean }} [options]
   */
  async #write(work, { isReset = false, isDurable = false } = {}) {
    const writing = await this.#store.write(async (transaction) => {
      const writing = { transaction, conversations: new Map(), outbox: new Map(), touched: new Set(), arrived: [] };
      await work(writing);
      return writing;
    }, { isDurable });
    const { conversations, outbox, touched, arrived } = writing;
    if (isReset || touched.size) this.#hold(conversations, outbox.size > 0 && this.#outboxWith(outbox));
    this.#onChange({ isReset, conversations: touched, messages: arrived });
  }

  /**
   * Keeps in memory what was read or written.
   *
   * @param {Map<ConversationKey, HeldConversation | undefined>} conversations
   * @param {Item[] | false} outbox false, if nothing of it has changed
   */
  #hold(conversations, outbox) {
    for (const [key, held] of conversations) {
      if (held) this.#conversations.set(key, held);
      else this.#conversations.delete(key);
    }
    this.#listed = undefined;
    if (outbox) {
      this.#outbox = outbox;
      this.#waiting = undefined;
    }
  }

  /**
   * The outbox with what has changed of it.
   *
   * @param {Map<number, Item | undefined>} changed
   * @returns {Item[]}
   */
  #outboxWith(changed) {
    const items = [...this.#outbox.filter(({ order }) => !changed.has(order)), ...changed.values()];
    return items.filter((item) => item !== undefined).sort((one, other) => one.order - other.order);
  }

  #list() {
    const held = new Map(this.#conversations);
    for (const { conversation: key } of this.#outbox) if (!held.has(key)) held.set(key, named(key));
    return Array.from(held.values(), (one) => withWaiting(one, this.waitingIn(one.key)))
      .filter(({ timestamp, isGone, waiting }) => timestamp || isGone || waiting)
      .sort((one, other) => isPinned(other) - isPinned(one) || placeOf(other) - placeOf(one));
  }

  /** @param {Message} message */
  #withWaiting(message) {
    const changes = this.#outbox.filter(({ id, refused }) => id === message.id && !refused);
    for (const { kind, body } of changes) {
      if (kind === "react") message = { ...message, reactions: reactedWith(message.reactions, body, this.#user) };
    }
    const change = changes.findLast(({ kind }) => kind !== "react");
    if (!change) return message;
    const shown = change.kind === "remove" ? { deleted: true, text: undefined, files: undefined } : change.body;
    return { ...message, ...shown, waiting: change.order };
  }
}

/** Why what was written for a chat is not sent: the user is not a member of it any more, or it was deleted. */
export const GONE = { status: 404, kind: "not-found", words: "You are no longer a member of this chat, or it was deleted." };

/**
 * A transaction, and what it changes of what is kept in memory.
 *
 * @typedef {object} Writing
 * @property {Transaction} transaction
 * @property {Map<ConversationKey, HeldConversation | undefined>} conversations
 * @property {Map<number, Item | undefined>} outbox
 * @property {Set<ConversationKey>} touched
 * @property {Message[]} arrived
 */

/**
 * Puts or removes a record of what is kept in memory, too.
 *
 * @param {Writing} writing
 * @param {"conversations" | "outbox"} table
 * @param {any} key
 * @param {any} record
 * @param {ConversationKey} conversation
 */
function set(writing, table, key, record, conversation) {
  if (record) writing.transaction.put(table, key, record);
  else writing.transaction.remove(table, key);
  /** @type {Map<any, any>} */ (writing[table]).set(key, record);
  writing.touched.add(conversation);
}

/**
 * Replaces a conversation: each answer is newer than those that the timeline brought before it. Messages that have
 * expired are dropped.
 *
 * @param {Writing} writing
 * @param {any} conversation
 */
async function putConversation(writing, conversation) {
  const key = keyOf(conversation);
  putHeld(writing, { ...conversation, key });
  await removeMessages(writing, [key], [key, (conversation.first ?? 0) - 1]);
}

/**
 * @param {Writing} writing
 * @param {HeldConversation} held
 */
function putHeld(writing, held) {
  set(writing, "conversations", held.key, held, held.key);
}

/**
 * @param {Writing} writing
 * @param {ConversationKey} key
 */
function removeConversation(writing, key) {
  set(writing, "conversations", key, undefined, key);
}

/**
 * A conversation of the copy.
 *
 * @param {Writing} writing
 * @param {ConversationKey} key
 * @returns {Promise<any>}
 */
function conversationIn({ transaction }, key) {
  return transaction.get("conversations", key);
}

/**
 * Puts or removes an item of the outbox.
 *
 * @param {Writing} writing
 * @param {Item} item
 */
function putItem(writing, item) {
  set(writing, "outbox", item.order, item, item.conversation);
}

/**
 * @param {Writing} writing
 * @param {Item} item
 */
function removeItem(writing, { order, conversation }) {
  set(writing, "outbox", order, undefined, conversation);
}

/**
 * @param {Writing} writing
 * @param {Message} message
 * @param {boolean} [isFromTimeline]
 */
function putMessage({ transaction, touched, arrived }, message, isFromTimeline) {
  const place = [message.conversation, message.number];
  transaction.put("messages", place, message);
  transaction.put("ids", message.id, place);
  touched.add(message.conversation);
  if (isFromTimeline) arrived.push(message);
}

/**
 * Removes messages of the copy.
 *
 * @param {Writing} writing
 * @param {any} low their places: from this one
 * @param {any} high to this one
 */
async function removeMessages({ transaction }, low, high) {
  for (const { id, conversation, number } of await transaction.range("messages", low, high)) {
    transaction.remove("messages", [conversation, number]);
    transaction.remove("ids", id);
  }
}

/**
 * Stores the reactions to a message, unless newer ones are there. If the message is not there, they are kept: it may
 * be on its way, as it was before.
 *
 * @param {Writing} writing
 * @param {number} id
 * @param {{ reactions?: Reactions, reacted?: number }} coming
 */
async function putReactions(writing, id, coming) {
  const held = await heldIn(writing.transaction, id);
  if (!held) {
    const { reactions, reacted } = coming;
    await takeEarly(writing, id, { id, reactions, reacted });
  } else if (!held.deleted) putMessage(writing, { ...held, ...newerReactions(held, coming) });
}

/**
 * Takes what is kept of the reactions to a message that is there from now on; or keeps others instead.
 *
 * @param {Writing} writing
 * @param {number} id
 * @param {...{ id: number, reactions?: Reactions, reacted?: number }} kept
 * @returns {Promise<Pick<Message, "reactions" | "reacted"> | undefined>}
 */
async function takeEarly({ transaction }, id, ...kept) {
  const early = (await transaction.get("meta", "early")) ?? [];
  const found = early.find((/** @type {{ id: number }} */ other) => other.id === id);
  const others = early.filter((/** @type {any} */ other) => other !== found);
  if (found || kept.length) transaction.put("meta", "early", [...others, ...kept].slice(-EARLY_MAX));
  return found;
}

/**
 * Shows an acknowledged message in the list until the timeline brings the conversation with it. Whoever sends has
 * read everything before.
 *
 * @param {Writing} writing
 * @param {ConversationKey} key
 * @param {any} message
 */
async function advance(writing, key, message) {
  const { number, created, timestamp } = message;
  const held = await conversationIn(writing, key);
  const isBehind = held?.timestamp ? held.messages < number : !isChat(key);
  if (!isBehind || message.deleted) return;
  const fresh = { ...named(key), timestamp, created, settings: {} };
  const newest = { message, last: timestamp, messages: number, read: number, unread: 0, mentions: 0 };
  putHeld(writing, { ...fresh, ...held, ...newest });
}

/**
 * Shows what the service has answered until the timeline brings the conversation with it.
 *
 * @param {Writing} writing
 * @param {Item} item
 * @param {any} answer
 */
async function shown(writing, { kind, conversation: key }, answer) {
  const held = await conversationIn(writing, key);
  if (!held?.timestamp) return;
  if (kind === "set") return putHeld(writing, { ...held, settings: answer });
  const isAllRead = answer.number >= held.messages;
  putHeld(writing, { ...held, read: answer.number, ...(isAllRead && { unread: 0, mentions: 0 }) });
}

/**
 * What waits, in order.
 *
 * @param {Transaction} transaction
 * @returns {Promise<Item[]>}
 */
const outboxIn = (transaction) => transaction.range("outbox", 0, LAST);

/**
 * The messages of a conversation that are not acknowledged, in order.
 *
 * @param {Transaction} transaction
 * @param {ConversationKey} key
 * @returns {Promise<Item[]>}
 */
async function unsentOf(transaction, key) {
  const items = await outboxIn(transaction);
  return items.filter(({ conversation, kind }) => conversation === key && kind === "send");
}

/**
 * Whether an item makes one before it superfluous.
 *
 * @param {Omit<Item, "order" | "created" | "since">} item
 * @param {Item} before
 */
function replaces({ kind, conversation, id, body }, before) {
  if (before.conversation !== conversation || before.refused) return false;
  if (kind === "read") return before.kind === "read" && (body.back || before.body.number <= body.number);
  if (kind === "remove") return before.id === id;
  if (kind === "react") return before.kind === "react" && before.id === id && before.body.key === body.key;
  return kind === "edit" && before.kind === "edit" && before.id === id;
}

/**
 * A message of the copy by its id.
 *
 * @param {Transaction} transaction
 * @param {number} id
 */
async function heldIn(transaction, id) {
  const place = await transaction.get("ids", id);
  return place && transaction.get("messages", place);
}

/**
 * The reactions to a message that changed last: those of the copy, or those that come now, if any do.
 *
 * @param {Pick<Message, "reactions" | "reacted"> | undefined} held
 * @param {{ reactions?: Reactions, reacted?: number }} coming
 */
function newerReactions(held, coming) {
  const isNewer = coming.reacted !== undefined && coming.reacted >= (held?.reacted ?? 0);
  const { reactions, reacted } = (isNewer ? coming : held) ?? {};
  return { reactions, reacted };
}

/**
 * The reactions with one of the user, or without it.
 *
 * @param {Reactions | undefined} reactions
 * @param {Record<string, any>} change
 * @param {string | undefined} user
 * @returns {Reactions}
 */
function reactedWith(reactions = {}, { key, reacts }, user = "") {
  const { count = 0, users = [] } = reactions[key] ?? {};
  if (users.includes(user) === reacts) return reactions;
  const others = users.filter((other) => other !== user);
  const changed = reacts ? { count: count + 1, users: [...users, user] } : { count: count - 1, users: others };
  const entries = Object.entries({ ...reactions, [key]: changed });
  return Object.fromEntries(entries.filter(([, { count }]) => count > 0));
}

/**
 * A conversation with what waits: its newest unsent message, and what is to be read or set.
 *
 * @param {HeldConversation} held
 * @param {Item[]} items
 * @returns {Conversation}
 */
function withWaiting(held, items) {
  if (items.length === 0) return held;
  const unsent = items.filter(({ kind }) => kind === "send");
  const settings = items.filter(({ kind }) => kind === "set").map(({ body }) => body);
  const mark = items.findLast(({ kind, body }) => kind === "read" && !body.back)?.body.number ?? 0;
  const isAllRead = mark > 0 && mark >= (held.messages ?? 0);
  return {
    ...held,
    ...(settings.length > 0 && { settings: Object.assign({}, held.settings, ...settings) }),
    ...(mark > 0 && { read: Math.max(mark, held.read ?? 0) }),
    ...(isAllRead && { unread: 0, mentions: 0 }),
    waiting: unsent.at(-1),
    isRefused: unsent.some(({ refused }) => refused),
  };
}

/**
 * What waits, by conversation. (Not every browser has Map.groupBy.)
 *
 * @param {Item[]} items
 */
function grouped(items) {
  /** @type {Map<ConversationKey, Item[]>} */
  const groups = new Map();
  for (const item of items) groups.set(item.conversation, [...(groups.get(item.conversation) ?? []), item]);
  return groups;
}

/** What is known of a conversation by its key. @param {ConversationKey} key */
const named = (key) => ({ key, ...namedBy(key) });

const isPinned = (/** @type {Conversation} */ { settings }) => Number(Boolean(settings?.pinned));

/**
 * Where a conversation is among the others. What waits comes after everything that was on the timeline then.
 *
 * @param {Conversation} conversation
 */
const placeOf = ({ last = 0, waiting }) => Math.max(last, waiting ? waiting.since + 0.5 : 0);
