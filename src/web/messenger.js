/** A signed-in user's messenger: connects the copy, its synchronization and its views. */
import { actionsFor } from "./actions.js";
import { caller, Problem } from "./api.js";
import { Changes } from "./changes.js";
import { ChatDialog, createChat } from "./chat_dialog.js";
import { Composer } from "./composer.js";
import { Conversations } from "./conversations.js";
import { askFor, chooseText, confirmed, confirmRemoval, reportMessage } from "./dialogs.js";
import { $, element, isolated } from "./dom.js";
import { Drafts } from "./drafts.js";
import { History } from "./history.js";
import { Mentions } from "./mentions.js";
import { showMenu } from "./menu.js";
import { Outbox } from "./outbox.js";
import { Posting } from "./posting.js";
import { Reading } from "./reading.js";
import { Search } from "./search.js";
import { avatar, Sidebar } from "./sidebar.js";
import { openStore } from "./store.js";
import { Refusal, sync } from "./sync.js";
import { Thread } from "./thread.js";
import { Waits } from "./waits.js";
import { addressOf, gist, isChat, isMuted, isUserId, keyAt, nameOf, NOT_AN_ID } from "./words.js";

const STATES = {
  connecting: "Connecting…",
  current: "Up to date",
  offline: "Offline. What you write is kept and sent later.",
};

/** Times that are shown become older, and mutes end. */
const REFRESH_MS = 60_000;

export class Messenger {
  #user; #store; #call; #drafts; #outbox; #changes; #conversations; #history; #reading;
  #thread; #composer; #posting; #sidebar; #search; #dialog;
  #onSignedOut; #ending = new AbortController();
  #open = null; #listed = []; #isCurrent = false; #refreshing = null; #shown = Promise.resolve();

  /** Opens the copy and begins to follow; `onSignedOut(why)` is called when the token ends. */
  static async start({ token, user, copy, onSignedOut }) {
    const messenger = new Messenger({ token, user, copy, store: await openStore(copy, user), onSignedOut });
    await messenger.#begin(token);
    return messenger;
  }

  constructor({ token, user, copy, store, onSignedOut }) {
    this.#user = user;
    this.#store = store;
    this.#call = caller(token);
    this.#onSignedOut = onSignedOut;
    const [call, signal] = [this.#call, this.#ending.signal];
    this.#drafts = new Drafts(copy);
    this.#changes = new Changes(call, store);
    this.#conversations = new Conversations(call, store);
    this.#reading = new Reading(store, (key, number) => this.#conversations.mark(key, number));
    const waits = new Waits();
    this.#outbox = new Outbox({ call, store, waits, signal, onSignedOut: (problem) => this.#end(problem.words) });
    this.#history = new History(call, store);
    const views = { store, user, reading: this.#reading, history: this.#history };
    this.#thread = new Thread({ ...views, on: this.#actions() });
    this.#sidebar = new Sidebar({ user, drafts: this.#drafts }, (key, place) => this.#showMenu(key, place));
    this.#composer = new Composer({ user, drafts: this.#drafts, mentions: new Mentions(call, user), on: {
      send: (key, content) => this.#send(key, content),
      edit: (message, content) => this.#changes.edit(message, content, chooseText),
      editLast: () => this.#editLast(),
    } });
    this.#posting = new Posting({ composer: this.#composer, waits, onUnmuted: () => this.#refresh() });
  }

  async #begin(token) {
    $("me").replaceChildren(avatar(this.#user), element("span", { class: "preview" }, this.#user));
    this.#connectButtons();
    this.#store.watch((messages) => this.#onChange(messages));
    await this.#refresh();
    await this.#route();
    setInterval(() => this.#refresh(), REFRESH_MS);
    this.#outbox.run();
    const onState = (state) => this.#onState(state);
    sync({ token, store: this.#store, signal: this.#ending.signal, onState }).catch((refusal) => {
      this.#end(refusal instanceof Refusal ? new Problem(refusal.status, { detail: refusal.message }).words : `${refusal}`);
    });
  }

  #connectButtons() {
    const onOpen = async (key, message) => {
      await this.#go(key);
      await this.#thread.show(message);
    };
    this.#search = new Search({ call: this.#call, user: this.#user, conversations: () => this.#listed, onOpen });
    $("new-message").addEventListener("click", () => this.#newMessage());
    $("new-chat").addEventListener("click", () => this.#newChat());
    $("details").addEventListener("click", () => this.#showDetails());
    $("menu").addEventListener("click", ({ currentTarget }) => {
      const { right, bottom } = currentTarget.getBoundingClientRect();
      this.#showMenu(this.#open, { x: right, y: bottom });
    });
    $("unblock").addEventListener("click", () => this.#attempt(() => this.#conversations.set(this.#open, { blocked: false })));
    $("sign-out").addEventListener("click", () => this.#signOut());
    addEventListener("hashchange", () => this.#route());
  }

  #actions() {
    return {
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      remove: (message) => this.#remove(message),
      report: (message) => reportMessage(this.#call, message),
      editRefused: (item) => this.#editRefused(item),
      retry: (item) => this.#outbox.retry(item),
      discard: (item) => this.#outbox.discard(item),
    };
  }

  // Events of the service.

  #onState(state) {
    // A screen reader would announce every attempt.
    if (state === "connecting" && document.body.dataset.state === "offline") return;
    this.#isCurrent = state === "current";
    document.body.dataset.state = state;
    if ($("state").textContent !== STATES[state]) $("state").textContent = STATES[state];
    if (this.#open) this.#showHeader();
    if (!this.#isCurrent) return;
    this.#outbox.wake();
    this.#conversations.refresh();
    this.#search.retry();
    this.#thread.retry();
    // Only a current copy shows that a chat is not the user's.
    this.#refresh();
  }

  #onChange(messages) {
    // After the copy was made anew the open conversation may be another one.
    if (!messages) this.#isCurrent = false;
    if (!messages && this.#open) this.#thread.open(this.#open);
    for (const message of messages ?? []) this.#announce(message);
    this.#refresh();
    if (this.#isCurrent) this.#conversations.refresh();
  }

  /** Announces a new message to screen readers. */
  #announce(message) {
    if (!this.#isCurrent || message.deleted || message.edited || message.from === this.#user) return;
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
    if (this.#ending.signal.aborted) return;
    const before = this.#present();
    this.#listed = await this.#store.conversations();
    this.#sidebar.show(this.#listed, this.#open);
    this.#dialog?.update(this.#listed.find(({ key }) => key === this.#dialog.key));
    if (!this.#open) return;
    // A chat that is not in the copy is not the user's, or not any more.
    if (this.#isCurrent && isChat(this.#open) && !this.#present()) return this.#close(before);
    this.#showHeader();
    await this.#thread.render();
  }

  #present() {
    return this.#listed.find(({ key }) => key === this.#open);
  }

  #showHeader() {
    const conversation = this.#present() ?? { key: this.#open };
    const { members, isGone, timestamp } = conversation;
    const name = nameOf(conversation);
    $("title").textContent = name;
    $("title-avatar").replaceChildren(avatar(name, isChat(this.#open)));
    const ofChat = isGone ? "You are no longer a member" : members === 1 ? "1 member" : `${members ?? "…"} members`;
    const kind = isChat(this.#open) ? ofChat : "Personal conversation";
    // On a phone the state line is hidden while a conversation is open.
    const isOffline = document.body.dataset.state === "offline";
    $("subtitle").textContent = isOffline ? "Offline" : `${kind}${isMuted(conversation) ? " · muted" : ""}`;
    $("details").hidden = !isChat(this.#open) || timestamp === undefined;
    $("menu").hidden = isGone || (isChat(this.#open) && timestamp === undefined);
    this.#posting.show(conversation);
  }

  // Actions of the user.

  async #go(key) {
    if (location.hash !== addressOf(key)) history.pushState(null, "", addressOf(key));
    await this.#route();
  }

  async #route() {
    const key = keyAt(location.hash);
    document.body.dataset.view = key ? "thread" : "list";
    $("conversation").hidden = !key;
    $("nothing-open").hidden = Boolean(key);
    if (key === this.#open) return;
    this.#open = key;
    this.#tellLeft();
    if (!key) {
      this.#thread.close();
      return this.#refresh();
    }
    this.#composer.open(key);
    this.#showHeader();
    // On a phone the keyboard would open and hide the messages.
    if (!matchMedia("(pointer: coarse)").matches) $("text").focus();
    await this.#thread.open(key);
    await this.#refresh();
  }

  /** Closes a chat that is not the user's, or not any more, and shows why. */
  #close(chat) {
    this.#leave();
    if (chat) this.#tellLeft("You are no longer a member of “", isolated(nameOf(chat)), "”, or it was deleted.");
    else this.#tellLeft("There is no such chat, or you are not a member of it.");
  }

  /** Goes back to the list. */
  #leave() {
    history.replaceState(null, "", "#/");
    return this.#route();
  }

  /** Shows why nothing is open: in the empty pane and, for phones, above the list. */
  #tellLeft(...words) {
    $("left").replaceChildren(...words);
    $("left-above").replaceChildren(...$("left").cloneNode(true).childNodes);
  }

  async #send(key, content) {
    await this.#outbox.add(key, content);
    await this.#refresh();
    await this.#thread.toEnd();
  }

  async #editLast() {
    const mine = await this.#store.newestMessage(this.#open, ({ from, deleted }) => from === this.#user && !deleted);
    if (mine) this.#composer.edit(mine);
  }

  async #editRefused(item) {
    const { replyTo } = item.body;
    this.#composer.takeBack(item.body, replyTo && (await this.#store.message(replyTo)));
    // Not before it is a draft: the page may be closed in between.
    await this.#outbox.discard(item);
  }

  async #remove(message) {
    if (!(await confirmed("Delete the message?", "It is deleted for everybody, for ever.", "Delete"))) return;
    await this.#attempt(() => this.#changes.remove(message, confirmRemoval));
  }

  #showMenu(key, place) {
    const conversation = this.#listed.find((listed) => listed.key === key) ?? { key };
    if (conversation.isGone) return;
    const items = actionsFor(conversation, this.#user, {
      set: (settings) => this.#attempt(() => this.#conversations.set(key, settings)),
      read: () => this.#attempt(() => this.#conversations.mark(key, conversation.messages)),
      unread: () => this.#attempt(() => this.#markUnread(conversation)),
    });
    showMenu(`Conversation with ${nameOf(conversation)}`, place, items);
  }

  /** Makes the newest message unread that can be. Open, it would be read again. */
  async #markUnread({ key, messages }) {
    const find = () => this.#store.newestMessage(key, ({ deleted, system }) => !deleted && !system);
    let newest = await find();
    if (!newest) {
      await this.#history.before(key, messages + 1);
      newest = await find();
    }
    if (key === this.#open) {
      this.#reading.forget();
      await this.#leave();
    }
    await this.#conversations.mark(key, (newest?.number ?? messages) - 1, { back: true });
  }

  async #newMessage() {
    const to = { name: "to", label: "To", hint: "The id of a user, such as john" };
    const user = await askFor("New message", [to], "Write", async ({ to }) => {
      if (!isUserId(to.trim())) throw new Error(NOT_AN_ID);
      return to.trim();
    });
    if (user) await this.#go(`users/${user}`);
  }

  async #newChat() {
    const chat = await createChat(this.#call);
    if (!chat) return;
    const key = `chats/${chat.number}`;
    await this.#attempt(() => this.#conversations.add(key));
    await this.#refresh();
    await this.#go(key);
  }

  async #showDetails() {
    this.#dialog = new ChatDialog(this.#call, this.#present(), this.#user);
    const { key } = this.#dialog;
    const words = await this.#dialog.show();
    this.#dialog = null;
    if (!words) return;
    // The timeline may have told of it already.
    if (this.#open === key) await this.#leave();
    this.#tellLeft(...words);
  }

  /** Shows the problem if something fails: where messages are written, or above the list. */
  async #attempt(work) {
    const place = $("composer").hidden || !this.#open ? $("notice") : $("composer-error");
    try {
      $("notice").textContent = "";
      await work();
    } catch (problem) {
      place.textContent = problem.words ?? problem.message;
    }
  }

  async #signOut() {
    const waiting = (await this.#store.outbox()).length;
    const text = waiting ? `${waiting} of your messages were not sent yet. They are deleted with the copy in this browser.`
      : "The copy in this browser is deleted. Your messages stay with the service.";
    if (!(await confirmed("Sign out?", text, "Sign out"))) return;
    this.#ending.abort();
    this.#drafts.clear();
    await Promise.race([this.#store.destroy(), new Promise((resolve) => { setTimeout(resolve, 2000); })]);
    this.#onSignedOut("");
  }

  #end(why) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#onSignedOut(why);
  }
}
