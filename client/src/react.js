// @ts-check
/** Hooks for React: what a client has, as values that are rendered again when they change. */
import { useCallback, useEffect, useMemo, useReducer, useSyncExternalStore } from "react";

/** @typedef {import("./client.js").Client} Client */

/**
 * The conversations, in the order of a list.
 *
 * @param {Client} client
 */
export function useConversations(client) {
  return useSyncExternalStore(
    useCallback((onChange) => client.on("change", onChange), [client]),
    () => client.conversations,
    () => client.conversations,
  );
}

/**
 * Whether the copy is current: "connecting", "current" or "offline".
 *
 * @param {Client} client
 */
export function useConnection(client) {
  return useSyncExternalStore(
    useCallback((onChange) => client.on("state", onChange), [client]),
    () => client.state,
    () => client.state,
  );
}

/**
 * The messages of a conversation, from the first unread one on, and what waits to be sent. `older()` and `newer()`
 * show more.
 *
 * @param {Client} client
 * @param {string} key `users/john`, `chats/3`
 */
export function useMessages(client, key) {
  const [, render] = useReducer((/** @type {number} */ turn) => turn + 1, 0);
  const conversation = useMemo(() => client.conversation(key), [client, key]);
  const window = useMemo(() => conversation.window(), [conversation]);
  useEffect(() => {
    const end = window.watch(render);
    const open = async () => {
      await client.ready;
      if (!(await window.open())) await window.toEnd();
    };
    open();
    return () => {
      end();
      window.close();
    };
  }, [client, window]);
  const { messages, waiting, hasOlder, hasNewer } = window;
  return {
    conversation, messages, waiting, hasOlder, hasNewer,
    older: useCallback(() => window.older(), [window]),
    newer: useCallback(() => window.newer(), [window]),
  };
}
