/** Search: what was found takes the place of the conversations until the field is empty again. */
import { $, element, highlighted } from "./dom.js";
import { addressOf, briefly, isChat } from "./words.js";

const PATIENCE_MS = 250;

/** Connects the field; `nameFor(key)` names a conversation, `onOpen(key, message)` shows what was chosen. */
export function connectSearch({ call, user, nameFor, onOpen }) {
  let timer;
  let latest = 0;

  const search = async (query, before) => {
    const ticket = ++latest;
    if (!query) return show(false);
    const words = new URLSearchParams({ q: query, limit: 20, ...(before && { before }) });
    try {
      const page = await call("GET", `/messages/search?${words}`);
      if (ticket === latest) fill(page, query, before);
    } catch (problem) {
      if (ticket === latest) tell(problem.status === 422 ? "Type a word to search for." : problem.words);
    }
  };

  const fill = ({ hits, next }, query, before) => {
    show(true);
    if (!before) $("hits").replaceChildren();
    const first = $("hits").childElementCount;
    $("hits").append(...hits.map(row));
    $("more-hits").hidden = !next;
    $("more-hits").onclick = () => search(query, next);
    const count = $("hits").childElementCount;
    $("search-status").textContent = count ? `${count}${next ? " or more" : ""} found` : "Nothing was found.";
    if (before) $("hits").children[first]?.querySelector("a").focus();
  };

  const tell = (words) => {
    show(true);
    $("hits").replaceChildren();
    $("more-hits").hidden = true;
    $("search-status").textContent = words;
  };

  const row = ({ message, highlight }) => {
    const { chat, from, to, created } = message;
    const key = chat ? `chats/${chat}` : `users/${from === user ? to : from}`;
    const who = from === user ? "You" : from;
    const place = isChat(key) ? `${nameFor(key)} · ${who ?? ""}` : from === user ? `You to ${to}` : from;
    const open = (event) => {
      event.preventDefault();
      onOpen(key, message);
    };
    return element("li", {}, element("a", { class: "hit", href: addressOf(key), onclick: open },
      element("span", { class: "name" }, place),
      element("time", { datetime: created }, briefly(created)),
      element("span", { class: "gist" }, around(highlighted(highlight)))));
  };

  const show = (isSearching) => {
    $("results").hidden = !isSearching;
    $("inbox").hidden = isSearching;
    if (!isSearching) $("search-status").textContent = "";
  };

  $("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => search($("search").value.trim()), PATIENCE_MS);
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    $("search").value = "";
    search("");
  });
}

const LEAD = 40;

/** A long text before the first match hides it: only its end is shown. */
function around([lead, ...rest]) {
  const isLong = typeof lead === "string" && lead.length > LEAD && rest.length > 0;
  return [isLong ? `…${lead.slice(-LEAD)}` : lead, ...rest];
}
