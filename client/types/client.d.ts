export class Client {
    /** @param {ConnectOptions} options */
    constructor({ store, transport, user, ...options }: ConnectOptions);
    /** Resolves when the copy can be read. Rejects if there is none, as in a browser that keeps no data. */
    ready: Promise<void>;
    /** Whose client it is. */
    get user(): string | undefined;
    /** @returns {State} "current": everything so far is in the copy */
    get state(): State;
    /**
     * All conversations, in the order of a list: the pinned ones first, then those with the newest message. The same
     * array until something has changed.
     */
    get conversations(): import("./copy.js").Conversation[];
    /** What is unread in conversations that are neither muted nor archived. */
    get unread(): {
        messages: number;
        mentions: number;
        conversations: number;
    };
    /** What waits to be sent, and what was refused. */
    get outbox(): import("./copy.js").Item[];
    /**
     * @param {string} key `users/john`, `chats/3`
     */
    conversation(key: string): Conversation;
    /** @param {number} number */
    chat(number: number): Conversation;
    /** @param {string} user */
    with(user: string): Conversation;
    /**
     * A message of the copy by its id.
     *
     * @param {number} id
     */
    message(id: number): Promise<import("./copy.js").Message | undefined>;
    /**
     * Calls `listener` whenever that happens. Returns a function that ends it.
     *
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {Events[Name]} listener
     */
    on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void;
    /**
     * Creates a chat. It needs the service. Repeated with the same `key` it creates no second one.
     *
     * @param {{ name: string, members?: string[] }} chat
     * @param {string} [key]
     */
    createChat(chat: {
        name: string;
        members?: string[];
    }, key?: string): Promise<Conversation>;
    /**
     * Tries again what was refused.
     *
     * @param {Item} item
     */
    retry(item: Item): Promise<void>;
    /**
     * Drops what waits or was refused.
     *
     * @param {Item} item
     */
    discard(item: Item): Promise<void>;
    /**
     * Decides a conflict: the change is made on the message as it is now, or dropped.
     *
     * @param {Item} item
     * @param {boolean} isKept
     */
    resolve(item: Item, isKept: boolean): Promise<void>;
    /**
     * Calls the service as the user, and returns the body of the answer.
     *
     * @param {string} method
     * @param {string} path
     * @param {import("./calls.js").CallOptions} [options]
     */
    call(method: string, path: string, options?: import("./calls.js").CallOptions): Promise<any>;
    /**
     * Fetches something from another service that accepts the user's token, as one for files: the token goes to whatever
     * `url` names. A refusal is thrown as a {@link Problem}.
     *
     * @param {string} url
     * @param {RequestInit & { headers?: Record<string, string> }} [request]
     */
    fetch(url: string, request?: RequestInit & {
        headers?: Record<string, string>;
    }): Promise<Response>;
    /** Ends the client. The copy stays. */
    close(): void;
    /** Ends the client in all tabs, and deletes the copy with what was not sent. */
    destroy(): Promise<void>;
    #private;
}
export type Item = import("./copy.js").Item;
export type Changed = import("./copy.js").Changed;
export type State = import("./timeline.js").State;
export type HistoryWindow = import("./window.js").HistoryWindow;
export type Settings = {
    /**
     * where the service is, as `https://messages.example`; the page's own host if it is left out
     */
    base?: string | undefined;
    /**
     * whose client it is: needed only where tokens do not say that
     */
    user?: string | undefined;
    /**
     * where the copy is kept; in memory if it is left out
     */
    store?: import("./memory.js").Store | undefined;
    /**
     * `poll` works wherever `fetch` does, also without streams of bytes
     */
    transport?: "stream" | "poll" | undefined;
};
export type ConnectOptions = Settings & import("./calls.js").Credentials;
/**
 * What another user signals in a conversation, which `key` names.
 */
export type Signal = Omit<import("./copy.js").Schemas["Signal"], "chat" | "with"> & {
    key: string;
};
/**
 * What a client tells.
 */
export type Events = {
    state: (state: State, error?: unknown) => void;
    /**
     * the copy has changed
     */
    change: (changed: Changed) => void;
    /**
     * the service has acknowledged it
     */
    sent: (item: Item) => void;
    /**
     * the service will never accept it, for the reason in `refused`. Messages and
     * changes of messages stay in the outbox until they are tried again or discarded
     */
    refused: (item: Item) => void;
    /**
     * in a slow chat, nothing can be sent for so long
     */
    wait: (wait: {
        key: string;
        seconds: number;
    }) => void;
    /**
     * another user has signalled; only with streams
     */
    signal: (signal: Signal) => void;
    /**
     * these other users are typing in a conversation;
     * only with streams
     */
    typing: (typing: {
        key: string;
        users: string[];
    }) => void;
    /**
     * the copy cannot be read or written at present, as where there is no space.
     * What needs it is tried again
     */
    failure: (error: unknown) => void;
    /**
     * the client has ended: the token is not accepted any more (a
     * {@link Problem}), or the copy cannot be kept
     */
    end: (error: unknown) => void;
};
import { Conversation } from "./conversation.js";
