"""Converts a whole application of another installation of this service into lines to import, so that it has the
same histories here: numbers, senders, times, edits, replies, reactions, who reads what, and who has read it.

    BASE=https://messages.shop.example TOKEN=… python3 examples/import/messages_feed.py > application.ndjson

BASE is where the other installation is, TOKEN the token of its application (or APP, as other examples have it).
The format: `GET /feed` and the operations beside it, in openapi/openapi.json.

- The feed is read twice up to where it ends at the start: once for the conversations and for who has reacted,
  once for the messages. Nothing but numbers is kept in memory. What is written meanwhile is not
  there; let the users rest, or import the rest by what the feed has later.
- A deleted message is a deleted line, so that numbers stay. So is one that the feed does not have (any more). The
  time of one that was imported over there is that of the message before it.
- What has expired over there is deleted here, if the feed has it or something later of its conversation; if not, a
  chat is empty here, and a personal conversation is not there. What the `retentionDays` of a chat do not keep may be
  imported, and expires within the hour after that.
- Members have the number of the message after which they have joined: with `history: joined` they read the same here.
- Mentions of users who have left are left out, and reactions above the limits of an import.

Left out: deleted chats, memberships that have ended, what users have set for themselves, pins, bans, mutes, reports,
the policy of the application with its `retentionDays`, conversations without messages that the application has opened.
The files are where they were.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from common import KEY, gathered, put, shaped

BASE, TOKEN = os.environ["BASE"], os.environ.get("TOKEN") or os.environ["APP"]
NEW = ("message.created", "message.imported")
ABOUT = ("name", "created", "owner", "attributes")
RULES = ("posting", "frozen", "history", "slowMode", "reactions", "retentionDays")
PARTS = ("created", "edited", "text", "files", "attributes", "mentionsAll", "system")


def main():
    first = get("/feed?limit=1")
    # What is before `trimmed` is not kept any more.
    begin = first.get("trimmed", 0)
    end = first["latest"] if begin == 0 else get(f"/feed?limit=1&after={begin}")["latest"]
    pairs, reacted = survey(begin, end)
    conversations = {}
    for number, chat in chats():
        conversations["chat", number] = chat
    for pair in pairs:
        conversations[pair] = personal(pair)
    for conversation in conversations.values():
        put({"key": conversation["key"], **conversation["line"]})
    for entry, message in messages(begin, end):
        conversation = conversations.get(conversation_of(entry))
        # A chat that is deleted is not in the list.
        if conversation:
            fill(conversation, entry)
            put(line(conversation, entry, message, entry["id"] in reacted))
    for conversation in conversations.values():
        put(done(conversation))
    count = sum(conversation["messages"] for conversation in conversations.values())
    print(f"{len(conversations)} conversations, {count} messages", file=sys.stderr)


def survey(begin, end):
    """The pairs of users who have written to each other, and the messages that may have reactions."""
    pairs, reacted = {}, set()
    for page in pages("/feed?limit=1000", begin, end):
        for entry in page:
            if entry["kind"] in NEW and "with" in entry:
                pairs[conversation_of(entry)] = None
            if entry["kind"] in ("reactions.changed", "message.imported"):
                reacted.add(entry["id"])
    return pairs, reacted


def messages(begin, end):
    """The entries of new messages with the messages as they are now; `None`, where one is gone."""
    for page in pages("/feed?limit=1000&include=message", begin, end):
        # A page has each message at its newest entry, which may be that of an edit.
        present = {entry["id"]: entry["message"] for entry in page if "message" in entry}
        for entry in page:
            if entry["kind"] in NEW:
                yield entry, present.get(entry["id"])


def pages(path, after, end):
    while after < end:
        page = get(f"{path}&after={after}")
        yield [entry for entry in page["entries"] if entry["timestamp"] <= end]
        after = page["next"]


def conversation_of(entry):
    return ("chat", entry["chat"]) if "chat" in entry else tuple(sorted((sender_of(entry), entry["with"])))


def sender_of(entry):
    """Who has sent the message: of an imported one it is `user`, as the application has imported it."""
    return entry.get("user") or entry.get("actor")


def chats():
    for chat in items("/chats", "chats"):
        members = list(items(f"/chats/{chat['number']}/members", "members"))
        key = f"chat-{chat['number']}"
        # The owner is a member anyway.
        described = [member(each) for each in members if each["role"] != "owner" or "since" in each]
        about = {**{name: chat[name] for name in ABOUT + RULES if name in chat}, "members": described}
        reads = {each["user"]: each["read"] for each in members}
        yield chat["number"], begun(key, {"chat": about}, {"chat": key}, reads)


def member(each):
    role = {} if each["role"] in ("owner", "member") else {"role": each["role"]}
    since = {"since": each["since"]} if "since" in each else {}
    return {"user": each["user"], **role, **since} if role or since else each["user"]


def personal(pair):
    first, last = pair
    seen = get(f"/users/{quoted(last)}", As_User=first)
    reads = {**{each["user"]: each["read"] for each in seen.get("reads", [])}, first: seen["read"]}
    place = {"personal": [first, last]}
    return begun(shaped("+".join(pair), KEY), {**place, "created": seen["created"]}, place, reads)


def begun(key, first_line, place, read):
    return {"key": key, "line": first_line, "place": place, "read": read, "messages": 0, "last": None, "ids": set()}


def fill(conversation, entry):
    """Writes deleted messages for those before the entry that the feed does not have."""
    if entry["number"] <= conversation["messages"]:
        raise SystemExit(f"message {entry['number']} of {conversation['key']} comes late")
    for number in range(conversation["messages"] + 1, entry["number"]):
        put({"key": f"n{number}", "message": {**placed(conversation, entry), **gone(conversation, entry)}})
    conversation["messages"] = entry["number"]


def line(conversation, entry, message, has_reactions):
    if message is None or message.get("deleted"):
        parts = {**placed(conversation, entry), **gone(conversation, entry)}
    else:
        reactions = reactions_to(message) if has_reactions else None
        more = {
            "from": message.get("from"),
            "mentions": [user for user in message.get("mentions", []) if user in conversation["read"]],
            "replyTo": f"m{message['replyTo']}" if message.get("replyTo") in conversation["ids"] else None,
            "reactions": reactions,
        }
        parts = {**placed(conversation, entry), **{name: message[name] for name in PARTS if name in message}, **more}
    conversation["last"] = parts["created"]
    conversation["ids"].add(entry["id"])
    return {"key": f"m{entry['id']}", "message": {name: value for name, value in parts.items() if value}}


def placed(conversation, entry):
    place = {"chat": conversation["key"]} if "chat" in entry else {"to": entry["with"]}
    return {**place, **({"from": sender_of(entry)} if sender_of(entry) else {})}


def gone(conversation, entry):
    # An imported message is older than its entry.
    is_imported = entry["kind"] == "message.imported"
    return {"created": is_imported and conversation["last"] or entry["created"], "deleted": True}


def done(conversation):
    read = {user: number for user, number in conversation["read"].items() if number < conversation["messages"]}
    key = shaped(f"{conversation['key']}!done", KEY)
    return {"key": key, "done": conversation["place"], **({"read": read} if read else {})}


def reactions_to(message):
    headers = {} if "chat" in message else {"As_User": message["from"]}
    reactions = items(f"/messages/{message['id']}/reactions", "reactions", **headers)
    return gathered((reaction["user"], reaction["key"]) for reaction in reactions)


def items(path, name, **headers):
    """What is on all pages of a list."""
    after = ""
    while after is not None:
        page = get(f"{path}?limit=100{after}", **headers)
        yield from page[name]
        after = f"&after={quoted(page['next'])}" if "next" in page else None


def get(path, **headers):
    """Calls the service as the application; `As_User="jane"` acts for jane. It waits while it may not."""
    request = urllib.request.Request(BASE + path, headers={"Authorization": f"Bearer {TOKEN}"})
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    for attempt in range(10):
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 410:
                return json.load(error)
            if error.code not in (429, 503):
                raise SystemExit(f"{path}: {error.read().decode()}") from None
            time.sleep(int(error.headers["Retry-After"] or 1))
        except OSError:
            time.sleep(2**attempt / 10)
    raise SystemExit(f"{path}: no answer")


def quoted(value):
    return urllib.parse.quote(str(value), safe="")


main()
