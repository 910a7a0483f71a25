/**
 * @typedef {import("./copy.js").Message} Message
 *
 * What is to be sent: at least one of text, files and attributes.
 *
 * @typedef {object} Draft
 * @property {string} [text]
 * @property {string[]} [files]
 * @property {Record<string, unknown>} [attributes] `key` is added, by which the timeline's message is recognised
 * @property {string[]} [mentions]
 * @property {boolean} [mentionsAll]
 * @property {number} [replyTo]
 */
export class Conversation {
    /**
     * @param {{ calls: import("./calls.js").Calls, copy: import("./copy.js").Copy,
     *   history: import("./history.js").History, typing: import("./typing.js").Typing,
     *   isCurrent: () => boolean, enqueue: (item: any) => Promise<void>,
     *   watch: (window: HistoryWindow) => void }} parts
     * @param {import("./keys.js").ConversationKey} key
     */
    constructor(parts: {
        calls: import("./calls.js").Calls;
        copy: import("./copy.js").Copy;
        history: import("./history.js").History;
        typing: import("./typing.js").Typing;
        isCurrent: () => boolean;
        enqueue: (item: any) => Promise<void>;
        watch: (window: HistoryWindow) => void;
    }, key: import("./keys.js").ConversationKey);
    /** What names it: `users/john`, `chats/3`. */
    key: string;
    /** The number of a chat. */
    chat: number | undefined;
    /** The other user of a personal conversation. */
    with: string | undefined;
    get isChat(): boolean;
    /** The conversation as the copy has it, with what waits; undefined if the user does not see it. */
    get state(): import("./copy.js").Conversation | undefined;
    /**
     * Sends a message. Once this has returned, not even a crash loses it: it is sent once, after what was written
     * before it in this conversation.
     *
     * @param {Draft} draft
     */
    send({ attributes, files, text, ...rest }: Draft): Promise<void>;
    /**
     * Edits a message of this conversation: what is given is replaced. If somebody else has changed its text meanwhile,
     * the edit becomes a conflict.
     *
     * @param {Message} message as the user has seen it
     * @param {{ text?: string, attributes?: Record<string, unknown> | null, mentions?: string[],
     *   mentionsAll?: boolean }} edit
     */
    edit(message: Message, edit: {
        text?: string;
        attributes?: Record<string, unknown> | null;
        mentions?: string[];
        mentionsAll?: boolean;
    }): Promise<void>;
    /**
     * Deletes a message of this conversation for everybody, for ever; the same counts for a conflict.
     *
     * @param {Message} message as the user has seen it
     */
    remove(message: Message): Promise<void>;
    /**
     * Reacts to a message of this conversation, or takes that back. A user reacts with up to 20 keys.
     *
     * @param {Message} message
     * @param {string} key an emoji, or any other text of up to 64 characters
     * @param {boolean} [reacts]
     */
    react({ id, reacted }: Message, key: string, reacts?: boolean): Promise<void>;
    /**
     * What is pinned in a chat, the newest pin first. It needs the service.
     *
     * @returns {Promise<import("./copy.js").Schemas["Pin"][]>}
     */
    pins(): Promise<import("./copy.js").Schemas["Pin"][]>;
    /**
     * Pins a message of a chat, or removes the pin. It needs the service.
     *
     * @param {{ id: number }} message
     * @param {boolean} [isPinned]
     */
    pin({ id }: {
        id: number;
    }, isPinned?: boolean): Promise<any>;
    /**
     * Marks everything up to a number as read.
     *
     * @param {number} [number] that of the newest message, if it is left out
     */
    markRead(number?: number): Promise<void>;
    /**
     * Marks a message, and all that come after it, as unread.
     *
     * @param {number} number
     */
    markUnread(number: number): Promise<void>;
    /**
     * Changes what the user has set for it: `pinned`, `mutedUntil`, `archived`, `blocked`, `attributes`.
     *
     * @param {Partial<import("./copy.js").Schemas["SettingsPatch"]>} settings
     */
    set(settings: Partial<import("./copy.js").Schemas["SettingsPatch"]>): Promise<void>;
    /**
     * Signals to the others in the conversation that something is happening at the moment. It is no promise, and only
     * those receive it who follow a stream now. Rejects where the service does not accept it: a user may signal once a
     * second.
     *
     * @param {string} kind a name that the application chooses
     * @param {{ ttl?: number, data?: Record<string, unknown> }} [signal] `ttl`: for how many seconds it holds
     */
    signal(kind: string, { ttl, data }?: {
        ttl?: number;
        data?: Record<string, unknown>;
    }): Promise<void>;
    /** Signals that the user is typing. It may be called at every key: the service is called every few seconds. */
    typing(): void;
    /** The other users who are typing. */
    get typists(): string[];
    /**
     * A part of its messages, which follows what arrives. Nothing is in it before it is opened.
     */
    window(): HistoryWindow;
    /**
     * The newest messages that the copy has, the newest first.
     *
     * @param {number} limit
     */
    newest(limit: number): Promise<import("./copy.js").Message[]>;
    /**
     * Fetches a page of the replies to a message of this conversation, which may be deleted: those after a number, the
     * oldest first, up to 100. The copy has them then. `replies` counts all of them, and `next` is the `after` of the
     * next page, if there is one.
     *
     * @param {number} id
     * @param {{ after?: number, limit?: number }} [page]
     * @returns {Promise<import("./copy.js").Schemas["ReplyList"]>}
     */
    replies(id: number, { after, limit }?: {
        after?: number;
        limit?: number;
    }): Promise<import("./copy.js").Schemas["ReplyList"]>;
    /**
     * Calls the service for something of the conversation, as `call("GET", "/members")`.
     *
     * @param {string} method
     * @param {string} path
     * @param {import("./calls.js").CallOptions} [options]
     */
    call(method: string, path: string, options?: import("./calls.js").CallOptions): Promise<any>;
    #private;
}
/**
 * What is to be sent: at least one of text, files and attributes.
 */
export type Message = import("./copy.js").Message;
export type Draft = {
    text?: string | undefined;
    files?: string[] | undefined;
    /**
     * `key` is added, by which the timeline's message is recognised
     */
    attributes?: Record<string, unknown> | undefined;
    mentions?: string[] | undefined;
    mentionsAll?: boolean | undefined;
    replyTo?: number | undefined;
};
import { HistoryWindow } from "./window.js";
