"""Push notifications: whom to wake for which message. A vendor's call would take the place of print.

    . .local/run/tokens && python3 examples/push.py
"""

from feed import follow

for entry in follow("push", kinds="message.created", include="message,recipients"):
    message = entry.get("message", {})
    if message.get("deleted"):
        continue
    sender = entry.get("actor", "the application")
    text = message.get("text", "an attachment")
    for recipient in entry["recipients"]:
        # Who has the messenger open sees the message there.
        if recipient.get("connected"):
            continue
        # A mention gets through where the conversation is muted.
        if recipient.get("muted") and not recipient.get("mentioned"):
            continue
        print(f"push to {recipient['user']}: {sender}: {text} ({recipient['unread']} unread)", flush=True)
