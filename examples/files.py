"""A service for files, as the messenger expects one: POST stores the field `file` of a form and answers with its id, GET
with the id returns it. Whoever has a token of the message service may do both.

    . .local/run/tokens && python3 examples/files.py

and in another terminal

    FILES_URL=http://127.0.0.1:9001/files make run
"""

import json
import os
import re
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BASE, HOST, PORT = os.environ["BASE"], os.environ.get("HOST", "127.0.0.1"), 9001
FOLDER = Path("files")
BYTES_MAX = 20 * 1024 * 1024


class Files(BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self):
        length = self.headers["Content-Length"] or ""
        if refusal := self.refusal():
            return self.refuse(*refusal)
        if not length.isdecimal() or int(length) > BYTES_MAX:
            return self.refuse(413, f"a file has up to {BYTES_MAX} bytes")
        content = file_of(self.headers["Content-Type"] or "", self.rfile.read(int(length)))
        if content is None:
            return self.refuse(422, "the field file is missing")
        name = secrets.token_hex(16)
        (FOLDER / name).write_bytes(content)
        return self.answer(201, json.dumps({"id": name}).encode())

    def do_GET(self):
        if refusal := self.refusal():
            return self.refuse(*refusal)
        name = self.path.rsplit("/", 1)[-1]
        if not re.fullmatch("[0-9a-f]{32}", name) or not (FOLDER / name).is_file():
            return self.refuse(404, "there is no such file")
        return self.answer(200, (FOLDER / name).read_bytes(), "application/octet-stream")

    def do_OPTIONS(self):
        """The page is of another origin: its browser asks whether it may call."""
        self.answer(200, b"")

    def refusal(self):
        """Why the caller may do nothing, if so: the message service does not accept the token."""
        headers = {"Authorization": self.headers["Authorization"] or ""}
        try:
            urlopen(Request(f"{BASE}/conversations?limit=1", headers=headers), timeout=10).close()
        except HTTPError as error:
            return (401, "the token is not accepted") if error.code in (401, 403) else (503, "try again later")
        except URLError:
            return 503, "try again later"
        return None

    def refuse(self, status, detail):
        # What was not read of the request is not taken for another one.
        self.close_connection = True
        self.answer(status, json.dumps({"detail": detail}).encode())

    def answer(self, status, body, media_type="application/json"):
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization")
        self.send_header("Cache-Control", "private, no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def file_of(media_type, body):
    """The field `file` of a form (RFC 7578)."""
    edge = re.search('boundary="?([^";]+)', media_type)
    parts = body.split(b"--" + edge[1].encode()) if edge else []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        if re.search(rb'\bname="file"', head):
            return content.removesuffix(b"\r\n")
    return None


FOLDER.mkdir(exist_ok=True)
ThreadingHTTPServer((HOST, PORT), Files).serve_forever()
