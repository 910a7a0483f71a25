"""Moderation: deletes every message that has a word of the list, when it is sent or edited.

    . .local/run/tokens && python3 examples/moderation.py
"""

import re
import urllib.error

from feed import call, follow

FORBIDDEN = re.compile(r"\b(darn|heck)\b", re.IGNORECASE)

for entry in follow("moderation", kinds="message.created,message.edited", include="message"):
    message = entry.get("message", {})
    if not FORBIDDEN.search(message.get("text", "")):
        continue
    # The application deletes in chats by itself, and a personal message for its sender.
    user = {} if "chat" in entry else {"As_User": message["from"]}
    path, version = f"/messages/{entry['id']}", str(message["timestamp"])
    try:
        call("DELETE", path, If_Match=version, **user)
        print(f"deleted message {entry['id']} of {message.get('from')}", flush=True)
    except urllib.error.HTTPError as error:
        # 410: it is deleted already. 412: it was edited just now, and its next entry tells of that.
        if error.code not in (410, 412):
            raise
