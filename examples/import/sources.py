"""What several formats of exports have in common: archives, lines of JSON, times, attachments, names of emoji."""

import json
import re
import zipfile
from datetime import datetime
from pathlib import Path

from common import SECOND_MICROS

# The names of common emoji. Others stay names, as `:partyparrot:`.
EMOJI = {
    "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "heart": "❤️", "tada": "🎉", "fire": "🔥",
    "eyes": "👀", "joy": "😂", "smile": "😄", "grinning": "😀", "wave": "👋", "pray": "🙏", "clap": "👏",
    "rocket": "🚀", "100": "💯", "ok_hand": "👌", "raised_hands": "🙌", "thinking_face": "🤔", "thinking": "🤔",
    "cry": "😢", "sob": "😭", "white_check_mark": "✅", "heavy_check_mark": "✔️", "x": "❌", "heavy_plus_sign": "➕",
    "muscle": "💪", "sparkles": "✨", "laughing": "😆", "slightly_smiling_face": "🙂", "open_mouth": "😮",
    "warning": "⚠️", "question": "❓", "bulb": "💡",
}
SKIN_TONES = {"2": "🏻", "3": "🏼", "4": "🏽", "5": "🏾", "6": "🏿"}
BLANKS = re.compile(r"\s*")


class Folder:
    """The files of a directory or of a zip, without a folder that all of them are in. Or one file."""

    def __init__(self, path):
        self.zip = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
        path = Path(path)
        if self.zip:
            files = {name_in_zip(info): info for info in self.zip.infolist() if not info.is_dir()}
            files = {name: info for name, info in files.items() if not name.startswith("__MACOSX/")}
        elif path.is_file():
            files = {path.name: path}
        else:
            files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        tops = {name.partition("/")[0] if "/" in name else None for name in files}
        is_wrapped = len(tops) == 1 and None not in tops
        self.files = {name.partition("/")[2] if is_wrapped else name: file for name, file in sorted(files.items())}

    def text(self, name):
        """The text of a file; empty, if there is none."""
        file = self.files.get(name)
        if file is None:
            return ""
        return (self.zip.read(file) if self.zip else file.read_bytes()).decode("utf-8-sig")

    def records(self, name):
        return records(self.text(name))


def name_in_zip(info):
    """Some programs write a name as UTF-8 without saying so."""
    try:
        return info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def records(text):
    """The objects of a JSON array, or of a text that has one after the other."""
    decoder, at = json.JSONDecoder(), BLANKS.match(text).end()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield from value if isinstance(value, list) else [value]
        at = BLANKS.match(text, at).end()


def words(value):
    """The texts of attachments or blocks, which may be nested."""
    for part in value if isinstance(value, list) else []:
        yield from words(part)
    if isinstance(value, dict):
        names = ("pretext", "title", "text", "description", "value", "fields", "elements", "blocks", "attachments")
        for part in [value[name] for name in names if value.get(name)] or [value.get("fallback") or ""]:
            yield from [part] if isinstance(part, str) else words(part)


def emoji(name):
    """The emoji of a name as `thumbsup`, `:thumbsup:` or `+1::skin-tone-3`; the name, if it is not a common one."""
    base, _, tone = name.strip(":").partition("::skin-tone-")
    if base in EMOJI:
        return EMOJI[base] + SKIN_TONES.get(tone, "")
    return f":{name.strip(':')}:" if name.isascii() else name


def shown(text):
    """The text with common emoji in place of their names."""
    return re.sub(r"(?<!\w):[a-z0-9_+-]+:(?::skin-tone-[2-6]:)?(?!\w)", lambda name: emoji(name[0]), text)


def micros(text):
    """A time of RFC 3339, with any number of digits, in microseconds since 1970."""
    whole, fraction, zone = re.fullmatch(r"([^.Z]+?)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)", text).groups()
    zone = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
    return int(datetime.fromisoformat(whole + zone).timestamp()) * SECOND_MICROS + int(f"{fraction or 0}000000"[:6])
