// @ts-check
/** A chat's dialogs: creating one, and its name, members and settings. */
import { randomKey } from "/client/messages.js";
import { Chat, Superseded } from "./chat.js";
import { askFor, confirmed, field, showDialog } from "./dialogs.js";
import { element, isolated } from "./dom.js";
import { Bans, Members } from "./members.js";
import { rightsIn } from "./rights.js";
import { Rules } from "./rules.js";
import { isUserId, NOT_AN_ID } from "./words.js";

/** @typedef {import("/client/messages.js").Conversation} Conversation */

const HOUR_MS = 60 * 60 * 1000;

const names = (list) => [...new Set(list.split(/[\s,]+/).filter(Boolean))];

/**
 * Asks for a name and, if the user may add them, members; returns the new conversation, or null. `create(chat, key)`
 * creates it.
 *
 * @param {import("/client/messages.js").Client["createChat"]} create
 * @param {boolean} mayAdd
 */
export function createChat(create, mayAdd) {
  /** @type {{ body?: { name: string, members: string[] }, key?: string }} */
  let sent = {};
  const who = { name: "members", label: "Members", hint: "User ids, separated by commas. You are one anyway.", required: false };
  return askFor("New chat", [{ name: "name", label: "Name" }, ...(mayAdd ? [who] : [])], "Create", ({ name, members = "" }) => {
    const body = { name: name.trim(), members: names(members) };
    // The same input has the same key: pressed again after a lost answer, it creates no second chat.
    if (JSON.stringify(sent.body) !== JSON.stringify(body)) sent = { body, key: randomKey() };
    return create(body, sent.key);
  });
}

/** A chat with its members. It shows what the user may change there, and nothing else. */
export class ChatDialog {
  #chat; #limits; #held = /** @type {import("/client/copy.js").Schemas["Member"][]} */ ([]); #banned = /** @type {string[]} */ ([]);
  #wanted = {}; #loads = 0;
  #last = /** @type {Promise<boolean | void>} */ (Promise.resolve()); #isEnding = false; #close;
  #title; #rename; #add;
  #loading = element("p", { role: "status" }, "Loading…");
  #members; #bans; #rules;
  #error = element("p", { class: "error", role: "alert" });
  #exit = element("button", { type: "button", class: "danger", onclick: () => this.#leave() }, "Leave");
  #done = element("button", { type: "button", class: "primary", autofocus: true, onclick: () => this.#close() }, "Done");

  /**
   * `limits()` are those of the user.
   *
   * @param {import("/client/messages.js").Client["call"]} call
   * @param {Conversation} conversation
   * @param {string} user
   * @param {() => import("./rights.js").Limits} limits
   */
  constructor(call, conversation, user, limits) {
    this.#chat = new Chat(call, conversation, user);
    this.#limits = limits;
    this.#title = isolated(conversation.name);
    const rename = (name) => this.#attempt(() => this.#renameTo(name));
    this.#rename = oneField("Name", "Rename", conversation.name, rename, true);
    this.#add = oneField("Add members", "Add", "", (list) => this.#attempt(() => this.#addThose(list)));
    this.#members = new Members(user, (name, member) => this.#attempt(() => this.#acts[name](member)));
    this.#bans = new Bans((member) => this.#attempt(() => this.#chat.allow(member)));
    this.#rules = new Rules((rules) => this.#set(rules), () => this.#delete());
  }

  get key() {
    return this.#chat.now.key;
  }

  /** Returns, after the user has left the chat or deleted it, words that say so; else null. */
  show() {
    this.#render();
    this.#load();
    return showDialog(this.#title, (close) => {
      this.#close = close;
      return [
        element("div", { class: "long" },
          this.#rename,
          element("h3", {}, "Members"),
          this.#loading,
          this.#members.element,
          this.#add,
          this.#bans.element,
          this.#rules.element,
          this.#error),
        element("div", { class: "choices" },
          this.#exit,
          this.#done),
      ];
    });
  }

  /**
   * Shows a newer state of the conversation; undefined if it is not the user's any more.
   *
   * @param {Conversation | undefined} conversation
   */
  update(conversation) {
    if (this.#isEnding) return;
    if (conversation?.timestamp === undefined) this.#close();
    else if (this.#chat.update(conversation)) this.#load();
  }

  /** Shows what the user may see and do now. */
  refresh() {
    this.#load();
  }

  /** What can be done with a member, by the names of `actsOn`. */
  #acts = {
    "appoint": (member) => this.#chat.giveRole(member, "moderator"),
    "dismiss": (member) => this.#chat.giveRole(member, "member"),
    "make-reader": (member) => this.#chat.giveRole(member, "reader"),
    "let-write": (member) => this.#chat.giveRole(member, "member"),
    "mute-hour": (member) => this.#chat.mute(member, inHours(1)),
    "mute-day": (member) => this.#chat.mute(member, inHours(24)),
    "unmute": (member) => this.#chat.mute(member, null),
    "hand-on": (member) => this.#handOn(member),
    "remove": (member) => this.#chat.remove(member),
    "ban": (member) => this.#ban(member),
  };

  /** Does one thing after the other: each change is one of the chat as the change before has left it. */
  #attempt(work) {
    this.#last = this.#last.then(() => this.#try(work));
    return this.#last;
  }

  /** Shows what has come of `work`, or an error; the dialog stays open. Returns whether there was none. */
  async #try(work) {
    this.#error.textContent = "";
    try {
      await work();
      return true;
    } catch (problem) {
      this.#error.replaceChildren(...[problem.words ?? problem.message].flat());
      this.#error.scrollIntoView({ block: "nearest" });
      return false;
    } finally {
      this.#load();
    }
  }

  /** Changes the rules. What the user has chosen is shown until the service has answered. */
  #set(rules) {
    Object.assign(this.#wanted, rules);
    return this.#attempt(async () => {
      try {
        await this.#chat.set(rules);
      } finally {
        for (const name of Object.keys(rules)) delete this.#wanted[name];
      }
    });
  }

  async #renameTo(name) {
    try {
      await this.#chat.rename(name);
    } catch (problem) {
      if (!(problem instanceof Superseded)) throw problem;
      const other = isolated(this.#chat.now.name);
      const words = ["It was renamed to “", other, "” meanwhile. Rename it again to change that."];
      throw Object.assign(problem, { words });
    }
  }

  async #addThose(list) {
    const users = names(list).filter((name) => !this.#held.some(({ user }) => user === name));
    if (!users.every(isUserId)) throw new Error(NOT_AN_ID);
    if (users.length) await this.#chat.add(users);
  }

  async #handOn(member) {
    const text = "It is not yours any more then, and you cannot take it back.";
    if (await confirmed(`Hand the chat on to ${member}?`, text, "Hand on")) await this.#chat.handOn(member);
  }

  async #ban(member) {
    const text = `${member} is removed from the chat, and cannot be added again until a moderator allows it here.`;
    if (await confirmed(`Ban ${member}?`, text, "Ban")) await this.#chat.ban(member);
  }

  async #leave() {
    const text = "You will not read it any more, and your copy of its messages is deleted.";
    await this.#end("Leave", text, "left", () => this.#chat.leave());
  }

  async #delete() {
    const text = "It is deleted for everybody with all its messages, for ever.";
    await this.#end("Delete", text, "deleted", () => this.#chat.delete());
  }

  /** Asks, ends the chat for the user by `work`, and closes the dialog. */
  async #end(verb, text, done, work) {
    const { name } = this.#chat.now;
    const words = [element("strong", {}, isolated(name)), element("br"), text];
    if (!(await confirmed(`${verb} the chat?`, words, verb))) return;
    this.#isEnding = true;
    try {
      await work();
      this.#close([`You have ${done} “`, isolated(name), "”."]);
    } catch (problem) {
      this.#isEnding = false;
      await this.#attempt(() => { throw problem; });
    }
  }

  /** Shows the chat with its members and bans; in their place, the progress or an error. */
  async #load() {
    const turn = ++this.#loads;
    this.#render();
    try {
      const members = await this.#chat.members();
      const may = rightsIn(this.#chat.now, Date.now(), this.#limits());
      const bans = may.moderate ? await this.#visibleBans() : [];
      // A call that began later has read later.
      if (turn !== this.#loads) return;
      [this.#held, this.#banned] = [members, bans];
      this.#loading.remove();
    } catch (problem) {
      this.#loading.textContent = problem.words ?? problem.message;
      this.#loading.className = "error";
    }
    this.#render();
  }

  async #visibleBans() {
    try {
      return await this.#chat.bans();
    } catch (problem) {
      // The user does not moderate any more, of which the page is about to learn.
      if (problem.status !== 403) throw problem;
      return [];
    }
  }

  #render() {
    const chat = this.#chat.now;
    this.#title.textContent = chat.name ?? "";
    const may = rightsIn(chat, Date.now(), this.#limits());
    this.#rename.hidden = this.#rules.element.hidden = !may.change;
    this.#add.hidden = !may.add;
    this.#exit.hidden = !may.leave;
    this.#rules.show({ ...chat, ...this.#wanted });
    this.#members.show(this.#held, chat, may.moderate);
    this.#bans.show(this.#banned, may.moderate);
    // What had the focus may be gone.
    if (document.activeElement === document.body) this.#done.focus();
  }
}

const inHours = (hours) => new Date(Date.now() + hours * HOUR_MS).toISOString();

function oneField(label, verb, value, submit, keeps = false) {
  const onsubmit = async (event) => {
    event.preventDefault();
    const input = event.target.elements.value;
    const isDone = await submit(input.value.trim());
    if (isDone && !keeps) input.value = "";
  };
  return element("form", { class: "one-field", onsubmit, autocomplete: "off" },
    field({ name: "value", label, value }), element("button", { type: "submit" }, verb));
}
