"""What the converters share: ids, keys and texts made valid, and the lines in the order in which they are
imported fastest: the conversations, then the messages, then the ends.

What the import cannot hold is changed as little as possible. Messages, members and files that are left out are
counted on standard error.

- A user, a file or a key with other characters, or more than 64, becomes a valid one that ends with a hash of
  the old one, so that two of them never become the same.
- A text of more than 20,000 characters becomes several messages. The first one has everything else.
- A message without text and files is left out. So is a message of a personal conversation that neither of its
  two users has sent.
- Mentions of users who are no members are left out, and so is what exceeds a limit.

Two environment variables name files. USERS is a JSON object of old ids of users and new ones. FILES is written:
a line for each file with its id, a tab, and where the old system has it. Copy the files from there.
"""

import hashlib
import json
import os
import re
import sys
import unicodedata
from bisect import bisect_right
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

USER, FILE, KEY = "A-Za-z0-9_.@:|-", "A-Za-z0-9_.-", "!-~"
TEXT_CHARS_MAX, NAME_CHARS_MAX, ATTRIBUTES_BYTES_MAX = 20_000, 200, 16 * 1024
MEMBERS_MAX, FILES_MAX, MENTIONS_MAX = 1_000, 100, 50
REACTIONS_MAX, KEYS_OF_MESSAGE_MAX, KEYS_OF_USER_MAX, REACTION_CHARS_MAX = 1_000, 50, 20, 64
SECOND_MICROS = 1_000_000


class Archive:
    """The conversations to import. Times are microseconds since 1970."""

    def __init__(self):
        self.conversations, self.left_out = {}, Counter()
        self.files = open(os.environ["FILES"], "w", encoding="utf-8") if os.environ.get("FILES") else None

    def chat(self, key, name, members, *, created=None, owner=None, attributes=None, posting=None, frozen=False):
        """A new chat. `members` has the role of each member; that of the owner does not matter."""
        others = sorted((user for user in members if user != owner), key=lambda user: members[user] != "moderator")
        kept = others[: MEMBERS_MAX - bool(owner)]
        self.left_out["members above 1,000"] += len(others) - len(kept)
        key, given = shaped(key, KEY), [(user, members[user]) for user in kept]
        line = {
            "name": unicodedata.normalize("NFC", clean(name).strip())[:NAME_CHARS_MAX].strip() or key,
            "owner": owner,
            "members": [user if role == "member" else {"user": user, "role": role} for user, role in given],
            "attributes": fitting(attributes or {}),
            "posting": posting,
            "frozen": frozen,
        }
        chat = {name: value for name, value in line.items() if value or name == "members"}
        return self.conversations.setdefault(key, Conversation(self, key, created, {"chat": chat}, {owner, *kept}))

    def personal(self, users, *, created=None):
        """The conversation of two users, or of one with oneself: one, however often it is asked for."""
        pair = min(users), max(users)
        key, line = shaped("+".join(pair), KEY), {"personal": list(pair)}
        return self.conversations.setdefault(key, Conversation(self, key, created, line, set(pair), pair))

    def write(self):
        conversations = self.conversations.values()
        for conversation in conversations:
            put(conversation.begin())
        # A list of conversations goes by the newest messages: which conversation was written in last is filled last.
        for conversation in sorted(conversations, key=Conversation.last):
            for line in conversation.lines():
                put(line)
        for conversation in conversations:
            put(conversation.end())
        if self.files:
            self.files.close()
        count = sum(len(conversation.messages) for conversation in conversations)
        print(f"{len(conversations)} conversations, {count} messages", file=sys.stderr)
        for what, count in self.left_out.items():
            if count:
                print(f"left out: {count} {what}", file=sys.stderr)

    def names_of(self, files):
        """The names of files by their ids. Each file is given as its id, its name, and where it is."""
        names = {}
        for file, name, place in files:
            file = shaped(file, FILE)
            if len(names) == FILES_MAX and file not in names:
                self.left_out["files above 100 of a message"] += 1
                continue
            names[file] = name or file
            if self.files:
                print(file, place, sep="\t", file=self.files)
        return names


class Conversation:
    """A chat or a personal conversation, with its messages."""

    def __init__(self, archive, key, created, line, members, pair=None):
        self.archive, self.key, self.created, self.line = archive, key, created, line
        self.members, self.pair, self.messages, self.keys = members, pair, [], set()
        # When members have last read. Who is not in it has read everything.
        self.seen = {}

    def add(self, key, created, sender=None, text="", *, edited=None, files=(), attributes=None, mentions=(),
            everybody=False, reply_to=None, system=False, deleted=False, reactions=()):
        """Adds a message. Reactions are pairs of a user and a key. What the system says in a chat has no sender."""
        system = system and not self.pair
        place = self.place(None if system else sender, deleted)
        if place is None:
            self.archive.left_out["personal messages of somebody else"] += 1
            return
        place["created"] = stamp(created)
        if deleted:
            self.keep(key, created, {**place, "deleted": True})
            return
        names = self.archive.names_of(files)
        first, *more = pieces(clean(text or "").strip())
        same = {**place, "edited": edited and stamp(edited), "system": system}
        self.keep(key, created, {
            **same,
            "text": first,
            "files": list(names),
            "attributes": fitting({**(attributes or {}), "fileNames": names}),
            "mentions": [user for user in dict.fromkeys(mentions) if user in self.members][:MENTIONS_MAX],
            "mentionsAll": everybody and not self.pair,
            "replyTo": reply_to and shaped(reply_to, KEY),
            "reactions": gathered(reactions),
        })
        for number, text in enumerate(more, 2):
            self.keep(f"{key}+{number}", created, {**same, "text": text})

    def place(self, sender, deleted):
        """Where a message is and who has sent it. Of a deleted one, the sender may be unknown."""
        if not self.pair:
            return {"chat": self.key, **({"from": sender} if sender else {})}
        first, last = self.pair
        if sender == last:
            return {"from": last, "to": first}
        return {"from": first, "to": last} if sender == first or deleted else None

    def keep(self, key, created, message):
        key = shaped(key, KEY)
        message = {name: value for name, value in message.items() if value}
        if not message.keys() & {"text", "files", "attributes", "deleted"}:
            self.archive.left_out["empty messages"] += 1
        elif key not in self.keys:
            self.keys.add(key)
            self.messages.append((created, key, message))

    def last(self):
        return max((created for created, _, _ in self.messages), default=0)

    def begin(self):
        """The first line. No conversation is younger than its first message."""
        # At the same time, they stay in the order in which they were added.
        self.messages.sort(key=lambda message: message[0])
        times = [created for created, _, _ in self.messages[:1]] + [self.created] * bool(self.created)
        created = {"created": stamp(min(times))} if times else {}
        if self.pair:
            return {"key": self.key, **self.line, **created}
        return {"key": self.key, "chat": {**self.line["chat"], **created}}

    def lines(self):
        before = set()
        for _, key, message in self.messages:
            if message.get("replyTo") not in before:
                message.pop("replyTo", None)
            before.add(key)
            yield {"key": key, "message": message}

    def end(self):
        times = [created for created, _, _ in self.messages]
        # Who has written has read until there.
        wrote = {message.get("from"): number for number, (_, _, message) in enumerate(self.messages, 1)}
        read = {user: max(bisect_right(times, time), wrote.get(user, 0)) for user, time in self.seen.items()}
        read = {user: number for user, number in read.items() if number < len(times) and user in self.members}
        place = {"personal": list(self.pair)} if self.pair else {"chat": self.key}
        return {"key": shaped(f"{self.key}!done", KEY), "done": place, **({"read": read} if read else {})}


def user(old, name=None):
    """The id of a user: the one that USERS has for the old id or the name, else the name."""
    return shaped(USERS.get(old) or USERS.get(name) or name or old, USER)


def shaped(text, characters):
    """The text, if it has 1 to 64 of these characters; else what is valid of it, and a hash of the whole."""
    if re.fullmatch(f"[{characters}]{{1,64}}", text) and text not in (".", ".."):
        return text
    return re.sub(f"[^{characters}]", "_", text)[:55] + "-" + digest(text)


def digest(text):
    """What stands for a text in a key, which outlives the users whom the text may name."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def pieces(text):
    """The text, cut where it is too long: at a line or a word, if there is one."""
    while len(unicodedata.normalize("NFC", text)) > TEXT_CHARS_MAX:
        text = unicodedata.normalize("NFC", text)
        cut = max(text.rfind(blank, TEXT_CHARS_MAX // 2, TEXT_CHARS_MAX) for blank in "\n ")
        cut = cut if cut > 0 else TEXT_CHARS_MAX
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    yield text


def gathered(reactions):
    """Who has reacted with what, within the limits."""
    users_of, keys_of = {}, Counter()
    for user, key in list(dict.fromkeys(reactions))[:REACTIONS_MAX]:
        key = clean(key)[:REACTION_CHARS_MAX]
        is_full = len(users_of) == KEYS_OF_MESSAGE_MAX and key not in users_of
        if key and not is_full and keys_of[user] < KEYS_OF_USER_MAX and user not in users_of.get(key, ()):
            keys_of[user] += 1
            users_of.setdefault(key, []).append(user)
    return users_of


def fitting(attributes):
    """The attributes that are not empty, without the largest ones where all are too much."""
    kept = {name: value for name, value in clean(attributes).items() if value not in (None, "", [], {})}
    while len(encoded(kept)) > ATTRIBUTES_BYTES_MAX:
        del kept[max(kept, key=lambda name: len(encoded(kept[name])))]
    return kept


def clean(value):
    """The value without what a database or UTF-8 cannot hold: U+0000, and halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [clean(part) for part in value]
    if isinstance(value, dict):
        return {clean(name): clean(part) for name, part in value.items()}
    return value


def stamp(micros):
    """A time as the import has it."""
    seconds, fraction = divmod(micros, SECOND_MICROS)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{fraction:06}Z"


def encoded(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def put(line):
    sys.stdout.buffer.write(encoded(line) + b"\n")


USERS = json.loads(Path(os.environ["USERS"]).read_text("utf-8")) if os.environ.get("USERS") else {}
