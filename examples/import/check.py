"""Checks lines to import against the rules of the import, and the converters against their samples.

    python3 examples/import/check.py                  runs each converter on its sample
    python3 examples/import/check.py --renew          writes what they make beside the samples
    python3 examples/import/check.py FILE...          checks files of your own
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unicodedata
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLES = HERE / "samples"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
KEY, USER, FILE = (re.compile(f"[{characters}]{{1,64}}") for characters in ("!-~", "A-Za-z0-9_.@:|-", "A-Za-z0-9_.-"))
LINE_BYTES_MAX = 1024 * 1024
CHAT = {
    "name", "created", "owner", "members", "attributes", "posting", "frozen", "history", "slowMode", "reactions",
    "retentionDays",
}
MESSAGE = {
    "chat", "to", "from", "created", "edited", "text", "files", "attributes", "mentions", "mentionsAll", "replyTo",
    "system", "deleted", "reactions",
}
NOT_OF_DELETED = {"text", "files", "attributes", "mentions", "mentionsAll", "replyTo", "reactions", "edited", "system"}


class Wrong(Exception):
    """What is wrong with a line."""


class Rules:
    """What a file may have, line by line."""

    def __init__(self):
        # By key for chats, by pair for personal conversations.
        self.conversations, self.chats = {}, set()

    def check(self, raw):
        need(len(raw) < LINE_BYTES_MAX, "the line is too long")
        line = json.loads(raw)
        need(b"\\u0000" not in raw.replace(b"\\\\", b""), "there is a U+0000")
        need(KEY.fullmatch(line["key"]), "the key is not valid")
        kinds = line.keys() & {"chat", "personal", "message", "done"}
        need(len(kinds) == 1, "it is not of one kind")
        getattr(self, kinds.pop())(line)

    def chat(self, line):
        chat = line["chat"]
        need(line.keys() == {"key", "chat"} and chat.keys() <= CHAT, "there are other fields")
        need(line["key"] not in self.chats, "the key is there twice")
        need(1 <= length(chat["name"].strip()) <= 200, "the name is not valid")
        described = [{"user": each} if isinstance(each, str) else each for each in chat["members"]]
        need(all(each.keys() <= {"user", "role", "since"} for each in described), "a member has other fields")
        roles = {each.get("role", "member") for each in described}
        need(roles <= {"reader", "member", "moderator"}, "a role is not valid")
        need(all(each.get("since", 0) >= 0 for each in described), "a number of a message is not valid")
        members, owner = [each["user"] for each in described], [chat["owner"]] if "owner" in chat else []
        need(len({*members}) == len(members), "a member is there twice")
        need(len({*members, *owner}) <= 1000, "there are too many members")
        need(all(map(is_user, members + owner)), "a user is not valid")
        need("created" not in chat or TIME.fullmatch(chat["created"]), "the time is not valid")
        check_rules(chat)
        check_attributes(chat)
        self.chats.add(line["key"])
        self.begin(line["key"], {*members, *owner})

    def personal(self, line):
        need(line.keys() <= {"key", "personal", "created"}, "there are other fields")
        pair = tuple(sorted(line["personal"]))
        need(len(pair) == 2 and all(map(is_user, pair)), "the users are not two, or not valid")
        need("created" not in line or TIME.fullmatch(line["created"]), "the time is not valid")
        self.begin(pair, set(pair))

    def begin(self, place, members):
        need(place not in self.conversations, "the conversation is there twice")
        self.conversations[place] = {"members": members, "keys": set(), "last": "", "is_done": False}

    def message(self, line):
        message = line["message"]
        need(line.keys() == {"key", "message"} and message.keys() <= MESSAGE, "there are other fields")
        need(("chat" in message) != ("to" in message), "it has no place")
        need("to" not in message or "from" in message, "it has no sender")
        place = message["chat"] if "chat" in message else tuple(sorted((message["from"], message["to"])))
        conversation = self.conversations.get(place)
        need(conversation and not conversation["is_done"], "its conversation is not there, or ended")
        need("from" not in message or is_user(message["from"]), "the sender is not valid")
        need(line["key"] not in conversation["keys"], "the key is there twice")
        need(TIME.fullmatch(message["created"]), "the time is not valid")
        need(message["created"] >= conversation["last"], "an earlier message comes later")
        need(message.get("deleted") is not True or not message.keys() & NOT_OF_DELETED, "a deleted one has data")
        need(message.keys() & {"text", "files", "attributes", "deleted"}, "it is empty")
        self.check_parts(message, conversation)
        conversation["keys"].add(line["key"])
        conversation["last"] = message["created"]

    def check_parts(self, message, conversation):
        text, files = message.get("text", "x"), message.get("files", ["x"])
        need(text == text.strip() and 1 <= length(text) <= 20_000, "the text is not valid")
        need(1 <= len(files) == len(set(files)) <= 100 and all(map(is_file, files)), "the files are not valid")
        mentions = message.get("mentions", [])
        need(len(mentions) <= 50 and conversation["members"] >= {*mentions}, "a mention is of no member")
        need("replyTo" not in message or message["replyTo"] in conversation["keys"], "it answers no earlier one")
        need("edited" not in message or TIME.fullmatch(message["edited"]), "the time of the edit is not valid")
        need(all(message[flag] is True for flag in message.keys() & {"deleted", "system", "mentionsAll"}), "a flag")
        reactions = message.get("reactions", {})
        users = [user for users in reactions.values() for user in users]
        need(len(reactions) <= 50 and all(1 <= length(key) <= 64 for key in reactions), "reactions are not valid")
        need(all(map(is_user, users)) and all(users.count(user) <= 20 for user in {*users}), "reactions of a user")
        need(all(len(given) == len(set(given)) > 0 for given in reactions.values()), "a reaction is there twice")
        check_attributes(message)

    def done(self, line):
        place = line["done"].get("chat") or tuple(sorted(line["done"]["personal"]))
        conversation = self.conversations.get(place)
        need(conversation and not conversation["is_done"], "its conversation is not there, or ended")
        read = line.get("read", {})
        need(conversation["members"] >= read.keys(), "one who reads is no member")
        need(all(0 <= number <= len(conversation["keys"]) for number in read.values()), "a position is not valid")
        conversation["is_done"] = True

    def end(self):
        need(all(each["is_done"] for each in self.conversations.values()), "a conversation has no end")


def need(is_right, what):
    if not is_right:
        raise Wrong(what)


def length(text):
    return len(unicodedata.normalize("NFC", text))


def is_user(user):
    return USER.fullmatch(user) and user not in (".", "..")


def is_file(file):
    return FILE.fullmatch(file) and file not in (".", "..")


def check_rules(chat):
    need(chat.get("posting", "members") in ("members", "moderators"), "posting is not valid")
    need(chat.get("history", "all") in ("all", "joined"), "the history is not valid")
    need(all(isinstance(chat.get(flag, True), bool) for flag in ("frozen", "reactions")), "a flag")
    need(0 <= chat.get("slowMode", 0) <= 86_400, "the slow mode is not valid")
    need(1 <= chat.get("retentionDays", 1) <= 36_500, "the retention is not valid")


def check_attributes(given):
    attributes = given.get("attributes", {})
    size = len(json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode())
    need(isinstance(attributes, dict) and size <= 16 * 1024, "the attributes are not valid")


def check_lines(lines, name):
    rules, number = Rules(), 0
    try:
        for number, line in enumerate(lines, 1):
            rules.check(line)
        rules.end()
    except Wrong as wrong:
        raise Wrong(f"{name}, line {number}: {wrong}") from None


class Answers(BaseHTTPRequestHandler):
    """Another installation of this service, as it was recorded."""

    recorded = json.loads((SAMPLES / "messages_feed" / "answers.json").read_text("utf-8"))

    def do_GET(self):
        as_user = self.headers["As-User"]
        body = json.dumps(self.recorded[self.path + (f" as {as_user}" if as_user else "")]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Prints nothing for each request."""


def convert(script, *arguments, **variables):
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=False)
    need(done.returncode == 0, f"{script} failed: {done.stderr.decode()}")
    return done.stdout


def zipped(folder, directory):
    with zipfile.ZipFile(directory / f"{folder.name}.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"an export/{file.relative_to(folder)}")
    return directory / f"{folder.name}.zip"


def outputs(directory, server):
    """What each converter makes of its sample, and of the same in another form."""
    users = directory / "users.json"
    users.write_text(json.dumps({"U023BECGF": "shop|jane", "john": "john@shop.example"}), "utf-8")
    service = {"BASE": f"http://127.0.0.1:{server.server_port}", "TOKEN": "a token"}
    yield "slack", convert("slack.py", SAMPLES / "slack")
    yield "slack", convert("slack.py", zipped(SAMPLES / "slack", directory))
    yield "slack-users", convert("slack.py", SAMPLES / "slack", USERS=str(users))
    yield "rocketchat", convert("rocketchat.py", SAMPLES / "rocketchat")
    yield "mattermost", convert("mattermost.py", SAMPLES / "mattermost" / "import.jsonl")
    yield "mattermost", convert("mattermost.py", zipped(SAMPLES / "mattermost", directory))
    yield "stream", convert("stream.py", SAMPLES / "stream" / "export.json")
    yield "chitchat", convert("chitchat.py", SAMPLES / "chitchat")
    yield "chitchat-personal", convert("chitchat.py", SAMPLES / "chitchat", "--personal")
    yield "messages_feed", convert("messages_feed.py", **service)


def check_samples(is_renewed):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        for name, output in outputs(Path(directory), server):
            expected = SAMPLES / f"{name}.ndjson"
            if is_renewed:
                expected.write_bytes(output)
            try:
                check_lines(output.splitlines(), name)
                need(output == expected.read_bytes(), f"{name} differs from {expected}")
                passed += 1
            except Wrong as wrong:
                print(wrong)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    files = [name for name in sys.argv[1:] if name != "--renew"]
    for name in files:
        with open(name, "rb") as file:
            check_lines(file, name)
        print(f"{name} is right")
    if not files:
        sys.exit(check_samples("--renew" in sys.argv) and 1)
