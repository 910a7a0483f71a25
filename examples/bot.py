"""A bot: answers everybody who writes to the user `echo`. Write to it in the messenger.

    . .local/run/tokens && python3 examples/bot.py
"""

from feed import attempt, follow

BOT = "echo"

for entry in follow("bot", kinds="message.created", include="message"):
    text = entry.get("message", {}).get("text")
    if entry.get("with") != BOT or entry["actor"] == BOT or text is None:
        continue
    answer = {"to": entry["actor"], "text": f"You said: {text}", "replyTo": entry["id"]}
    # The key is that of the entry: should it come again, nothing is sent twice.
    key = f"echo-{entry['timestamp']}"
    # It is refused where the answer is too long, or its recipient has blocked the bot meanwhile.
    if attempt("POST", "/messages", answer, As_User=BOT, Idempotency_Key=key):
        print(f"answered {entry['actor']}", flush=True)
