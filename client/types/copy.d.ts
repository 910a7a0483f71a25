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
export const LAST: number;
export class Copy {
    /**
     * @param {Store} store
     * @param {(changed: Changed) => void} onChange called after each change
     */
    constructor(store: Store, onChange: (changed: Changed) => void);
    /**
     * Reads what is there. `user` is whose copy it is to be.
     *
     * @param {string | undefined} user
     */
    open(user: string | undefined): Promise<void>;
    /** Whose copy it is, as far as that is decided. */
    get user(): string | undefined;
    /**
     * Reads again what is kept in memory: another tab has changed these conversations and the outbox, or has made the
     * copy anew.
     *
     * @param {Iterable<ConversationKey>} [keys] all of them, if they are left out
     */
    reload(keys?: Iterable<ConversationKey>): Promise<void>;
    /** @returns {Promise<number | undefined>} where the timeline continues; undefined for an empty copy */
    cursor(): Promise<number | undefined>;
    /**
     * Stores all conversations, the archived ones too, and the cursor from which the timeline continues. If a
     * conversation is there twice, the later one is newer.
     *
     * @param {any[]} conversations
     * @param {number} cursor
     */
    begin(conversations: any[], cursor: number): Promise<void>;
    /**
     * Stores entries of the timeline, and the cursor after them.
     *
     * @param {Entry[]} entries
     * @param {number} cursor
     */
    apply(entries: Entry[], cursor: number): Promise<void>;
    /** Removes everything that came from the service. What is unsent stays. */
    clear(): Promise<void>;
    /**
     * Stores messages, unless newer ones are stored. Tombstones do not say which conversation they are of.
     *
     * @param {any[]} messages
     * @param {ConversationKey} [key]
     */
    putMessages(messages: any[], key?: ConversationKey): Promise<void>;
    /**
     * A message by its id, with the changes of it that wait.
     *
     * @param {number} id
     * @returns {Promise<Message | undefined>}
     */
    message(id: number): Promise<Message | undefined>;
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
    messages(key: ConversationKey, low: number, high: number, options?: import("./memory.js").RangeOptions): Promise<Message[]>;
    /**
     * All of them, in the order of a list: the pinned ones first, then those with the newest message, sent or waiting.
     * The same array until something has changed.
     */
    get conversations(): Conversation[];
    /**
     * @param {ConversationKey} key
     * @returns {Conversation | undefined}
     */
    conversation(key: ConversationKey): Conversation | undefined;
    /** The conversations with a change that is still to be fetched, and since which timestamp. */
    get due(): HeldConversation[];
    /**
     * Adds a conversation, unless the timeline has brought it already.
     *
     * @param {any} conversation
     */
    addConversation(conversation: any): Promise<void>;
    /**
     * Stores the answer to a call for a conversation that was due since `due`; null for one that is not the user's any
     * more. If the timeline has brought another change meanwhile, the answer may be older: the conversation stays due.
     *
     * @param {ConversationKey} key
     * @param {any} conversation
     * @param {number | undefined} due
     */
    fetched(key: ConversationKey, conversation: any, due: number | undefined): Promise<void>;
    /** What waits, in order. */
    get outbox(): Item[];
    /**
     * What waits in a conversation, in order.
     *
     * @param {ConversationKey} key
     * @returns {Item[]}
     */
    waitingIn(key: ConversationKey): Item[];
    /**
     * Adds something to be sent. A position replaces those of the same conversation that wait; a change of a
     * message replaces those of the same message.
     *
     * @param {Omit<Item, "order" | "created" | "since">} item
     */
    enqueue(item: Omit<Item, "order" | "created" | "since">): Promise<void>;
    /**
     * The service has acknowledged an item, with this answer: a message, a position, or settings.
     *
     * @param {Item} item
     * @param {any} answer
     */
    settle(item: Item, answer: any): Promise<void>;
    /**
     * Changes an item of the outbox if it still exists; null removes it.
     *
     * @param {Item} item
     * @param {Partial<Item> | null} change
     */
    amend(item: Item, change: Partial<Item> | null): Promise<void>;
    /** Deletes everything. */
    destroy(): Promise<void>;
    #private;
}
export namespace GONE {
    let status: number;
    let kind: string;
    let words: string;
}
/**
 * A transaction, and what it changes of what is kept in memory.
 */
export type Writing = {
    transaction: Transaction;
    conversations: Map<ConversationKey, HeldConversation | undefined>;
    outbox: Map<number, Item | undefined>;
    touched: Set<ConversationKey>;
    arrived: Message[];
};
export type Schemas = import("../types/api.js").components["schemas"];
export type ConversationKey = import("./keys.js").ConversationKey;
export type Store = import("./memory.js").Store;
export type Transaction = import("./memory.js").Transaction;
/**
 * A message of the copy. Without `reacted` it is not decided yet what reactions there are. Of a tombstone `from`, `created` and `system` are kept if the copy had the message. With
 * `waiting` it is as an item of the outbox, of that order, is going to make it.
 */
export type Message = Partial<Omit<Schemas["Message"], "id" | "timestamp" | "number">> & {
    id: number;
    timestamp: number;
    number: number;
    conversation: ConversationKey;
    waiting?: number;
};
/**
 * A conversation as the service returned it. Without a `timestamp` nothing but its key is there yet. `isGone`: it is
 * not the user's any more, but something unsent is left of it.
 */
export type HeldConversation = Partial<Schemas["Conversation"]> & {
    key: ConversationKey;
    due?: number;
    isGone?: boolean;
};
/**
 * A conversation with what waits to be sent into it.
 */
export type Conversation = HeldConversation & {
    waiting?: Item;
    isRefused?: boolean;
};
/**
 * An entry of the timeline, with what was included.
 */
export type Entry = {
    id?: number;
    chat?: number;
    with?: string;
    reactions?: number;
    timestamp: number;
    message?: any;
    conversation?: any;
    summary?: Reactions;
    reacted?: number;
};
/**
 * by their keys
 */
export type Reactions = Record<string, Schemas["ReactionCount"]>;
/**
 * Something that waits to be sent: a message (`send`), a change of one (`edit`, `remove`), a reaction (`react`), a
 * position (`read`), or settings (`set`).
 */
export type Item = {
    order: number;
    kind: "send" | "edit" | "remove" | "react" | "read" | "set";
    conversation: ConversationKey;
    body: Record<string, any>;
    /**
     * when it was added (RFC 3339)
     */
    created: string;
    /**
     * the cursor at that time
     */
    since: number;
    /**
     * of a message: its idempotency key, which is also in its attributes
     */
    key?: string | undefined;
    /**
     * of a change: the message
     */
    id?: number | undefined;
    /**
     * of a change: the version that it is based on; of a reaction, the `reacted` of the message
     */
    base?: number | undefined;
    /**
     * of a change: the texts that it is based on. If the message has another
     * one, somebody else has changed it
     */
    texts?: string[] | undefined;
    /**
     * the service will never accept it
     */
    refused?: Refused | undefined;
    /**
     * of a change: the message as it is now, whose text is another one than that on which
     * the change is based
     */
    conflict?: Message | undefined;
};
/**
 * Something that waits to be sent: a message (`send`), a change of one (`edit`, `remove`), a reaction (`react`), a
 * position (`read`), or settings (`set`).
 */
export type Refused = {
    status: number;
    kind?: string;
    words: string;
};
/**
 * What has changed.
 */
export type Changed = {
    /**
     * the copy was made anew
     */
    isReset: boolean;
    /**
     * of which something has changed: itself, its messages, or what waits
     */
    conversations: Set<ConversationKey>;
    /**
     * that the timeline has brought
     */
    messages: Message[];
};
