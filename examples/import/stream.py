"""Converts exports of channels of Stream Chat into lines to import.

    python3 examples/import/stream.py export-1.json export-2.json > stream.ndjson

The format: https://getstream.io/chat/docs/node/exporting_channels/ asks for an export, of up to 25 channels each.
In the first version, the default, it is an array with an object `{channel, messages, members}` for each channel,
whose parts are as the API has them: https://getstream.io/chat/docs/python/message_format/. What a line of the
second version is like is documented nowhere, so do not ask for it.

- Channels become chats; a distinct channel (`!members-…`) of two becomes their personal conversation.
- Users have their ids. USERS may have other ones.
- The owner, or else the creator, owns the chat, if still a member. Moderators and admins of it are moderators.
- A message of a thread answers the first one, and a quotation what it quotes. Deleted ones are deleted.
- Reactions keep their types (`love`). The API lists the ten newest ones of a message, and so does an export.
- Members have read what came before `last_read`, where the export has a `read`; else everything is read.
- Files have no ids there: they get one made of their URL. FILES has the URLs.
- What is your own of a channel becomes its attributes.

Left out: channels that are deleted, messages that are ephemeral, errors or shadowed, pins, polls, bans, previews
of links.
"""

import hashlib
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common import Archive, user
from sources import micros, records, words

MODERATORS = {"moderator", "admin", "owner", "channel_moderator"}
# What Stream has of a channel.
NOT_OURS = {
    "id", "type", "cid", "name", "created_at", "created_by", "created_by_id", "updated_at", "deleted_at", "frozen",
    "last_message_at", "disabled", "member_count", "message_count", "members", "config", "own_capabilities", "hidden",
    "blocked", "truncated_at", "truncated_by", "truncated_by_id", "auto_translation_enabled", "cooldown", "muted",
    "auto_translation_language", "hide_messages_before", "mute_expires_at",
}
URLS = ("asset_url", "image_url", "thumb_url")


def main(paths):
    archive = Archive()
    for path in paths:
        for export in records(Path(path).read_text("utf-8-sig")):
            if export["channel"].get("deleted_at"):
                archive.left_out["deleted channels"] += 1
                continue
            conversation = begin(archive, export)
            for message in export.get("messages") or []:
                add(conversation, message)
    archive.write()


def begin(archive, export):
    channel, members = export["channel"], export.get("members") or []
    ids = [user(each["user_id"]) for each in members]
    created = micros(channel["created_at"])
    if channel["id"].startswith("!members-") and 1 <= len(ids) <= 2:
        conversation = archive.personal(ids, created=created)
    else:
        creator = user((channel.get("created_by") or {}).get("id", ""))
        owners = [user(each["user_id"]) for each in members if each.get("role") == "owner"] + [creator]
        roles = [{each.get("role"), each.get("channel_role")} for each in members]
        conversation = archive.chat(
            channel.get("cid") or f"{channel['type']}:{channel['id']}",
            channel.get("name") or ", ".join(ids),
            {user: "moderator" if MODERATORS & roles else "member" for user, roles in zip(ids, roles)},
            created=created,
            owner=next((owner for owner in owners if owner in ids), None),
            attributes={name: value for name, value in channel.items() if name not in NOT_OURS},
            frozen=channel.get("frozen", False),
        )
    for each in export.get("read") or []:
        if each.get("last_read"):
            conversation.seen[user(each["user"]["id"])] = micros(each["last_read"])
    return conversation


def add(conversation, message):
    kind = message.get("type")
    if kind in ("ephemeral", "error") or message.get("shadowed"):
        conversation.archive.left_out["ephemeral, failed or shadowed messages"] += 1
        return
    attachments = [part for part in message.get("attachments") or [] if "og_scrape_url" not in part]
    files = [file for file in map(file_of, attachments) if file]
    edited = message.get("message_text_updated_at")
    reactions = message.get("reactions") or message.get("latest_reactions") or []
    conversation.add(
        message["id"],
        micros(message["created_at"]),
        user(message["user"]["id"]) if message.get("user") else None,
        message.get("text") or ("" if files else "\n".join(words(attachments))),
        edited=edited and micros(edited),
        files=files,
        mentions=[user(each["id"]) for each in message.get("mentioned_users") or []],
        everybody=bool(message.get("mentioned_channel")),
        reply_to=message.get("quoted_message_id") or message.get("parent_id"),
        system=kind == "system",
        deleted=kind == "deleted" or bool(message.get("deleted_at")),
        reactions=[(user(each.get("user_id") or each["user"]["id"]), each["type"]) for each in reactions],
    )


def file_of(attachment):
    """The id, the name and the place of a file. What follows `?` in its URL is a signature, which ends."""
    url = next((attachment[name] for name in URLS if attachment.get(name)), None)
    if not url:
        return None
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    ending = re.search(r"\.\w{1,8}$", last)
    file = hashlib.sha256(url.partition("?")[0].encode()).hexdigest()[:32] + (ending[0].lower() if ending else "")
    return file, attachment.get("title") or attachment.get("fallback") or last, url


if __name__ == "__main__":
    main(sys.argv[1:])
