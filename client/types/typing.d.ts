/**
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 *
 * A user who is typing, or who has just sent a message: then a signal is late. `timer` ends either.
 * @typedef {{ isTyping: boolean, timer: ReturnType<typeof setTimeout> }} Typist
 */
export class Typing {
    /** @param {(key: ConversationKey) => void} onChange called when other users are typing in a conversation */
    constructor(onChange: (key: ConversationKey) => void);
    /**
     * Who is typing, the first one first.
     *
     * @param {ConversationKey} key
     */
    users(key: ConversationKey): string[];
    /**
     * A user has signalled to be typing for so many seconds from now.
     *
     * @param {ConversationKey} key
     * @param {string} user
     * @param {number} seconds
     */
    begin(key: ConversationKey, user: string, seconds: number): void;
    /**
     * A user's message has come.
     *
     * @param {ConversationKey} key
     * @param {string} user
     */
    end(key: ConversationKey, user: string): void;
    /** Nobody is typing, as far as can be said. */
    clear(): void;
    /**
     * Signals that the user is typing, unless that was signalled a moment ago. Whether it succeeds does not matter.
     *
     * @param {ConversationKey} key
     * @param {(body: { kind: string, ttl: number }) => Promise<unknown>} post
     */
    signal(key: ConversationKey, post: (body: {
        kind: string;
        ttl: number;
    }) => Promise<unknown>): Promise<void>;
    /**
     * The user has sent a message: what is typed next is signalled as soon as nobody takes it for late.
     *
     * @param {ConversationKey} key
     */
    sent(key: ConversationKey): void;
    #private;
}
/**
 * A user who is typing, or who has just sent a message: then a signal is late. `timer` ends either.
 */
export type ConversationKey = import("./keys.js").ConversationKey;
export type Typist = {
    isTyping: boolean;
    timer: ReturnType<typeof setTimeout>;
};
