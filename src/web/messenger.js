// @ts-check
/** A signed-in user's messenger: connects the client of the package with its views. */
import { connect, indexedDBStore } from "/client/messages.js";
import { actionsFor } from "./actions.js";
import { ChatDialog, createChat } from "./chat_dialog.js";
import { Composer } from "./composer.js";
import { askFor, chooseText, confirmed, confirmRemoval, reportMessage } from "./dialogs.js";
import { $, element, isolated } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Files } from "./files.js";
import { Growing } from "./growing.js";
import { keepPage } from "./installing.js";
import { Mentions } from "./mentions.js";
import { showMenu } from "./menu.js";
import { Notices } from "./notices.js";
import { Pins } from "./pins.js";
import { Posting } from "./posting.js";
import { Reading } from "./reading.js";
import { Restrictions } from "./restrictions.js";
import { beginningsOf } from "./rights.js";
import { Router } from "./router.js";
import { Search } from "./search.js";
import { avatar, Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";
import { Waits } from "./waits.js";
import { gist, isChat, isMuted, isUserId, nameOf, NOT_AN_ID, typingWords } from "./words.js";

/**
 * @typedef {import("/client/messages.js").Client} Client
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/messages.js").ConversationHandle} ConversationHandle
 * @typedef {import("/client/messages.js").Item} Item
 * @typedef {import("/client/messages.js").Message} Message
 */

const STATES = {
  connecting: "Connecting…",
  current: "Up to date",
  offline: "Offline. What you write is kept and sent later.",
};

/** Times that are shown become older, and mutes and suspensions end. */
const REFRESH_MS = 60_000;

/** Among so many of the newest messages one is looked for. */
const NEWEST_MAX = 100;

export class Messenger {
  #client; #call; #user; #restrictions; #onSignedOut; #drafts; #waits = new Waits(); #reading; #notices; #files;
  #growing = new Growing((key = this.#open?.key) => key === this.#open?.key && this.#thread.render());
  #thread; #pins; #composer; #posting; #sidebar; #search; #dialog = /** @type {ChatDialog | null} */ (null);
  #router = new Router((key) => this.#route(key));
  /** The open conversation. */
  #open = /** @type {ConversationHandle | null} */ (null); #seen = /** @type {Conversation | undefined} */ (undefined);
  #hasEnded = false; #refreshing = /** @type {Promise<void> | null} */ (null); #shown = Promise.resolve();
  #deciding = false;

  /**
   * Opens the copy and begins to follow; `onSignedOut(why)` is called when the token ends.
   *
   * @param {{ token: string, user: string, copy: string, filesUrl: Promise<string | undefined>,
   *   onSignedOut: (why: string) => void }} options
   */
  static async start({ token, user, copy, filesUrl, onSignedOut }) {
    // Another tab that destroys the copy has signed out.
    const onClose = (isDestroyed) => (isDestroyed ? onSignedOut("") : location.reload());
    const store = indexedDBStore(copy, { onClose });
    const client = connect({ token, user, store });
    await client.ready;
    await new Messenger({ client, copy, filesUrl: await filesUrl, onSignedOut }).#begin();
  }

  /** @param {{ client: Client, copy: string, filesUrl?: string, onSignedOut: (why: string) => void }} parts */
  constructor({ client, copy, filesUrl, onSignedOut }) {
    this.#client = client;
    this.#call = /** @type {Client["call"]} */ ((...call) => this.#withRefusals(client.call(...call)));
    // The client was given its user.
    const user = /** @type {string} */ (client.user);
    this.#user = user;
    // What is read after a refusal must not be read again if that is refused.
    const call = /** @type {Client["call"]} */ ((...call) => client.call(...call));
    this.#restrictions = new Restrictions({ call, user, onChange: () => this.#onRights() });
    const limits = () => this.#restrictions.limits;
    this.#onSignedOut = onSignedOut;
    this.#drafts = new Drafts(copy);
    this.#files = new Files(client, filesUrl);
    this.#reading = new Reading();
    this.#notices = new Notices(user);
    this.#pins = new Pins({
      show: (message) => this.#attempt(() => this.#thread.show(message)),
      changed: () => this.#thread.render().catch((error) => this.#tell(error)),
      failed: (error) => this.#isCurrent && this.#tell(error),
    });
    this.#thread = new Thread({
      user, reading: this.#reading, growing: this.#growing, pins: this.#pins, limits,
      message: (id) => client.message(id), on: this.#actions(),
    });
    const typists = (key) => client.conversation(key).typists;
    this.#sidebar = new Sidebar({ user, drafts: this.#drafts, typists }, (key, place) => this.#showMenu(client.conversation(key), place));
    this.#composer = new Composer({ user, drafts: this.#drafts, mentions: new Mentions(this.#call, user), files: this.#files, on: {
      send: (conversation, content) => this.#send(conversation, content),
      edit: (conversation, message, content) => conversation.edit(message, content),
      editLast: () => this.#editLast(),
    } });
    this.#posting = new Posting({ composer: this.#composer, waits: this.#waits, limits, onEnd: () => this.#onRights() });
  }

  async #begin() {
    $("me").replaceChildren(avatar(this.#user), element("span", { class: "preview" }, this.#user));
    this.#connectButtons();
    this.#client.on("change", (changed) => this.#onChange(changed));
    this.#client.on("state", (state) => this.#onState(state));
    this.#client.on("sent", (item) => this.#onSent(item));
    this.#client.on("refused", (item) => this.#onRefused(item));
    this.#client.on("wait", ({ key, seconds }) => this.#wait(() => this.#waits.hold(key, seconds)));
    this.#client.on("typing", () => this.#refresh());
    this.#client.on("signal", (signal) => this.#growing.receive(signal));
    this.#client.on("failure", (error) => this.#tell(error));
    this.#client.on("end", (error) => this.#end(error));
    this.#restrictions.read();
    await this.#refresh();
    await this.#router.follow();
    this.#onState(this.#client.state);
    this.#decide();
    document.addEventListener("visibilitychange", () => this.#onVisible());
    await keepPage();
    setInterval(() => Promise.all([this.#restrictions.recheck(), this.#refresh(), this.#thread.render()]), REFRESH_MS);
  }

  #connectButtons() {
    const onOpen = async (conversation, message) => {
      await this.#router.go(conversation);
      await this.#thread.show(message);
    };
    const conversations = () => this.#client.conversations;
    this.#search = new Search({ call: this.#call, user: this.#user, conversations, onOpen });
    $("new-message").addEventListener("click", () => this.#newMessage());
    $("new-chat").addEventListener("click", () => this.#newChat());
    $("details").addEventListener("click", () => this.#showDetails());
    $("menu").addEventListener("click", () => {
      const { right, bottom } = $("menu").getBoundingClientRect();
      if (this.#open) this.#showMenu(this.#open, { x: right, y: bottom });
    });
    $("unblock").addEventListener("click", () => this.#attempt(() => this.#open?.set({ blocked: false })));
    $("sign-out").addEventListener("click", () => this.#signOut());
  }

  #actions() {
    return {
      react: (message, key, reacts) => this.#attempt(() => this.#handleOf(message).react(message, key, reacts)),
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      remove: (message) => this.#remove(message),
      pin: (message, isPinned) => this.#attempt(() => this.#withRefusals(this.#handleOf(message).pin(message, isPinned))),
      report: (message) => reportMessage(this.#call, message),
      save: this.#files.isConfigured ? (id, name) => this.#attempt(() => this.#files.save(id, name)) : undefined,
      editRefused: (item) => this.#editRefused(item),
      retry: (item) => this.#attempt(() => this.#client.retry(item)),
      discard: (item) => this.#attempt(() => this.#client.discard(item)),
    };
  }

  /** @param {Message} message */
  #handleOf({ conversation }) {
    return this.#client.conversation(conversation);
  }

  // Events of the client.

  /** @param {Client["state"]} state */
  #onState(state) {
    // A screen reader would announce every attempt.
    if (state === "connecting" && document.body.dataset.state === "offline") return;
    document.body.dataset.state = state;
    if ($("state").textContent !== STATES[state]) $("state").textContent = STATES[state];
    this.#showHeader();
    if (!this.#isCurrent) return;
    this.#search.retry();
    this.#thread.retry();
    this.#pins.retry();
    this.#restrictions.recheck();
    // Only a current copy shows that a chat is not the user's.
    this.#refresh();
  }

  get #isCurrent() {
    return this.#client.state === "current";
  }

  /** @param {import("/client/copy.js").Changed} changed */
  #onChange({ isReset, messages }) {
    // After the copy was made anew the open conversation may be another one.
    if (isReset && this.#open) this.#thread.open(this.#open);
    if (!isReset) for (const message of messages) this.#announce(message);
    this.#growing.settle(messages);
    this.#pins.update(messages);
    this.#refresh();
    this.#decide();
  }

  /** @param {Item} item */
  #onSent({ kind, conversation: key }) {
    const conversation = kind === "send" && this.#client.conversation(key).state;
    if (conversation) this.#wait(() => this.#waits.begin(conversation));
  }

  /** When the page is shown again: something may have changed while nobody looked. */
  #onVisible() {
    if (document.hidden) return;
    this.#decide();
    this.#restrictions.read();
  }

  /** The user may do something else than before. */
  #onRights() {
    this.#dialog?.refresh();
    return Promise.all([this.#refresh(), this.#thread.render()]);
  }

  /**
   * What comes of a call. A refusal may show that the user may do something else than before.
   *
   * @template T
   * @param {Promise<T>} call
   */
  async #withRefusals(call) {
    try {
      return await call;
    } catch (problem) {
      this.#restrictions.readAfter(problem);
      throw problem;
    }
  }

  /** Begins a wait, and shows it. */
  #wait(begin) {
    begin();
    this.#refresh();
  }

  /**
   * What is written stays, with the reason: a message where it is, an edit where it was written.
   *
   * @param {Item} item
   */
  async #onRefused(item) {
    const { kind, refused } = item;
    this.#restrictions.readAfter(refused ?? {});
    if (kind === "react") this.#tell(refused ?? {});
    if (kind === "set" || kind === "remove") $("notice").textContent = refused?.words ?? "";
    if (kind === "remove") await this.#client.discard(item);
    if (kind === "edit") await this.#giveBackEdit();
  }

  /** Puts an edit of the open conversation that was refused into the field again, if that is free. */
  async #giveBackEdit() {
    const open = this.#open;
    const item = this.#client.outbox.find(({ kind, conversation, refused }) => kind === "edit" && refused && conversation === open?.key);
    const message = item?.id !== undefined && (await this.#client.message(item.id));
    if (!message || open !== this.#open) return;
    const isBack = this.#composer.giveBackEdit(message, item.body.text ?? "", item.refused?.words);
    if (isBack) await this.#client.discard(item);
  }

  /** Asks what becomes of a change of a message that somebody has changed meanwhile. */
  async #decide() {
    if (this.#deciding) return;
    this.#deciding = true;
    const next = () => (document.hidden ? undefined : this.#client.outbox.find(({ conflict }) => conflict));
    try {
      for (let item = next(); item; item = next()) {
        const { kind, conflict, body } = item;
        const isKept = await (kind === "edit" ? chooseText(conflict, body.text) : confirmRemoval(conflict));
        await this.#client.resolve(item, isKept !== null);
      }
    } catch (error) {
      this.#tell(error);
    } finally {
      this.#deciding = false;
    }
  }

  /**
   * Announces a new message: to screen readers, and to those who do not look.
   *
   * @param {Message} message
   */
  #announce(message) {
    if (!this.#isCurrent || message.deleted || message.edited || message.from === this.#user) return;
    this.#notices.tell(message, this.#client.conversation(message.conversation).state);
    $("announcer").textContent = message.system ? gist(message) : `${message.from ?? "The service"}: ${gist(message)}`;
  }

  /** Shows the present copy. Changes meanwhile are shown afterwards, in one go. */
  #refresh() {
    const again = async () => {
      await Promise.resolve();
      this.#refreshing = null;
      await this.#show();
    };
    if (!this.#refreshing) {
      this.#shown = this.#shown.then(again, again);
      this.#refreshing = this.#shown;
    }
    return this.#refreshing;
  }

  async #show() {
    if (this.#hasEnded) return;
    const { conversations } = this.#client;
    const before = this.#seen;
    this.#sidebar.show(conversations, this.#open?.key, this.#client.unread.messages);
    this.#sidebar.offer(this.#beginnings);
    this.#dialog?.update(conversations.find(({ key }) => key === this.#dialog?.key));
    if (!this.#open) return;
    this.#seen = this.#present() ?? this.#seen;
    // A chat that is not in the copy is not the user's, or not any more.
    if (this.#isCurrent && this.#open.isChat && !this.#present()) return this.#close(before);
    this.#showHeader();
  }

  get #beginnings() {
    return beginningsOf(this.#restrictions.limits, Date.now());
  }

  #present() {
    return this.#client.conversations.find(({ key }) => key === this.#open?.key);
  }

  #showHeader() {
    /** @type {Conversation | null} */
    const conversation = this.#present() ?? this.#open;
    if (!conversation) return;
    const { members, isGone, timestamp } = conversation;
    const name = nameOf(conversation);
    $("title").textContent = name;
    $("title-avatar").replaceChildren(avatar(name, isChat(conversation)));
    const ofChat = isGone ? "You are no longer a member" : members === 1 ? "1 member" : `${members ?? "…"} members`;
    const kind = isChat(conversation) ? ofChat : "Personal conversation";
    // On a phone the state line is hidden while a conversation is open.
    const isOffline = document.body.dataset.state === "offline";
    $("subtitle").textContent = isOffline ? "Offline" : `${kind}${isMuted(conversation) ? " · muted" : ""}`;
    const typing = typingWords(this.#open?.typists ?? []);
    if ($("typing").textContent !== typing) $("typing").textContent = typing;
    $("subtitle").hidden = Boolean(typing);
    $("details").hidden = !isChat(conversation) || timestamp === undefined;
    $("menu").hidden = Boolean(isGone) || (isChat(conversation) && timestamp === undefined);
    this.#posting.show(conversation);
    this.#pins.show(this.#open);
  }

  // Actions of the user.

  async #route(key) {
    document.body.dataset.view = key ? "thread" : "list";
    $("conversation").hidden = !key;
    $("nothing-open").hidden = Boolean(key);
    if (key === (this.#open?.key ?? null)) return;
    [this.#open, this.#seen] = [key && this.#client.conversation(key), undefined];
    this.#tellLeft();
    if (!this.#open) {
      this.#thread.close();
      return this.#refresh();
    }
    this.#composer.open(this.#open);
    this.#attempt(() => this.#giveBackEdit());
    this.#showHeader();
    // On a phone the keyboard would open and hide the messages.
    if (!matchMedia("(pointer: coarse)").matches) $("text").focus();
    await this.#thread.open(this.#open);
    await this.#refresh();
  }

  /**
   * Closes a chat that is not the user's, or not any more, and shows why.
   *
   * @param {Conversation | undefined} chat
   */
  #close(chat) {
    this.#router.leave();
    if (chat) this.#tellLeft("You are no longer a member of “", isolated(nameOf(chat)), "”, or it was deleted.");
    else this.#tellLeft("There is no such chat, or you are not a member of it.");
  }

  /** Shows why nothing is open: in the empty pane and, for phones, above the list. */
  #tellLeft(...words) {
    $("left").replaceChildren(...words);
    $("left-above").replaceChildren(...$("left").cloneNode(true).childNodes);
  }

  /**
   * @param {ConversationHandle} conversation
   * @param {import("/client/conversation.js").Draft} content
   */
  async #send(conversation, content) {
    await conversation.send(content);
    // It is kept now, whatever is shown.
    if (conversation.key === this.#open?.key) this.#attempt(() => this.#thread.toEnd());
  }

  async #editLast() {
    const newest = await this.#open?.newest(NEWEST_MAX);
    const mine = newest?.find(({ from, deleted, system }) => from === this.#user && !deleted && !system);
    if (mine) this.#composer.edit(mine);
  }

  /** @param {Item} item */
  async #editRefused(item) {
    const { replyTo } = item.body;
    const replied = replyTo && (await this.#client.message(replyTo));
    this.#composer.takeBack(this.#client.conversation(item.conversation), item.body, replied);
    // Not before it is a draft: the page may be closed in between.
    await this.#client.discard(item);
  }

  /** @param {Message} message */
  async #remove(message) {
    if (!(await confirmed("Delete the message?", "It is deleted for everybody, for ever.", "Delete"))) return;
    await this.#attempt(() => this.#handleOf(message).remove(message));
  }

  /**
   * @param {ConversationHandle} conversation
   * @param {{ x: number, y: number }} place
   */
  #showMenu(conversation, place) {
    /** @type {Conversation} */
    const present = conversation.state ?? conversation;
    if (present.isGone) return;
    const items = actionsFor(present, this.#user, {
      set: (settings) => this.#attempt(() => conversation.set(settings)),
      read: () => this.#attempt(() => conversation.markRead()),
      unread: () => this.#attempt(() => this.#markUnread(conversation)),
    });
    showMenu(`Conversation with ${nameOf(present)}`, place, items);
  }

  /**
   * Makes the newest message unread that can be. Open, it would be read again.
   *
   * @param {ConversationHandle} conversation
   */
  async #markUnread(conversation) {
    const find = async () => (await conversation.newest(NEWEST_MAX)).find(({ deleted, system }) => !deleted && !system);
    let newest = await find();
    if (!newest) {
      await conversation.window().open(conversation.state?.messages);
      newest = await find();
    }
    if (conversation.key === this.#open?.key) {
      this.#reading.forget();
      await this.#router.leave();
    }
    await conversation.markUnread(newest?.number ?? conversation.state?.messages ?? 1);
  }

  async #newMessage() {
    const to = { name: "to", label: "To", hint: "The id of a user, such as john" };
    const user = await askFor("New message", [to], "Write", async ({ to }) => {
      if (!isUserId(to.trim())) throw new Error(NOT_AN_ID);
      return to.trim();
    });
    if (user) await this.#router.go({ with: user });
  }

  async #newChat() {
    const create = /** @type {Client["createChat"]} */ ((...chat) => this.#withRefusals(this.#client.createChat(...chat)));
    const chat = await createChat(create, this.#beginnings.chatWithOthers);
    if (!chat) return;
    await this.#refresh();
    await this.#router.go(chat);
  }

  async #showDetails() {
    const chat = this.#present();
    if (!chat) return;
    this.#dialog = new ChatDialog(this.#call, chat, this.#user, () => this.#restrictions.limits);
    const { key } = this.#dialog;
    const words = await this.#dialog.show();
    this.#dialog = null;
    if (!words) return;
    // The timeline may have told of it already.
    if (this.#open?.key === key) await this.#router.leave();
    this.#tellLeft(...words);
  }

  /** Shows the problem if something cannot be kept: above the list, and where messages are written. */
  async #attempt(work) {
    try {
      for (const place of ["notice", "composer-error"]) $(place).textContent = "";
      await work();
    } catch (error) {
      this.#tell(error);
    }
  }

  #tell(error) {
    for (const place of ["notice", "composer-error"]) $(place).textContent = error.words ?? error.message;
  }

  async #signOut() {
    const waiting = this.#client.outbox.filter(({ kind }) => kind !== "read").length;
    const text = waiting ? `${waiting} of your messages and changes were not sent yet. They are deleted with the copy in this browser.`
      : "The copy in this browser is deleted. Your messages stay with the service.";
    if (!(await confirmed("Sign out?", text, "Sign out"))) return;
    this.#hasEnded = true;
    this.#drafts.clear();
    await Promise.race([this.#client.destroy(), new Promise((resolve) => { setTimeout(resolve, 2000); })]);
    this.#onSignedOut("");
  }

  #end(error) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#onSignedOut(error?.words ?? error?.message ?? "");
  }
}
