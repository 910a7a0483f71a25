"""Converts an export of Slack, a zip or a directory, into lines to import.

    python3 examples/import/slack.py export.zip > slack.ndjson

The format: https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports has the files,
https://docs.slack.dev/reference/events/message the messages and their subtypes, and
https://docs.slack.dev/messaging/formatting-message-text/ what is in a text.

- Public and private channels and group messages become chats, direct messages personal conversations. An
  archived channel is frozen.
- Users have their Slack names. USERS may have other ids for their Slack ids (`{"U023BECGF": "jane"}`).
- A reply answers the first message of its thread. Joins, topics and the like are messages of the system.
- The text is plain: `<@U023BECGF>` becomes `@jane` and a mention, `<!channel>` a mention of all, a link its label
  and address, and `:tada:` its emoji. Attachments and blocks are used where a message has no text, and those of
  bots always.
- What was edited or deleted is as it is now. Of a log of changes, the last one counts.
- An export does not say who has read what, so everything is read. It has no files, but links to them: see FILES.

Left out: pins, stars, canvases, polls, the previews of links, the log of integrations.
"""

import re
import sys

from common import Archive, SECOND_MICROS, user
from sources import Folder, emoji, shown, words

ORDINARY = {
    None, "bot_message", "me_message", "file_share", "file_comment", "thread_broadcast", "reply_broadcast",
    "slackbot_response", "assistant_app_thread",
}
NOT_THERE = {"tombstone", "hidden_by_limit"}


def main(path):
    export, archive = Folder(path), Archive()
    people = People([*export.records("users.json"), *export.records("org_users.json")])
    kinds = {kind: list(export.records(f"{kind}.json")) for kind in ("channels", "groups", "mpims", "dms")}
    rooms = {channel["id"]: channel.get("name", "") for channels in kinds.values() for channel in channels}
    days = {}
    for file in export.files:
        if file.endswith(".json"):
            days.setdefault(file.rpartition("/")[0], []).append(file)
    for kind, channels in kinds.items():
        for channel in channels:
            conversation = begin(archive, kind, channel, people)
            files = days.get(channel["id"] if kind == "dms" else channel.get("name"), [])
            for message in settled(message for file in files for message in export.records(file)):
                add(conversation, message, people, rooms)
    archive.write()


class People:
    """Who is meant by the ids of users and bots."""

    def __init__(self, users):
        self.names, self.bots, taken = {}, {}, set()
        for each in users:
            name = each.get("name") or each["id"]
            # Names of an organization may be there twice.
            self.names[each["id"]] = each["id"] if name in taken else name
            taken.add(name)
            if each.get("profile", {}).get("bot_id"):
                self.bots[each["profile"]["bot_id"]] = each["id"]

    def user(self, slack_id):
        return user(slack_id, self.names.get(slack_id))

    def sender(self, message):
        bot = message.get("bot_id")
        slack_id = message.get("user") or self.bots.get(bot) or bot or message.get("username")
        return slack_id and self.user(slack_id)


def begin(archive, kind, channel, people):
    members = [people.user(member) for member in channel.get("members", [])]
    created = channel.get("created", 0) * SECOND_MICROS
    if kind == "dms" and members:
        return archive.personal(members, created=created)
    owner = people.user(channel["creator"]) if channel.get("creator") else None
    about = {name: channel.get(name, {}).get("value") for name in ("topic", "purpose")}
    return archive.chat(
        channel["id"],
        ", ".join(members) if kind == "mpims" else channel.get("name", ""),
        dict.fromkeys(members, "member"),
        created=created,
        owner=owner if owner in members else None,
        attributes=about if kind != "mpims" else None,
        frozen=channel.get("is_archived", False),
    )


def settled(messages):
    """Each message as it was in the end."""
    last = {}
    for message in sorted(messages, key=lambda message: micros(message.get("ts", "0"))):
        kind = message.get("subtype")
        if kind == "message_changed":
            changed = message["message"]
            last[changed["ts"]] = {**last.get(changed["ts"], {}), **changed}
        elif kind == "message_deleted":
            before = message.get("previous_message") or message.get("original") or {}
            gone = message.get("deleted_ts") or before.get("ts")
            last[gone] = {"user": None, **before, **last.get(gone, {}), "ts": gone, "subtype": "tombstone"}
        elif kind != "message_replied" and "ts" in message:
            last[message["ts"]] = message
    return last.values()


def add(conversation, message, people, rooms):
    text, mentions, everybody = spoken(message.get("text") or "", people, rooms)
    more = [spoken(part, people, rooms)[0] for part in extras(message)]
    kind, ts, thread = message.get("subtype"), message["ts"], message.get("thread_ts")
    is_system, bot = kind not in ORDINARY, message.get("bot_profile") or {}
    edited = message.get("edited")
    conversation.add(
        ts,
        micros(ts),
        people.sender(message),
        shown("\n".join([text, *more])),
        edited=edited and micros(edited["ts"]),
        files=files(message),
        attributes={"senderName": message.get("username") or bot.get("name")},
        mentions=() if is_system else mentions,
        everybody=everybody and not is_system,
        reply_to=thread if thread != ts else None,
        system=is_system,
        deleted=kind == "tombstone",
        reactions=[
            (people.user(slack_id), emoji(reaction["name"]))
            for reaction in message.get("reactions", [])
            for slack_id in reaction["users"]
        ],
    )


def extras(message):
    """What a message says beside its text."""
    attachments = message.get("attachments") or []
    if message.get("bot_id"):
        found = list(words(attachments))
    elif not message.get("text"):
        found = list(words([part for part in attachments if "from_url" not in part or part.get("is_share")]))
    else:
        found = []
    return found or ([] if message.get("text") else list(words(message.get("blocks"))))


def files(message):
    for file in message.get("files") or [message.get("file")]:
        if file and file.get("mode") not in NOT_THERE:
            url = file.get("url_private_download") or file.get("url_private")
            yield file["id"], file.get("name") or file.get("title"), url


def spoken(text, people, rooms):
    """The text as one reads it, whom it mentions, and whether it mentions all."""
    mentions, calls = [], []

    def plain(match):
        target, _, label = match[1].partition("|")
        if target.startswith("@"):
            mentions.append(people.user(target[1:]))
            return "@" + mentions[-1]
        if target.startswith("#"):
            return "#" + (label or rooms.get(target[1:]) or target[1:])
        if target in ("!channel", "!here", "!everyone", "!group"):
            calls.append(target)
            return "@" + target[1:]
        if target.startswith("!"):
            return label or target[1:]
        return f"{label} ({target})" if label and not target.endswith(label) else label or target

    text = re.sub("<([^<>]+)>", plain, text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), mentions, bool(calls)


def micros(ts):
    """A time of Slack, as 1503435956.000247, in microseconds since 1970."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * SECOND_MICROS + int(f"{fraction}000000"[:6])


if __name__ == "__main__":
    main(sys.argv[1])
