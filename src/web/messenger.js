/** A signed-in user's messenger: connects the copy, its synchronization and its views. */
import { caller, Problem } from "./api.js";
import { Changes } from "./changes.js";
import { Composer } from "./composer.js";
import { Conversations } from "./conversations.js";
import { askFor, chooseText, confirmed, confirmRemoval } from "./dialogs.js";
import { $, element, isolated } from "./dom.js";
import { ChatDialog, createChat } from "./members.js";
import { Outbox } from "./outbox.js";
import { Reading } from "./reading.js";
import { Search } from "./search.js";
import { avatar, showConversations } from "./sidebar.js";
import { openStore } from "./store.js";
import { Refusal, sync } from "./sync.js";
import { Thread } from "./thread.js";
import { addressOf, gist, isChat, isUserId, keyAt, nameOf, NOT_AN_ID } from "./words.js";

const STATES = {
  connecting: "Connecting…",
  current: "Up to date",
  offline: "Offline. What you write is kept and sent later.",
};

export class Messenger {
  #user; #store; #call; #outbox; #changes; #mentioned; #thread; #composer; #reading; #search; #onSignedOut;
  #ending = new AbortController();
  #open = null; #conversations = []; #isCurrent = false; #refreshing = null; #shown = Promise.resolve();

  /** Opens the copy and begins to follow; `onSignedOut(why)` is called when the token ends. */
  static async start({ token, user, copy, onSignedOut }) {
    const messenger = new Messenger(token, user, await openStore(copy, user), onSignedOut);
    await messenger.#begin(token);
    return messenger;
  }

  constructor(token, user, store, onSignedOut) {
    this.#user = user;
    this.#store = store;
    this.#call = caller(token);
    this.#onSignedOut = onSignedOut;
    const [call, signal] = [this.#call, this.#ending.signal];
    this.#changes = new Changes(call, store);
    this.#mentioned = new Conversations(call, store);
    this.#reading = new Reading(store, this.#changes);
    this.#outbox = new Outbox({ call, store, signal, onSignedOut: (problem) => this.#end(problem.words) });
    this.#thread = new Thread({ call, store, user, on: this.#actions() });
    this.#composer = new Composer({ user, on: {
      send: (key, content) => this.#send(key, content),
      edit: (message, text) => this.#changes.edit(message, text, chooseText),
      editLast: () => this.#editLast(),
    } });
  }

  async #begin(token) {
    $("me").replaceChildren(avatar(this.#user), element("span", { class: "preview" }, this.#user));
    this.#connectButtons();
    this.#store.watch((messages) => this.#onChange(messages));
    await this.#refresh();
    await this.#route();
    this.#outbox.run();
    const onState = (state) => this.#onState(state);
    sync({ token, store: this.#store, signal: this.#ending.signal, onState }).catch((refusal) => {
      this.#end(refusal instanceof Refusal ? new Problem(refusal.status, { detail: refusal.message }).words : `${refusal}`);
    });
  }

  #connectButtons() {
    const { call, user } = { call: this.#call, user: this.#user };
    const nameFor = (key) => nameOf(this.#conversations.find((conversation) => conversation.key === key) ?? { key });
    const onOpen = async (key, message) => {
      await this.#go(key);
      await this.#thread.show(message);
    };
    this.#search = new Search({ call, user, nameFor, onOpen });
    $("new-message").addEventListener("click", () => this.#newMessage());
    $("new-chat").addEventListener("click", () => this.#newChat());
    $("details").addEventListener("click", () => this.#showDetails());
    $("sign-out").addEventListener("click", () => this.#signOut());
    addEventListener("hashchange", () => this.#route());
    document.addEventListener("visibilitychange", () => this.#look());
  }

  #actions() {
    return {
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      remove: (message) => this.#remove(message),
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
    this.#mentioned.refresh();
    this.#search.retry();
    // Only a current copy shows that a chat is not the user's.
    this.#refresh();
  }

  #onChange(messages) {
    // After a reset the open conversation may be another one.
    if (!messages) this.#isCurrent = false;
    if (!messages && this.#open) this.#thread.open(this.#open);
    for (const message of messages ?? []) this.#announce(message);
    this.#refresh();
    if (this.#isCurrent) this.#mentioned.refresh();
  }

  /** Announces a new message to screen readers. */
  #announce(message) {
    if (!this.#isCurrent || message.deleted || message.edited || message.from === this.#user) return;
    $("announcer").textContent = `${message.from ?? "The service"}: ${gist(message)}`;
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
    this.#conversations = await this.#store.conversations();
    showConversations(this.#conversations, await this.#store.outbox(), this.#user, this.#open);
    if (!this.#open) return;
    // A chat that is not in the copy is not the user's, or not any more.
    if (this.#isCurrent && isChat(this.#open) && !this.#present()) return this.#close(before);
    this.#showHeader();
    await this.#thread.render();
    this.#look();
  }

  #look() {
    return this.#reading.look(this.#open, this.#isCurrent);
  }

  #present() {
    return this.#conversations.find(({ key }) => key === this.#open);
  }

  #showHeader() {
    const conversation = this.#present() ?? { key: this.#open };
    const name = nameOf(conversation);
    const count = conversation.chat?.members;
    $("title").textContent = name;
    $("title-avatar").replaceChildren(avatar(name, isChat(this.#open)));
    const members = count === 1 ? "1 member" : `${count ?? "…"} members`;
    const ofChat = conversation.isGone ? "You are no longer a member" : members;
    const kind = isChat(this.#open) ? ofChat : "Personal conversation";
    // On a phone the state line is hidden while a conversation is open.
    $("subtitle").textContent = document.body.dataset.state === "offline" ? "Offline" : kind;
    $("details").hidden = !conversation.chat || conversation.isGone;
    $("composer").hidden = Boolean(conversation.isGone);
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
    history.replaceState(null, "", "#/");
    this.#route();
    if (chat) this.#tellLeft("You are no longer a member of “", isolated(nameOf(chat)), "”.");
    else this.#tellLeft("There is no such chat, or you are not a member of it.");
  }

  /** Shows why nothing is open: in the empty pane and, for phones, above the list. */
  #tellLeft(...words) {
    $("left").replaceChildren(...words);
    $("left-above").replaceChildren(...$("left").cloneNode(true).childNodes);
  }

  async #send(key, content) {
    await this.#outbox.add(key, content);
    await this.#refresh();
    this.#thread.toEnd();
  }

  async #editLast() {
    const messages = await this.#store.messagesBefore(this.#open, Number.MAX_SAFE_INTEGER, 50);
    const mine = messages.find(({ from, deleted }) => from === this.#user && !deleted);
    if (mine) this.#composer.edit(mine);
  }

  async #remove(message) {
    if (!(await confirmed("Delete the message?", "It is deleted for everybody, for ever.", "Delete"))) return;
    await this.#changes.remove(message, confirmRemoval).catch((problem) => this.#tell(problem));
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
    await this.#store.putChat(chat);
    await this.#go(`chats/${chat.number}`);
  }

  async #showDetails() {
    const onChange = (chat) => this.#store.putChat(chat);
    await new ChatDialog(this.#call, this.#present(), this.#user, onChange).show();
  }

  #tell(problem) {
    $("composer-error").textContent = problem.words ?? problem.message;
  }

  async #signOut() {
    const waiting = (await this.#store.outbox()).length;
    const text = waiting ? `${waiting} of your messages were not sent yet. They are deleted with the copy in this browser.`
      : "The copy in this browser is deleted. Your messages stay with the service.";
    if (!(await confirmed("Sign out?", text, "Sign out"))) return;
    this.#ending.abort();
    await Promise.race([this.#store.destroy(), new Promise((resolve) => { setTimeout(resolve, 2000); })]);
    this.#onSignedOut("");
  }

  #end(why) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#onSignedOut(why);
  }
}
