"""What a driver needs to look at Box's side and at the broker, and how it tells what it found."""

import hashlib
import json
import os
import sys
import time
import traceback
import urllib.request

with open(os.environ["BTB_SDK_STAGE"], encoding="utf-8") as file:
    STAGE = json.load(file)

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method, url, body=None, key=None):
    """An HTTP request; the JSON of the answer, or nothing where it has none."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    with _opener.open(urllib.request.Request(url, data, headers, method=method), timeout=30) as response:
        text = response.read()
    return json.loads(text) if text else None


def at_box(method, path, body=None):
    return call(method, STAGE["sandbox"] + path, body)


def kill(subject):
    """Box ends all tokens of a subject."""
    return at_box("DELETE", f"/sandbox/tokens?subject={subject}")["count"]


def lives(token):
    return at_box("GET", f"/sandbox/tokens/{hashlib.sha256(token.encode()).hexdigest()}")["live"]


def journal(**filters):
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return at_box("GET", f"/sandbox/journal?{query}")["items"]


def last_entry():
    return max((entry["n"] for entry in journal()), default=0)


def grow_older():
    """The broker does not doubt a token that is younger than five seconds."""
    time.sleep(6)


def be(got, wanted):
    assert got == wanted, f"{got!r} and not {wanted!r}"


def refused(action, kind, *statuses):
    """The error with which the SDK tells that Box, or the broker, refused."""
    try:
        action()
    except kind as error:
        response = getattr(error, "response_info", None)
        be((getattr(error, "status", None) or response.status_code) in statuses, True)
        return error
    raise AssertionError("it was not refused")


def run(checks):
    """Runs each check, in its order, whatever becomes of the others."""
    print(f"checks: {len(checks)}", flush=True)
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check()
        except BaseException as error:  # Whatever it is, the next check goes on.
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(str(error).split())[:400]
            print(f"FAILED: {name}: {type(error).__name__}: {text} ({where.name}, line {where.lineno})", flush=True)
        else:
            print(f"ok: {name}", flush=True)
    sys.exit(0)
