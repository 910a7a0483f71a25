"""Follows the feed of an application: every change in order, and none is missed after a crash.

It needs Python 3.9 or later and nothing else. BASE is where the service is, APP the application's token:

    . .local/run/tokens && python3 examples/push.py
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

BASE, TOKEN = os.environ["BASE"], os.environ["APP"]


def call(method, path, body=None, **headers):
    """Calls the service as the application, and returns the answer.

    Headers are written with underscores, so `As_User="jane"` acts for jane.
    """
    request = urllib.request.Request(BASE + path, method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def attempt(method, path, body=None, **headers):
    """Calls until there is an answer, and returns it: None if the call was refused.

    A refusal is printed. Ending with it would not help: the same entry would come again at the next start.
    """
    while True:
        try:
            return call(method, path, body, **headers)
        except urllib.error.HTTPError as error:
            detail = error.read().decode()
            if error.code == 401:
                raise SystemExit(detail) from None
            if error.code < 500 and error.code != 429:
                print(f"refused: {method} {path}: {detail}", flush=True)
                return None
            time.sleep(int(error.headers["Retry-After"] or 1))
        except (OSError, http.client.HTTPException):
            time.sleep(1)


def follow(name, **query):
    """Yields each entry of the feed from the first start on.

    The cursor is kept in the file NAME.cursor. An entry counts as done when the next one is asked for, so
    after a crash the last one comes again: what is done with it must be safe to repeat.
    """
    cursor = read(name)
    while True:
        # At the first start, the cursor is where the feed ends.
        query.update(after=cursor or "latest", wait=50 if cursor else 0, limit=100)
        try:
            page = call("GET", "/feed?" + urllib.parse.urlencode(query, safe=","))
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{name}: {error.read().decode()}") from None
            time.sleep(1)
        except (OSError, http.client.HTTPException):
            time.sleep(1)
        else:
            for entry in page["entries"]:
                yield entry
                write(name, str(entry["timestamp"]))
            cursor = str(page["next"])
            write(name, cursor)


def read(name):
    """The cursor; None at the first start."""
    try:
        with open(f"{name}.cursor", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(name, cursor):
    """Replaces the file as a whole, so that no crash leaves half a number."""
    with open(f"{name}.cursor.new", "w", encoding="ascii") as file:
        file.write(cursor)
    os.replace(f"{name}.cursor.new", f"{name}.cursor")
