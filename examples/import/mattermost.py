"""Converts a bulk export of Mattermost, the zip or its JSONL file, into lines to import.

    mmctl export create && mmctl export list && mmctl export download NAME
    python3 examples/import/mattermost.py NAME > mattermost.ndjson

The format: https://docs.mattermost.com/onboard/bulk-loading-data-format.html has the lines, and
https://docs.mattermost.com/manage/bulk-export-data.html says what of them an export has.

- Channels and group messages become chats, direct messages personal conversations. An archived channel is
  frozen. The name of a chat begins with that of its team, if there are several teams.
- Users have their usernames. USERS may have other ids for them.
- Admins of a channel are moderators, and nobody owns it. It begins with its first message: the export does not
  say when it was created.
- A reply answers the first message of its thread. Joins and the like are messages of the system.
- Messages have no ids in an export. Their keys are made of the time and a digest of the sender, so those of a later
  export are the same.
- Members have read what came before they last looked (`last_viewed_at`).
- The id of a file is the one in its path. FILES has the paths, which the zip has below `data/`.

Left out: deleted messages (an export has none), pins, flags, custom emoji (reactions keep their names), who
follows a thread.
"""

import re
import sys

from common import Archive, digest, user
from sources import Folder, emoji, records, shown, words

CALLS = {"all", "channel", "here"}
MILLISECOND_MICROS = 1_000


def main(path):
    archive, conversations, lines = Archive(), {}, by_type(Folder(path))
    teams = {team["name"]: team["display_name"] for team in lines.get("team", [])}
    members = memberships(lines.get("user", []))
    for channel in lines.get("channel", []):
        place = channel["team"], channel["name"]
        conversations[place] = begin(archive, channel, teams, members.get(place, []))
    for channel in lines.get("direct_channel", []):
        people = channel.get("participants") or [{"username": name} for name in channel["members"]]
        conversations[frozenset(each["username"] for each in people)] = begin_direct(archive, people, channel)
    for post in lines.get("post", []):
        if (post["team"], post["channel"]) in conversations:
            add_thread(conversations[post["team"], post["channel"]], post)
        else:
            archive.left_out["threads of a channel that is not in the export"] += 1
    for post in lines.get("direct_post", []):
        names = frozenset(post["channel_members"])
        if names not in conversations:
            conversations[names] = begin_direct(archive, [{"username": name} for name in sorted(names)], {})
        add_thread(conversations[names], post)
    archive.write()


def by_type(export):
    lines = {}
    for name in export.files:
        # Below folders there are the files of messages, which may have any name.
        if name.endswith((".jsonl", ".json")) and "/" not in name:
            for line in records(export.text(name)):
                lines.setdefault(line["type"], []).append(line.get(line["type"]))
    return lines


def memberships(users):
    """The members of each channel, as `(username, membership)`."""
    members = {}
    for each in users:
        for team in each.get("teams") or []:
            for channel in team.get("channels") or []:
                members.setdefault((team["name"], channel["name"]), []).append((each["username"], channel))
    return members


def begin(archive, channel, teams, members):
    name, role = channel["display_name"] or channel["name"], {True: "moderator", False: "member"}
    conversation = archive.chat(
        f"{channel['team']}/{channel['name']}",
        f"{teams[channel['team']]}: {name}" if len(teams) > 1 else name,
        {user(member): role["channel_admin" in (each.get("roles") or "")] for member, each in members},
        attributes={"topic": channel.get("header"), "purpose": channel.get("purpose")},
        frozen=bool(channel.get("deleted_at")),
    )
    look(conversation, members)
    return conversation


def begin_direct(archive, people, channel):
    members = {user(each["username"]): "member" for each in people}
    if len(members) <= 2:
        conversation = archive.personal(members)
    else:
        key, about = "direct/" + digest("+".join(sorted(members))), {"topic": channel.get("header")}
        conversation = archive.chat(key, ", ".join(members), members, attributes=about)
    look(conversation, [(each["username"], each) for each in people])
    return conversation


def look(conversation, members):
    """Marks what the members have seen, if the export says it."""
    for name, each in members:
        if each.get("last_viewed_at"):
            conversation.seen[user(name)] = (each["last_viewed_at"] + 1) * MILLISECOND_MICROS - 1


def add_thread(conversation, post):
    key = add(conversation, post, None)
    for reply in post.get("replies") or []:
        add(conversation, reply, key)


def add(conversation, post, thread):
    sender, kind = user(post["user"]), post.get("type") or ""
    key = f"{post['create_at']}-{digest(sender)}"
    while key in conversation.keys:
        key += "'"
    text = post.get("message") or "\n".join(words((post.get("props") or {}).get("attachments")))
    named = set(re.findall(r"(?<![\w@.-])@([a-z0-9._-]+)", text.lower()))
    named |= {name.rstrip("._-") for name in named}
    is_system = kind.startswith("system_")
    conversation.add(
        key,
        post["create_at"] * MILLISECOND_MICROS,
        sender,
        shown(text),
        edited=(post.get("edit_at") or 0) * MILLISECOND_MICROS,
        files=[file_of(each["path"]) for each in post.get("attachments") or []],
        attributes={"senderName": (post.get("props") or {}).get("override_username")},
        mentions=sorted(user(name) for name in named) if not is_system else (),
        everybody=bool(named & CALLS) and not is_system,
        reply_to=thread,
        system=is_system,
        reactions=[(user(each["user"]), emoji(each["emoji_name"])) for each in post.get("reactions") or []],
    )
    return key


def file_of(path):
    """The id, the name and the path of a file: its path ends with both."""
    *folders, name = path.split("/")
    return folders[-1] if folders else path, name, path


if __name__ == "__main__":
    main(sys.argv[1])
