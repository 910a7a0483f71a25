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
    /** @param {Sending} sending */
    constructor(sending: Sending);
    /** There is something to send. */
    wake(): void;
    /** The service is back: nothing waits for it any longer. */
    hurry(): void;
    /** Sends until `signal` is aborted. Throws when the token has ended. */
    run(): Promise<void>;
    #private;
}
export type Item = import("./copy.js").Item;
export type ConversationKey = import("./keys.js").ConversationKey;
export type Sending = {
    calls: import("./calls.js").Calls;
    copy: import("./copy.js").Copy;
    signal: AbortSignal;
    /**
     * a chat is slow: nothing can be sent for so long
     */
    onWait: (key: ConversationKey, seconds: number) => void;
    /**
     * the service has acknowledged it
     */
    onSent: (item: Item) => void;
    /**
     * an item could not be sent at present, or the copy not be
     * written
     */
    onFailure: (error: unknown) => void;
    /**
     * the service will never accept it, for the reason in `refused`
     */
    onRefused: (item: Item) => void;
};
/**
 * What is under way of what goes in order.
 */
export type Lane = {
    isBusy: boolean;
    failures: number;
    /**
     * nothing is tried before this time
     */
    notBefore: number;
    /**
     * if that is because the chat is slow: the version of the chat of which the service has
     * said so
     */
    slowAt?: number | undefined;
};
