"""Tokens of a Box Token Broker for Box's Python SDK: `boxsdk` from 10 on, and `box-sdk-gen`.

    client = BoxClient(auth=BrokerAuth("https://broker.example.com", "acme", os.environ["BTB_KEY"]))

The SDK asks for its authorization header before every request, so it always sends a token that the
broker would give out at that moment, and a job of any length goes on without a 401.
"""

from __future__ import annotations

import json
import math
import random
import re
import ssl
import threading
import time
from concurrent.futures import Future
from datetime import datetime
from http.client import HTTPException, HTTPMessage, IncompleteRead
from typing import Any, Callable, Dict, List, Optional, Union
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from box_sdk_gen.box.errors import BoxSDKError
from box_sdk_gen.networking.auth import Authentication
from box_sdk_gen.networking.network import NetworkSession
from box_sdk_gen.schemas.access_token import AccessToken
from box_sdk_gen.serialization.json import deserialize

__all__ = ["BrokerAuth", "BrokerError"]

# Seconds that each step of a request to the broker may take (to connect, to get the head of the
# answer), and all of its body; the broker itself gives up after 5.
_TIMEOUT = 10.0
# The same for a renewal, while the token that is held lives.
_SHORT_TIMEOUT = 2.0
# Seconds for which a renewal that failed is not tried again, while the token that is held lives.
_PAUSE = 5.0
# How often one call asks the broker at most.
_TRIES = 6
# Bytes of an answer that are read.
_LONGEST = 1 << 20
# Fields of the broker's answers that Box's own answers have too.
_BOX_FIELDS = ("access_token", "expires_in", "token_type", "restricted_to", "issued_token_type")


class BrokerError(BoxSDKError):
    """The broker gave no token. It holds no credential and no token.

    `code` names the reason for programs (`forbidden`, `app_not_authorized`, …; `unreachable` and
    `no_broker` where nothing or something else answered), `detail` tells it to people, `fix` says
    what an admin should do, where there is something. `status` is the HTTP status, 0 without an
    answer; `request_id` finds the request in the broker's log; `retry_after` is in seconds.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 0,
        request_id: Optional[str] = None,
        fix: Optional[str] = None,
        retry_after: Optional[float] = None,
        temporary: bool = False,
        error: Optional[Exception] = None,
    ):
        text = f"{code}: {detail}"
        text += f" {fix}" if fix else ""
        text += f" (request {request_id})" if request_id else ""
        super().__init__(message=text, error=error)
        self.name = "BrokerError"
        self.code = code
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.fix = fix
        self.retry_after = retry_after
        self.temporary = temporary

    def __str__(self) -> str:
        return self.message


class _Held:
    """A token that was received, and until when it is used, by the monotonic clock."""

    __slots__ = ("text", "refresh_at", "expires_at")

    def __init__(self, text: str, refresh_at: float, expires_at: float):
        self.text = text
        self.refresh_at = refresh_at
        self.expires_at = expires_at


class _Flight:
    """One request for a token: which one is being reported, if one is; whether it is a renewal, which
    is not tried again; and the answer to come."""

    __slots__ = ("reported", "renewal", "answer")

    def __init__(self, reported: Optional[str], renewal: bool):
        self.reported = reported
        self.renewal = renewal
        self.answer: Future[_Held] = Future()


class BrokerAuth(Authentication):
    """Authenticates Box's SDK with the tokens of one tenant of a broker; may be shared by threads.

    :param broker_url: where the broker is, such as `https://broker.example.com`
    :param tenant: name or id of the tenant
    :param credential: an API key, or a function that returns an API key or an OIDC token of now; it
        is called for every request to the broker
    :param user_id: the Box user for whom tokens are; the tenant's service account, where left out
    :param min_ttl: how many seconds every token must live at least when it is received
    :param on_behalf_of: for whom the caller works; the broker writes it down
    :param max_wait: seconds that one call may spend in waiting for a broker that says to come later
    :param ssl_context: how the broker's certificate is checked; the system's way, where left out
    """

    def __init__(
        self,
        broker_url: str,
        tenant: str,
        credential: Union[str, Callable[[], str]],
        *,
        user_id: Optional[str] = None,
        min_ttl: Optional[int] = None,
        on_behalf_of: Optional[str] = None,
        max_wait: float = 30.0,
        ssl_context: Optional[ssl.SSLContext] = None,
    ):
        super().__init__()
        parts = urlsplit(broker_url)
        plain = not re.search("[?#]", broker_url) and "@" not in parts.netloc
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("broker_url must be a URL such as https://broker.example.com")
        if not tenant:
            raise ValueError("tenant must be the name or the id of a tenant")
        self._settings: Dict[str, Any] = {
            "broker_url": broker_url, "tenant": tenant, "credential": credential, "min_ttl": min_ttl,
            "on_behalf_of": on_behalf_of, "max_wait": max_wait, "ssl_context": ssl_context,
        }
        self._url = f"{broker_url.rstrip('/')}/v1/tenants/{quote(tenant, safe='')}/token"
        self._credential = credential
        self._max_wait = max_wait
        asked = {
            "subject": {"type": "user", "id": user_id} if user_id else None,
            "min_ttl": min_ttl,
            "on_behalf_of": on_behalf_of,
        }
        self._asked = {name: value for name, value in asked.items() if value is not None}
        # No proxy of the environment, and no redirect: the credential goes to the broker alone.
        self._opener = build_opener(ProxyHandler({}), _NoRedirect(), HTTPSHandler(context=ssl_context))
        self._lock = threading.Lock()
        self._held: Optional[_Held] = None
        self._flight: Optional[_Flight] = None
        # The token that each thread was given last: the one that it saw a 401 to.
        self._given = threading.local()

    def with_user_subject(self, user_id: str) -> BrokerAuth:
        """The same for a user of the tenant's enterprise."""
        return BrokerAuth(user_id=user_id, **self._settings)

    def with_enterprise_subject(self) -> BrokerAuth:
        """The same for the tenant's service account."""
        return BrokerAuth(**self._settings)

    def retrieve_token(self, *, network_session: Optional[NetworkSession] = None) -> AccessToken:
        """The token of now: the one that is held until it is to be renewed, then another."""
        return self._hand_out(self._current())

    def retrieve_authorization_header(self, *, network_session: Optional[NetworkSession] = None) -> str:
        """The header for one request to Box."""
        return f"Bearer {self.retrieve_token().access_token}"

    def refresh_token(self, *, network_session: Optional[NetworkSession] = None) -> AccessToken:
        """Tells the broker that Box answered 401 to the token; the SDK calls it then. The broker
        looks whether that is so, and answers with another token or with the same."""
        held = self._held
        rejected = getattr(self._given, "text", None) or (held and held.text)
        if held and held.text != rejected:
            return self._hand_out(held)  # Another thread has replaced it.
        return self._hand_out(self._ask(rejected))

    def downscope_token(
        self,
        scopes: List[str],
        *,
        resource: Optional[str] = None,
        shared_link: Optional[str] = None,
        network_session: Optional[NetworkSession] = None,
        rejected: Optional[str] = None,
    ) -> AccessToken:
        """A token that may do no more than `scopes`, on one file or folder where `resource` is its
        URL (`https://api.box.com/2.0/files/123`). It is not kept. `rejected` is such a token of
        before, to which Box answered 401: the broker looks whether that is so."""
        body: Dict[str, Any] = {**self._asked, "scopes": list(scopes)}
        if resource is not None:
            body["resource"] = _resource(resource)
        if shared_link is not None:
            body["shared_link"] = shared_link
        if rejected is not None:
            body["rejected"] = rejected
        answer = self._call("/downscoped", body)
        try:
            _credible(answer["access_token"])
            return deserialize({name: answer[name] for name in _BOX_FIELDS if name in answer}, AccessToken)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _no_broker() from None

    def revoke_token(self, *, network_session: Optional[NetworkSession] = None) -> None:
        """Forgets the token that is held. It is not revoked at Box: others use the same one. To end
        it for everybody there is `POST /v1/tenants/{tenant}/token/revoke`."""
        with self._lock:
            self._held = None
        self._given.text = None

    def _hand_out(self, held: _Held) -> AccessToken:
        self._given.text = held.text
        left = max(0, int(held.expires_at - time.monotonic()))
        return AccessToken(access_token=held.text, expires_in=left, token_type="bearer")

    def _current(self) -> _Held:
        held = self._held
        now = time.monotonic()
        if held and now < held.refresh_at:
            return held
        if not held or now >= held.expires_at:
            return self._ask(None)
        try:
            return self._ask(None, renewal=True)
        except BrokerError as error:
            if not error.temporary:
                raise
            now = time.monotonic()
            if now < held.expires_at:
                held.refresh_at = min(now + max(_PAUSE, error.retry_after or 0.0), held.expires_at)
                return held  # What is still alive is worth more than an error.
        return self._ask(None)

    def _ask(self, rejected: Optional[str], renewal: bool = False) -> _Held:
        """Asks the broker, or waits for the answer to whoever is asking already. An answer to one
        who did not report `rejected` and was given it all the same does not count, and neither does
        a passing failure of a renewal for one who has no token to go on with."""
        while True:
            with self._lock:
                flight = self._flight
                if flight is None:
                    if self._held and not rejected and time.monotonic() < self._held.refresh_at:
                        return self._held
                    mine = self._flight = _Flight(rejected, renewal)
                    break
            try:
                held = flight.answer.result()
                if flight.reported == rejected or held.text != rejected:
                    return held
            except BrokerError as error:
                too_soon = flight.renewal and not renewal and error.temporary
                if flight.reported == rejected and not too_soon:
                    raise
        try:
            held = self._fetch(mine)
        except BaseException as error:
            with self._lock:
                self._flight = None
            interrupted = BrokerError("interrupted", "Asking for the token was broken off.", temporary=True)
            mine.answer.set_exception(error if isinstance(error, Exception) else interrupted)
            raise
        with self._lock:
            self._held, self._flight = held, None
        mine.answer.set_result(held)
        return held

    def _fetch(self, flight: _Flight) -> _Held:
        body = {**self._asked, "rejected": flight.reported} if flight.reported else self._asked
        answer = self._send("", body, _SHORT_TIMEOUT) if flight.renewal else self._call("", body)
        now = time.monotonic()
        try:
            left = float(answer["expires_in"])
            margin = (_time(answer["expires_at"]) - _time(answer["refresh_at"])).total_seconds()
            if math.isfinite(left):
                return _Held(_credible(answer["access_token"]), now + left - margin, now + left)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            pass  # Said below.
        raise _no_broker()

    def _call(self, path: str, body: Dict[str, Any]) -> Dict[str, Any]:
        """Asks, and asks again where the broker says to come later, for `max_wait` seconds in all."""
        waited = 0.0
        for attempt in range(_TRIES):
            try:
                return self._send(path, body, _TIMEOUT)
            except BrokerError as error:
                pause = error.retry_after
                if pause is None:
                    pause = random.uniform(0.5, 1.0) * 0.25 * 2**attempt
                waited += pause
                if not error.temporary or waited > self._max_wait or attempt == _TRIES - 1:
                    raise
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _send(self, path: str, body: Dict[str, Any], timeout: float) -> Dict[str, Any]:
        credential = self._credential() if callable(self._credential) else self._credential
        try:
            authorization = f"Bearer {_credible(credential.strip())}"
        except (AttributeError, ValueError):
            raise BrokerError("no_credential", "The credential is no API key and no OIDC token.") from None
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        request = Request(self._url + path, json.dumps(body).encode(), headers, method="POST")
        try:
            with self._open(request, timeout) as response:
                status, headers, text = response.code, response.headers, _body(response, timeout)
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        if status != 200:
            raise _refused(status, headers, text)
        answer = _object(text)
        if answer is None:
            raise _no_broker()
        return answer

    def _open(self, request: Request, timeout: float) -> Any:
        try:
            return self._opener.open(request, timeout=timeout)
        except HTTPError as refusal:
            return refusal  # It is an answer too.

    def _unreachable(self, error: Exception) -> BrokerError:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self._url))
        return BrokerError("unreachable", f"No answer from {origin}: {reason}.", temporary=True)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _body(response: Any, timeout: float) -> bytes:
    """The beginning of a body, which may take `timeout` seconds from its head on."""
    deadline = time.monotonic() + timeout
    length = _LONGEST if response.length is None else min(response.length, _LONGEST)
    text = b""
    while len(text) < length:
        part = response.read1(length - len(text))
        if not part:
            if response.length is not None:
                raise IncompleteRead(text)
            break
        text += part
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return text


def _refused(status: int, headers: HTTPMessage, text: bytes) -> BrokerError:
    """The problem document (RFC 9457) of a refusal, or what little is known without one."""
    after = headers.get("Retry-After") or ""
    retry_after = float(after) if re.fullmatch(r"[0-9]{1,9}", after) else None
    problem = _object(text) or {}
    told = {name: value for name, value in problem.items() if isinstance(value, str)}
    if "code" not in told:
        return _no_broker(status, retry_after)
    errors = problem.get("errors")
    fields = [
        f"{field.get('pointer')}: {field.get('detail')}"
        for field in (errors if isinstance(errors, list) else []) if isinstance(field, dict)
    ]
    return BrokerError(
        told["code"],
        " ".join([told.get("detail") or told.get("title") or "", *fields]),
        status=status,
        request_id=told.get("request_id"),
        fix=told.get("fix"),
        retry_after=retry_after,
        temporary=told.get("retry") == "after",
    )


def _no_broker(status: int = 200, retry_after: Optional[float] = None) -> BrokerError:
    detail = f"Something that is not a broker answered {status}."
    later = status in (429, 502, 503, 504)
    return BrokerError("no_broker", detail, status=status, retry_after=retry_after, temporary=later)


def _object(text: bytes) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _resource(url: str) -> Dict[str, str]:
    found = re.search(r"/(file|folder)s/([0-9]+)/?$", urlsplit(url).path)
    if not found:
        raise ValueError("resource must be a URL such as https://api.box.com/2.0/files/123")
    return {"type": found[1], "id": found[2]}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _credible(text: str) -> str:
    """Refuses what cannot stand in a header, before a header's error could show it."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("not a token")
    return text
