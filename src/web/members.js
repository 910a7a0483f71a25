/** A chat's dialogs: creating one, and its name and members. */
import { pathOf } from "./api.js";
import { askFor, confirmed, field, showDialog } from "./dialogs.js";
import { button, element } from "./dom.js";
import { key } from "./session.js";
import { avatar } from "./sidebar.js";

const names = (list) => list.split(/[\s,]+/).filter(Boolean);

/** Asks for a name and members; gives the new chat, or null. */
export function createChat(call) {
  let sent = {};
  return askFor("New chat", [
    { name: "name", label: "Name" },
    { name: "members", label: "Members", hint: "User ids, separated by commas. You are one anyway.", required: false },
  ], "Create", ({ name, members }) => {
    const body = { name: name.trim(), members: names(members) };
    // The same wish under the same key: pressed again after a lost answer, it makes no second chat.
    if (JSON.stringify(sent.body) !== JSON.stringify(body)) sent = { body, key: key() };
    return call("POST", "/chats", { body, headers: { "Idempotency-Key": sent.key } });
  });
}

/** Shows a chat with its members, and lets its owner change them. */
export function showChat(call, conversation, user, onChange) {
  const { key: place, chat } = conversation;
  const isOwner = chat.owner === user;
  const members = element("ul", { class: "members" });
  const error = element("p", { class: "error", role: "alert" });

  const attempt = async (work) => {
    error.textContent = "";
    try {
      await work();
      onChange(await call("GET", pathOf(place)));
      await list();
    } catch (problem) {
      error.textContent = problem.words ?? problem.message;
    }
  };
  const path = (member) => `${pathOf(place)}/members/${encodeURIComponent(member)}`;
  const remove = (member) => attempt(() => call("DELETE", path(member)));
  const add = (list) => attempt(async () => {
    for (const member of names(list)) await call("PUT", path(member));
  });
  const list = async () => {
    const held = await membersOf(call, place);
    members.replaceChildren(...held.map((member) => element("li", {},
      avatar(member),
      element("span", { class: "name" }, member, member === user && " (you)"),
      member === chat.owner && element("span", { class: "role" }, "owner"),
      isOwner && member !== user && button(`Remove ${member}`, "close", () => remove(member)))));
  };

  const leave = async (close) => {
    const text = "You will not read it any more, and your copy of its messages is deleted.";
    if (!(await confirmed(`Leave “${chat.name}”?`, text, "Leave"))) return;
    await call("DELETE", path(user)).then(() => close(), (problem) => { error.textContent = problem.words; });
  };

  attempt(async () => {});
  return showDialog(chat.name, (close) => [
    isOwner && rename(call, place, chat, onChange, error),
    element("h3", {}, "Members"),
    members,
    isOwner && oneField("Add members", "Add", "", (value) => add(value)),
    error,
    element("div", { class: "choices" },
      element("button", { type: "button", class: "danger", onclick: () => leave(close) }, "Leave"),
      element("button", { type: "button", class: "primary", onclick: () => close() }, "Done")),
  ]);
}

function rename(call, place, chat, onChange, error) {
  let present = chat;
  return oneField("Name", "Rename", chat.name, async (name) => {
    error.textContent = "";
    try {
      const headers = { "If-Match": `"${present.timestamp}"` };
      present = await call("PATCH", pathOf(place), { body: { name }, headers });
      onChange(present);
    } catch (problem) {
      const isStale = problem.status === 412;
      if (isStale) present = await call("GET", pathOf(place));
      error.textContent = isStale ? `It has changed meanwhile: “${present.name}”. Rename it again to change that.` : problem.words;
    }
  }, true);
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

async function membersOf(call, place) {
  const found = [];
  for (let after = ""; ;) {
    const page = await call("GET", `${pathOf(place)}/members?limit=100${after}`);
    found.push(...page.members.map(({ user }) => user));
    if (!page.next) return found;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}
