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
     * the copy cannot be written at present
     */
    onFailure: (error: unknown) => void;
    /**
     * the service will never accept it, for the reason in `refused`
     */
    onRefused: (item: Item) => void;
};
