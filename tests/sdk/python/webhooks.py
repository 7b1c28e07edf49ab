"""Webhooks as Box sends them, signed by an official SDK, at the broker's check."""

import base64
from datetime import datetime, timedelta, timezone

from stage import STAGE, be, call

PRIMARY, SECONDARY = STAGE["webhook_keys"]
BODY = (
    '{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED",'
    '"source":{"id":"1234567890","type":"file","name":"Prüfung.txt"}}'
).encode()


def signed(sign, age=timedelta(0), **other):
    """A body and its headers; `sign(body, headers, key)` is the SDK's."""
    now = datetime.now(timezone.utc) - age
    headers = {
        "box-delivery-timestamp": now.isoformat(timespec="seconds"), "box-signature-version": "1",
        "box-signature-algorithm": "HmacSHA256",
    }
    headers["box-signature-primary"] = sign(BODY, headers, PRIMARY)
    headers["box-signature-secondary"] = sign(BODY, headers, SECONDARY)
    return BODY, {**headers, **other}


def verdict(body, headers):
    url = f"{STAGE['broker']}/v1/tenants/hooks/webhooks/verify"
    asked = {"headers": headers, "body": base64.b64encode(body).decode()}
    return call("POST", url, asked, STAGE["webhook_key"])


def check(sign):
    body, headers = signed(sign)
    be(verdict(body, headers), {"valid": True, "key": "primary"})
    rotated = {**headers, "box-signature-primary": headers["box-signature-secondary"]}
    be(verdict(body, {**headers, "box-signature-primary": "AAAA"}), {"valid": True, "key": "secondary"})
    be(verdict(body, rotated)["key"], "secondary")
    for place in range(len(body)):
        altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1:]
        be(verdict(altered, headers)["valid"], False)
    be(verdict(body + b" ", headers)["valid"], False)
    be(verdict(*signed(sign, age=timedelta(minutes=11)))["valid"], False)
    be(verdict(*signed(sign, **{"box-signature-algorithm": "HmacSHA1"}))["valid"], False)
    be(verdict(*signed(sign, **{"box-signature-version": "2"}))["valid"], False)
    for name in ("box-delivery-timestamp", "box-signature-version", "box-signature-algorithm"):
        be(verdict(body, {other: headers[other] for other in headers if other != name})["valid"], False)
