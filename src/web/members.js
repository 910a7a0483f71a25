// @ts-check
/** The members of a chat, each with a role and a menu of what the user may do, and those who are banned from it. */
import { button, element, reconcile } from "./dom.js";
import { showMenu } from "./menu.js";
import { actsOn, isModerator } from "./rights.js";
import { Roving } from "./roving.js";
import { avatar } from "./sidebar.js";

/** @typedef {import("/client/copy.js").Schemas["Member"]} Member */

/** What cannot be taken back by the same menu. */
const DANGERS = ["hand-on", "remove", "ban"];

const LABELS = {
  "appoint": "Make a moderator",
  "dismiss": "Dismiss as moderator",
  "make-reader": "Make a reader",
  "let-write": "Make a member",
  "mute-hour": "Mute for an hour",
  "mute-day": "Mute for a day",
  "unmute": "Let post again",
  "hand-on": "Hand the chat on",
  "remove": "Remove",
  "ban": "Ban",
};

export class Members {
  #user; #act; #roving;
  element = element("ul", { class: "members" });

  /**
   * `act(name, member)` does something with a member: the names are those of `actsOn`.
   *
   * @param {string} user
   * @param {(name: string, member: string) => unknown} act
   */
  constructor(user, act) {
    [this.#user, this.#act] = [user, act];
    this.#roving = new Roving(this.element, "button");
  }

  /**
   * Shows the members of a chat, with menus if the user may act on some of them.
   *
   * @param {Member[]} members
   * @param {import("/client/messages.js").Conversation} chat
   * @param {boolean} mayAct
   */
  show(members, chat, mayAct) {
    const mine = { user: this.#user, role: chat.role };
    reconcile(this.element, members.map((member) => {
      const acts = mayAct ? actsOn(member, mine, Date.now()) : [];
      const marks = marksOf(member, mine);
      return [member.user, JSON.stringify([acts, marks]), () => this.#row(member.user, marks, acts)];
    }));
    this.#roving.keepStop();
  }

  #row(user, marks, acts) {
    const items = acts.map((name) => [LABELS[name], () => this.#act(name, user), DANGERS.includes(name) && "danger"]);
    return element("li", {},
      avatar(user),
      element("span", { class: "name" }, user, user === this.#user && " (you)"),
      marks && element("span", { class: "role" }, marks),
      items.length > 0 && menuButton(user, items));
  }
}

function menuButton(user, items) {
  const label = `What to do with ${user}`;
  const open = ({ currentTarget }) => {
    const { right, bottom } = currentTarget.getBoundingClientRect();
    showMenu(label, { x: right, y: bottom, isEnd: true }, items);
  };
  return button(label, "more", open, { "aria-haspopup": "menu", tabindex: "-1" });
}

/**
 * What is said of a member: its role, if it has a special one, and to moderators that it is muted.
 *
 * @param {Member} member
 * @param {{ role?: Member["role"] }} mine
 */
function marksOf({ role, mutedUntil }, mine) {
  const isMuted = isModerator(mine) && Date.parse(mutedUntil ?? "") > Date.now();
  return [role !== "member" && role, isMuted && "muted"].filter(Boolean).join(", ");
}

/** Those who are banned; `allow(user)` ends a ban. */
export class Bans {
  #allow; #list = element("ul", { class: "members", "aria-label": "Banned" });
  element = element("section", { hidden: true }, element("h3", {}, "Banned"), this.#list);

  /** @param {(user: string) => unknown} allow */
  constructor(allow) {
    this.#allow = allow;
  }

  /**
   * @param {string[]} users
   * @param {boolean} mayAllow
   */
  show(users, mayAllow) {
    this.element.hidden = users.length === 0;
    reconcile(this.#list, users.map((user) => [user, `${mayAllow}`, () => element("li", {},
      avatar(user),
      element("span", { class: "name" }, user),
      mayAllow && element("button", {
        type: "button", class: "link", "aria-label": `Allow ${user} again`, onclick: () => this.#allow(user),
      }, "Allow again"))]));
  }
}
