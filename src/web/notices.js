// @ts-check
/** Notifications of what arrives while nobody looks at the page, if the user allows them. */
import { $ } from "./dom.js";
import { addressOf } from "./router.js";
import { gist, isMuted, nameOf } from "./words.js";

/** @typedef {import("/client/messages.js").Message} Message */

export class Notices {
  #user;

  constructor(user) {
    this.#user = user;
    $("notify").addEventListener("click", async () => {
      await Notification.requestPermission();
      this.#show();
    });
    this.#show();
  }

  /** Offers them until the user has decided. */
  #show() {
    $("notify").hidden = !("Notification" in globalThis && navigator.serviceWorker) || Notification.permission !== "default";
  }

  /**
   * Tells of a new message of a conversation, which is undefined if the copy does not have it yet.
   *
   * @param {Message} message
   * @param {Partial<import("/client/messages.js").Conversation>} [conversation]
   */
  async tell(message, conversation = named(message)) {
    const isOld = message.deleted || message.edited || message.system || message.from === this.#user;
    const isQuiet = isMuted(conversation) || conversation.settings?.archived;
    if (!document.hidden || isOld || isQuiet || globalThis.Notification?.permission !== "granted") return;
    const worker = await navigator.serviceWorker.ready;
    const who = message.chat ? `${message.from ?? "The service"}: ` : "";
    await worker.showNotification(nameOf(conversation), {
      body: who + gist(message),
      // The same in all tabs: the browser shows it once.
      tag: `${message.id}`,
      icon: "/web/icon.svg",
      data: addressOf(conversation),
    });
  }
}

const named = (/** @type {Message} */ { chat, from }) => (chat === undefined ? { with: from } : { chat });
