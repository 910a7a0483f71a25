/**
 * @typedef {import("./copy.js").Message} Message
 * @typedef {import("./copy.js").Item} Item
 * @typedef {{ low: number, high: number }} Range
 */
export class HistoryWindow {
    /**
     * @param {import("./history.js").History} history
     * @param {import("./copy.js").Copy} copy
     * @param {import("./keys.js").ConversationKey} key
     */
    constructor(history: import("./history.js").History, copy: import("./copy.js").Copy, key: import("./keys.js").ConversationKey);
    /** The messages, in order. @type {Message[]} */
    messages: Message[];
    /** What waits to be sent after them. @type {Item[]} */
    waiting: Item[];
    /** The messages to which these reply, by their ids, as far as the copy has them. @type {Map<number, Message>} */
    quoted: Map<number, Message>;
    key: string;
    /** The conversation as the copy has it. */
    get conversation(): import("./copy.js").Conversation | undefined;
    /** Whether there may be older messages than those that are there. */
    get hasOlder(): boolean;
    /** Whether there are newer messages than those that are there. */
    get hasNewer(): boolean;
    /** Whether anything could be shown yet. */
    get isOpen(): boolean;
    /**
     * Calls `listener` after each change. Returns a function that ends that.
     *
     * @param {() => void} listener
     */
    watch(listener: () => void): () => void;
    /**
     * Opens at a message, or else at the first unread one, or at the end. Returns whether it is there: not if it cannot
     * be fetched now, or the window was opened elsewhere meanwhile.
     *
     * @param {number} [number]
     */
    open(number?: number): Promise<boolean>;
    /** Opens it again if it could not be fetched. */
    retry(): Promise<void>;
    /** The copy was made anew: what is there may have gaps. */
    reset(): Promise<void>;
    /** Goes to the end: what the copy has of it, if it cannot be fetched. Returns whether it has the newest message. */
    toEnd(): Promise<boolean>;
    /** Shows a page of older messages more; returns whether there was one. Offline there may be none. */
    older(): Promise<boolean>;
    /** The same for newer ones. */
    newer(): Promise<boolean>;
    /** Reads again what the copy has. */
    refresh(): Promise<void>;
    /** Nothing is shown any more. */
    close(): void;
    #private;
}
export type Message = import("./copy.js").Message;
export type Item = import("./copy.js").Item;
export type Range = {
    low: number;
    high: number;
};
