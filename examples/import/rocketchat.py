"""Converts the collections of Rocket.Chat, as mongoexport writes them, into lines to import.

    for name in users rocketchat_room rocketchat_subscription rocketchat_message; do
        mongoexport --db=rocketchat --collection=$name --out=export/$name.json
    done
    python3 examples/import/rocketchat.py export > rocketchat.ndjson

Rocket.Chat exports a room to be read by people, and nothing as a whole: its database is what one moves. The
format: https://developer.rocket.chat/docs/schema-definition has users, rooms, messages and subscriptions, and
https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/ how times are written. With `--jsonArray`,
`--pretty` or `--jsonFormat=canonical` the files do, too.

- Channels, private groups, teams, discussions, livechats and direct messages of more than two become chats,
  direct messages of two personal conversations. Archived rooms are frozen. In read-only ones, moderators post.
- Users have their usernames. USERS may have other ids for usernames or `_id`s.
- The first owner owns the chat; the other owners and the moderators are moderators.
- A message of a thread answers the first one, and a quotation answers what it quotes.
- What was deleted is there where Rocket.Chat has kept it (`t: rm`); hidden former versions are left out.
- Members have read what came before they last looked (`ls`).

Left out: encrypted messages, calls, pins, stars, the files (in GridFS or a store: FILES has their ids and names).
"""

import re
import sys

from common import Archive, user
from sources import Folder, emoji, micros, shown, words

# What the system says of its kinds of messages; `{}` is the text.
SYSTEM = {
    "uj": "joined", "ujt": "joined the team", "ul": "left", "ult": "left the team", "ut": "joined the conversation",
    "au": "added {}", "ru": "removed {}", "added-user-to-team": "added {} to the team",
    "removed-user-from-team": "removed {} from the team", "user-muted": "muted {}", "user-unmuted": "unmuted {}",
    "r": "renamed this to {}", "discussion-created": "began the discussion {}", "message_pinned": "pinned a message",
    "room_changed_topic": "changed the topic to {}", "room_changed_description": "changed the description to {}",
    "room_changed_announcement": "announced {}", "room_changed_privacy": "changed the privacy to {}",
    "room-archived": "archived this", "room-unarchived": "opened this again",
}
LEFT_OUT, CALLS, MODERATORS = {"e2e", "otr", "otr-ack"}, {"all", "here"}, {"owner", "moderator"}
QUOTATION = re.compile(r"\[ ?\]\([^)]*[?&]msg=(\w+)[^)]*\)\s*")


def main(path):
    export, archive = Folder(path), Archive()
    people, subscriptions = People(export.records("users.json")), {}
    for each in export.records("rocketchat_subscription.json"):
        subscriptions.setdefault(each["rid"], []).append(each)
    conversations = {}
    for room in export.records("rocketchat_room.json"):
        if room["t"] != "v":
            conversations[room["_id"]] = begin(archive, room, subscriptions.get(room["_id"], []), people)
    for message in export.records("rocketchat_message.json"):
        conversation = conversations.get(message["rid"])
        if conversation is None or message.get("_hidden") or message.get("t") in LEFT_OUT:
            archive.left_out["messages that are hidden, encrypted or of no room"] += 1
        else:
            add(conversation, message, people)
    archive.write()


class People:
    """Who is meant by an `_id` or a username."""

    def __init__(self, users):
        self.names = {each["_id"]: each["username"] for each in users if each.get("username")}
        self.ids = {username: _id for _id, username in self.names.items()}

    def user(self, given):
        return user(given["_id"], self.names.get(given["_id"]) or given.get("username"))

    def named(self, username):
        return user(self.ids.get(username, username), username)


def begin(archive, room, subscriptions, people):
    roles = {people.user(each["u"]): each.get("roles") or [] for each in subscriptions}
    users = [*(people.named(username) for username in room.get("usernames") or []), *roles]
    # The visitor of a livechat has no subscription.
    users = list(dict.fromkeys([*users, people.user(room["v"])] if room.get("v") else users))
    created = time(room.get("ts"))
    if room["t"] == "d" and 1 <= len(users) <= 2:
        conversation = archive.personal(users, created=created)
    else:
        owner = next((member for member, given in roles.items() if "owner" in given), None)
        about = {part: room.get(part) for part in ("topic", "description", "announcement", "customFields")}
        conversation = archive.chat(
            room["_id"],
            room.get("fname") or room.get("name") or ", ".join(users),
            {member: "moderator" if MODERATORS & {*roles.get(member, ())} else "member" for member in users},
            created=created,
            owner=owner,
            attributes=about,
            posting="moderators" if room.get("ro") else None,
            frozen=room.get("archived", False),
        )
    for each in subscriptions:
        conversation.seen[people.user(each["u"])] = time(each.get("ls")) or 0
    return conversation


def add(conversation, message, people):
    text, sender, kind = message.get("msg") or "", people.user(message["u"]), message.get("t")
    quoted = QUOTATION.match(text)
    text = QUOTATION.sub("", text) if quoted else text
    attachments = [part for part in message.get("attachments") or [] if "message_link" not in part]
    files = [file for file in message.get("files") or [message.get("file")] if file and file.get("name")]
    mentions = message.get("mentions") or []
    # What is there of a shared file, beside its name, is its description.
    said = [part.get("description") for part in attachments] if files else words(attachments)
    is_system = kind not in (None, "rm")
    if is_system:
        text = f"{sender} {SYSTEM.get(kind, f'{kind} {{}}').format(text)}"
    conversation.add(
        message["_id"],
        time(message["ts"]),
        sender,
        shown("\n".join(part for part in [text, *said] if part)),
        edited=time(message.get("editedAt")),
        files=[(file["_id"], file["name"], file["name"]) for file in files if not file["name"].startswith("thumb-")],
        attributes={"senderName": message.get("alias")},
        mentions=[people.user(each) for each in mentions if each["_id"] not in CALLS],
        everybody=any(each["_id"] in CALLS for each in mentions),
        reply_to=message.get("tmid") or quoted and quoted[1],
        system=is_system,
        deleted=kind == "rm",
        reactions=[
            (people.named(username), emoji(key))
            for key, reaction in (message.get("reactions") or {}).items()
            for username in reaction["usernames"]
        ],
    )


def time(date):
    """A time of MongoDB in microseconds since 1970: `{"$date": …}` of a text, a number, or `{"$numberLong": …}`."""
    value = date.get("$date") if isinstance(date, dict) else date
    value = value.get("$numberLong") if isinstance(value, dict) else value
    if value is None:
        return None
    is_text = isinstance(value, str) and not value.lstrip("-").isdecimal()
    return micros(value) if is_text else int(value) * 1000


if __name__ == "__main__":
    main(sys.argv[1])
