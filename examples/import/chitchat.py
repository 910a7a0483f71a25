"""Converts the data set of the Chit-Chat Challenge, 258,145 messages in 7,168 conversations, into lines to import:
histories of uneven size for tests and demonstrations.

    pip download --no-deps chitchat-dataset==0.9.0
    python3 examples/import/chitchat.py chitchat_dataset-0.9.0-py3-none-any.whl > chitchat.ndjson

The format: https://pypi.org/project/chitchat-dataset/ says what is in `dataset.json`, which the package has (MIT
License). It is one object, of UUIDs and conversations `{messages, start, prompt?, ratings?}`; `messages` are turns,
and a turn is an array of `{text, timestamp, sender}`.

- A conversation becomes a chat of those who have written, named after its prompt. With `--personal`, all those of
  the same two become their personal conversation. Where only one has written (3,150), it stays a chat.
- Times are whole seconds, and taken as they are. Each ends with `Z`, but those of messages are 6 or 7 hours behind
  `start`, as the clocks of Utah are. So a conversation begins with its first message.
- Ratings become attributes. 33 messages are blank: they have the attribute `blank` in place of a text, so that every
  message has its number.
"""

import json
import sys

from common import Archive, user
from sources import Folder, micros


def main(path, is_personal):
    export, archive = Folder(path), Archive()
    file = next(name for name in export.files if name.endswith("dataset.json"))
    for key, talk in json.loads(export.text(file)).items():
        messages = [message for turn in talk["messages"] for message in turn]
        people = dict.fromkeys((user(message["sender"]) for message in messages), "member")
        if is_personal and len(people) == 2:
            conversation = archive.personal(people)
        else:
            about = {"ratings": talk.get("ratings")}
            conversation = archive.chat(
                key, talk.get("prompt") or "Chit-chat", people, created=micros(talk["start"]), attributes=about
            )
        for number, message in enumerate(messages, 1):
            sender, created = user(message["sender"]), micros(message["timestamp"])
            text = message["text"].strip()
            attributes = None if text else {"blank": True}
            conversation.add(f"{key}.{number}", created, sender, text, attributes=attributes)
    archive.write()


if __name__ == "__main__":
    options = sys.argv[1:]
    main(next(option for option in options if option != "--personal"), "--personal" in options)
