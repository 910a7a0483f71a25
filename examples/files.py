"""A service for files, as the messenger expects one: POST stores the field `file` and answers with its id, GET with
the id returns it. Whoever has a token of the message service may do both.

    . .local/run/tokens && python3 examples/files.py
    FILES_URL=http://127.0.0.1:9001/files make run
"""

import email
import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BASE, HOST, PORT = os.environ["BASE"], os.environ.get("HOST", "127.0.0.1"), 9001
FOLDER = Path("files")
BYTES_MAX = 20 * 1024 * 1024


class Files(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["Content-Length"])
        if length > BYTES_MAX:
            # The rest of the request is not read.
            self.close_connection = True
            return self.answer(413, {"detail": "the file is too large"})
        content = self.file_of(self.rfile.read(length))
        if not self.is_user():
            return self.answer(401, {"detail": "the token is not accepted"})
        if content is None:
            return self.answer(422, {"detail": "the field file is missing"})
        name = secrets.token_hex(16)
        (FOLDER / name).write_bytes(content)
        return self.answer(201, {"id": name})

    def do_GET(self):
        path = FOLDER / Path(self.path).name
        if not self.is_user():
            return self.answer(401, {"detail": "the token is not accepted"})
        if not path.is_file():
            return self.answer(404, {"detail": "there is no such file"})
        return self.answer(200, path.read_bytes())

    def do_OPTIONS(self):
        """The page is of another origin: its browser asks whether it may call."""
        self.answer(204, b"")

    def file_of(self, body):
        """The file of a form (RFC 7578), whose parts are written as those of a mail."""
        form = email.message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        parts = form.get_payload() if form.is_multipart() else []
        files = (part for part in parts if part.get_param("name", header="Content-Disposition") == "file")
        return next((part.get_payload(decode=True) for part in files), None)

    def is_user(self):
        """Whether the message service accepts the token."""
        request = Request(f"{BASE}/conversations?limit=1", headers={"Authorization": self.headers["Authorization"] or ""})
        try:
            return urlopen(request).status == 200
        except HTTPError:
            return False

    def answer(self, status, content):
        is_file = isinstance(content, bytes)
        body = content if is_file else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization")
        self.send_header("Content-Type", "application/octet-stream" if is_file else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


FOLDER.mkdir(exist_ok=True)
ThreadingHTTPServer((HOST, PORT), Files).serve_forever()
