"""A webhook: the service posts the feed to it, and it misses no entry. After a crash the last one may come again.

    . .local/run/tokens && python3 examples/webhook.py
"""

import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from feed import call, read, write

HOST, PORT = os.environ.get("HOST", "127.0.0.1"), 9000
URL = f"http://{HOST}:{PORT}/"


def secret():
    """The key of the signatures, which the service shows once: when the webhook is created, at the first start.

    A webhook whose secret was not written, since the start was interrupted, gets a new one.
    """
    try:
        with open("webhook.secret", encoding="ascii") as file:
            text = file.read()
    except FileNotFoundError:
        earlier = [webhook for webhook in call("GET", "/webhooks")["webhooks"] if webhook["url"] == URL]
        if earlier:
            webhook = call("POST", f"/webhooks/{earlier[0]['id']}/secret")
        else:
            settings = {"kinds": ["message.created"], "include": ["message"]}
            webhook = call("POST", "/webhooks", {"url": URL, **settings})
        text = webhook["secret"]
        with open("webhook.secret.new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace("webhook.secret.new", "webhook.secret")
    return base64.b64decode(text.removeprefix("whsec_"))


def is_genuine(headers, body):
    """Whether the service has sent this, and not long ago."""
    stamp = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    # There are two signatures for a day after the secret was replaced.
    signatures = headers["webhook-signature"].split()
    is_signed = any(hmac.compare_digest(expected, signature) for signature in signatures)
    return is_signed and abs(time.time() - int(stamp)) < 300


class Hook(BaseHTTPRequestHandler):
    """Answers 2xx when everything is handled: then the service goes on."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if is_genuine(self.headers, body):
            for entry in json.loads(body)["entries"]:
                # What comes again was handled already.
                if entry["timestamp"] > int(read("webhook") or 0):
                    sender, message = entry.get("actor", "the application"), entry.get("message", {})
                    print(f"{sender}: {message.get('text', 'an attachment')}", flush=True)
                    write("webhook", str(entry["timestamp"]))
            self.send_response(204)
        else:
            self.send_response(401)
        self.end_headers()

    def log_message(self, *arguments):
        """Prints nothing for each request."""


KEY = secret()
HTTPServer((HOST, PORT), Hook).serve_forever()
