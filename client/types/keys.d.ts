/**
 * A random key, for what is sent once. (`crypto.randomUUID` is missing on pages without TLS.)
 */
export function randomKey(): string;
export function keyOf({ chat, with: other }: {
    chat?: number;
    with?: string;
}): ConversationKey;
export function isChat(key: ConversationKey): boolean;
export function namedBy(key: ConversationKey): {
    chat?: number;
    with?: string;
};
export function pathOf(key: ConversationKey): string;
export type ConversationKey = string;
