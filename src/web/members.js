/** A chat's dialogs: creating one, and its name and members. The timeline brings what they change to the copy. */
import { pathOf } from "./api.js";
import { askFor, confirmed, field, showDialog } from "./dialogs.js";
import { button, element, isolated } from "./dom.js";
import { membersOf } from "./mentions.js";
import { key } from "./session.js";
import { avatar } from "./sidebar.js";
import { isUserId, NOT_AN_ID } from "./words.js";

const names = (list) => list.split(/[\s,]+/).filter(Boolean);

/** Asks for a name and members; returns the new chat, or null. */
export function createChat(call) {
  let sent = {};
  return askFor("New chat", [
    { name: "name", label: "Name" },
    { name: "members", label: "Members", hint: "User ids, separated by commas. You are one anyway.", required: false },
  ], "Create", ({ name, members }) => {
    const body = { name: name.trim(), members: names(members) };
    // The same input has the same key: pressed again after a lost answer, it creates no second chat.
    if (JSON.stringify(sent.body) !== JSON.stringify(body)) sent = { body, key: key() };
    return call("POST", "/chats", { body, headers: { "Idempotency-Key": sent.key } });
  });
}

/** A chat with its members, which its owner can change. */
export class ChatDialog {
  #call; #place; #chat; #user;
  #members = element("ul", { class: "members" });
  #loading = element("p", { role: "status" }, "Loading…");
  #error = element("p", { class: "error", role: "alert" });

  constructor(call, chat, user) {
    [this.#call, this.#place, this.#chat, this.#user] = [call, chat.key, chat, user];
  }

  show() {
    const isOwner = this.#chat.owner === this.#user;
    this.#load();
    return showDialog(isolated(this.#chat.name), (close) => [
      isOwner && oneField("Name", "Rename", this.#chat.name, (name) => this.#attempt(() => this.#rename(name)), true),
      element("h3", {}, "Members"),
      this.#loading,
      this.#members,
      isOwner && oneField("Add members", "Add", "", (list) => this.#attempt(() => this.#add(list))),
      this.#error,
      element("div", { class: "choices" },
        element("button", { type: "button", class: "danger", onclick: () => this.#leave(close) }, "Leave"),
        element("button", { type: "button", class: "primary", autofocus: true, onclick: () => close() }, "Done")),
    ]);
  }

  /** Shows an error in the dialog, which stays open; returns whether there was none. */
  async #attempt(work) {
    this.#error.textContent = "";
    try {
      await work();
      return true;
    } catch (problem) {
      this.#error.replaceChildren(...[problem.words ?? problem.message].flat());
      return false;
    }
  }

  async #rename(name) {
    try {
      const headers = { "If-Match": `"${this.#chat.timestamp}"` };
      this.#chat = await this.#call("PATCH", pathOf(this.#place), { body: { name }, headers });
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      const { name: before } = this.#chat;
      await this.#reload();
      // If only the members have changed, the rename is repeated.
      if (this.#chat.name === before) return this.#rename(name);
      const words = ["It was renamed to “", isolated(this.#chat.name), "” meanwhile. Rename it again to change that."];
      throw Object.assign(new Error("it was renamed meanwhile"), { words });
    }
  }

  async #add(list) {
    if (!names(list).every(isUserId)) throw new Error(NOT_AN_ID);
    await this.#call("PATCH", `${pathOf(this.#place)}/members`, { body: { add: names(list) } });
    await this.#reload();
    await this.#list();
  }

  async #remove(member) {
    await this.#call("DELETE", this.#path(member));
    await this.#reload();
    await this.#list();
  }

  async #leave(close) {
    const name = element("strong", {}, isolated(this.#chat.name));
    const text = "You will not read it any more, and your copy of its messages is deleted.";
    if (!(await confirmed("Leave the chat?", [name, element("br"), text], "Leave"))) return;
    if (await this.#attempt(() => this.#call("DELETE", this.#path(this.#user)))) close();
  }

  async #reload() {
    this.#chat = await this.#call("GET", pathOf(this.#place));
  }

  /** Shows the progress or an error in place of the members. */
  async #load() {
    try {
      await this.#list();
    } catch (problem) {
      this.#loading.textContent = problem.words ?? problem.message;
      this.#loading.className = "error";
    }
  }

  async #list() {
    const held = await membersOf(this.#call, this.#place);
    this.#loading.remove();
    this.#members.replaceChildren(...held.map((member) => this.#row(member)));
  }

  #row(member) {
    const [isMe, isOwner] = [member === this.#user, member === this.#chat.owner];
    const mayRemove = this.#chat.owner === this.#user && !isMe;
    const remove = () => this.#attempt(() => this.#remove(member));
    return element("li", {},
      avatar(member),
      element("span", { class: "name" }, member, isMe && " (you)"),
      isOwner && element("span", { class: "role" }, "owner"),
      mayRemove && button(`Remove ${member}`, "close", remove));
  }

  #path(member) {
    return `${pathOf(this.#place)}/members/${encodeURIComponent(member)}`;
  }
}

function oneField(label, verb, value, submit, keeps = false) {
  const onsubmit = async (event) => {
    event.preventDefault();
    const input = event.target.elements.value;
    await submit(input.value.trim());
    if (!keeps) input.value = "";
  };
  return element("form", { class: "one-field", onsubmit, autocomplete: "off" },
    field({ name: "value", label, value }), element("button", { type: "submit" }, verb));
}
