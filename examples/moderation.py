"""Moderation: deletes every message that has a word of the list, when it is sent or edited.

    . .local/run/tokens && python3 examples/moderation.py
"""

import re

from feed import attempt, follow

FORBIDDEN = re.compile(r"\b(darn|heck)\b", re.IGNORECASE)

for entry in follow("moderation", kinds="message.created,message.edited", include="message"):
    message = entry.get("message", {})
    if not FORBIDDEN.search(message.get("text", "")):
        continue
    # The application deletes in chats by itself, and a personal message for one of its users: for both in turns, since
    # whoever is suspended may not delete.
    users = [{}] if "chat" in entry else [{"As_User": message["to"]}, {"As_User": message["from"]}]
    path, version = f"/messages/{entry['id']}", str(message["timestamp"])
    # It is refused where the message is deleted already (410), or was edited just now (412), as its next entry tells.
    if any(attempt("DELETE", path, If_Match=version, **user) for user in users):
        print(f"deleted message {entry['id']} of {message.get('from')}", flush=True)
