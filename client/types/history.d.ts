/**
 * A message that was read with the reactions to it: where none are named, there are none.
 *
 * @param {any} message
 */
export function withReactions(message: any): any;
/**
 * @typedef {import("./copy.js").Message} Message
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 */
export class History {
    /**
     * @param {import("./calls.js").Calls} calls
     * @param {import("./copy.js").Copy} copy
     */
    constructor(calls: import("./calls.js").Calls, copy: import("./copy.js").Copy);
    /**
     * Brings up to a page of messages before a number into the copy. Returns the lowest number that follows without a
     * gap, `number` if there is none, or 1 if the user may read nothing before it.
     *
     * @param {ConversationKey} key
     * @param {number} number
     * @returns {Promise<number>}
     */
    before(key: ConversationKey, number: number): Promise<number>;
    /**
     * The same after a number; `last` is the number of the newest message. Returns the highest number.
     *
     * @param {ConversationKey} key
     * @param {number} number
     * @param {number} last
     * @returns {Promise<number>}
     */
    after(key: ConversationKey, number: number, last: number): Promise<number>;
    /**
     * Brings messages of a conversation into the copy, by their ids.
     *
     * @param {ConversationKey} key
     * @param {number[]} ids
     */
    fetch(key: ConversationKey, ids: number[]): Promise<void>;
    #private;
}
export type Message = import("./copy.js").Message;
export type ConversationKey = import("./keys.js").ConversationKey;
