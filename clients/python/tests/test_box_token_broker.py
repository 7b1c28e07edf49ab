"""The adapter against a small HTTP server that stands for the broker, with a clock of its own.

Run with `python -m unittest discover tests` in this folder's parent, where the SDK is installed.
"""

import json
import os
import threading
import unittest
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import box_token_broker
from box_sdk_gen import BoxSDKError
from box_token_broker import BrokerAuth, BrokerError

KEY = "btb_test_4mWg9cKexample"


class Broker(ThreadingHTTPServer):
    """Answers each request with what `script` holds next, or with a token of its own number."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = []
        self.seen = []
        self.tokens = 0
        self.gate = None
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def token(self, text=None, expires_in=3600, margin=600, **more):
        if text is None:
            self.tokens += 1
            text = f"token-{self.tokens}"
        # This broker's clock is far from the client's: only differences may count.
        end = datetime(2001, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=expires_in)
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        return 200, {}, {
            "access_token": text, "token_type": "bearer", "expires_in": expires_in,
            "expires_at": end.strftime(stamp),
            "refresh_at": (end - timedelta(seconds=margin)).strftime(stamp),
            "subject": {"type": "enterprise"}, **more,
        }


class Handler(BaseHTTPRequestHandler):
    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # The client has given up.

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        if self.server.gate:
            self.server.gate.wait(10)
        status, headers, answer = self.server.script.pop(0) if self.server.script else self.server.token()
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Awaited(Future):
    """A future that counts who waits for it."""

    waiting = 0

    def result(self, timeout=None):
        Awaited.waiting += 1
        return super().result(timeout)


class Clock:
    """Time that passes where somebody sleeps or a test says so."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self.hurry = 0.0

    def monotonic(self):
        self.now += self.hurry
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def problem(status, code, retry="never", after=None, **more):
    headers = {"Content-Type": "application/problem+json"}
    if after is not None:
        headers["Retry-After"] = str(after)
    return status, headers, {
        "type": f"urn:box-token-broker:problem:{code}", "title": "A title", "status": status, "code": code,
        "detail": "What is wrong.", "request_id": "req_1", "retry": retry, "scope": "request", **more,
    }


class Adapter(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.server_close)
        self.addCleanup(self.broker.shutdown)
        self.clock = Clock()
        patch = mock.patch.object(box_token_broker, "time", self.clock)
        patch.start()
        self.addCleanup(patch.stop)
        self.auth = BrokerAuth(self.broker.url, "acme", KEY)
        Awaited.waiting = 0
        patch = mock.patch.object(box_token_broker, "Future", Awaited)
        patch.start()
        self.addCleanup(patch.stop)

    def bodies(self):
        return [body for _, _, body in self.broker.seen]

    def wait_until(self, true):
        for _ in range(10_000):
            if true():
                return
            threading.Event().wait(0.001)
        self.fail("it never came to that")

    def test_a_token_is_asked_for_once_and_kept_until_it_is_to_be_renewed(self):
        for _ in range(3):
            self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-1")
        path, headers, body = self.broker.seen[0]
        self.assertEqual((path, body), ("/v1/tenants/acme/token", {}))
        self.assertEqual(headers["Authorization"], f"Bearer {KEY}")
        self.clock.now += 2999
        self.assertEqual(self.auth.retrieve_token().access_token, "token-1")
        self.assertEqual(self.auth.retrieve_token().expires_in, 601)
        self.clock.now += 2
        self.assertEqual(self.auth.retrieve_token().access_token, "token-2")
        self.assertEqual(len(self.broker.seen), 2)

    def test_a_user_a_least_life_and_a_beneficiary_are_asked_for(self):
        auth = BrokerAuth(self.broker.url + "/", "acme", KEY, user_id="123", min_ttl=900, on_behalf_of="ann")
        auth.retrieve_token()
        auth.with_user_subject("456").retrieve_token()
        auth.with_enterprise_subject().retrieve_token()
        more = {"min_ttl": 900, "on_behalf_of": "ann"}
        self.assertEqual(self.bodies(), [
            {"subject": {"type": "user", "id": "123"}, **more},
            {"subject": {"type": "user", "id": "456"}, **more},
            more,
        ])

    def test_many_threads_share_one_request(self):
        self.broker.gate = threading.Event()
        with ThreadPoolExecutor(20) as pool:
            tokens = [pool.submit(self.auth.retrieve_authorization_header) for _ in range(20)]
            self.broker.gate.set()
            self.assertEqual({token.result() for token in tokens}, {"Bearer token-1"})
        self.assertEqual(len(self.broker.seen), 1)

    def test_a_failing_request_is_shared_too(self):
        self.broker.gate = threading.Event()
        self.broker.script = [problem(403, "forbidden")]
        with ThreadPoolExecutor(6) as pool:
            callers = [pool.submit(self.auth.retrieve_token) for _ in range(6)]
            self.wait_until(lambda: Awaited.waiting == 5)
            self.broker.gate.set()
            self.assertEqual({caller.exception().code for caller in callers}, {"forbidden"})
        self.assertEqual(len(self.broker.seen), 1)

    def test_a_401_is_reported_and_the_answer_used(self):
        self.auth.retrieve_authorization_header()
        self.assertEqual(self.auth.refresh_token().access_token, "token-2")
        self.assertEqual(self.bodies()[1], {"rejected": "token-1"})
        self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-2")
        self.assertEqual(len(self.broker.seen), 2)

    def test_a_token_that_another_thread_replaced_is_not_reported(self):
        self.auth.retrieve_authorization_header()
        with ThreadPoolExecutor(1) as other:
            other.submit(self.auth.retrieve_authorization_header).result()
            other.submit(self.auth.refresh_token).result()
        self.assertEqual(self.auth.refresh_token().access_token, "token-2")
        self.assertEqual(len(self.broker.seen), 2)

    def test_a_401_is_reported_once_where_the_token_is_alive(self):
        self.auth.retrieve_authorization_header()
        self.broker.script = [self.broker.token("token-1")]
        self.assertEqual(self.auth.refresh_token().access_token, "token-1")
        self.assertEqual(len(self.broker.seen), 2)

    def test_revoking_forgets_the_own_token_and_ends_nobody_elses(self):
        self.auth.retrieve_token()
        self.auth.revoke_token()
        self.assertEqual(len(self.broker.seen), 1)
        self.assertEqual(self.auth.retrieve_token().access_token, "token-2")
        self.assertEqual(self.bodies(), [{}, {}])

    def test_downscoped_tokens_come_with_their_restrictions_and_are_not_kept(self):
        restricted = [{"scope": "item_preview", "object": {"type": "file", "id": "5"}}]
        self.broker.script = [self.broker.token("narrow", restricted_to=restricted)]
        auth = self.auth.with_user_subject("123")
        token = auth.downscope_token(["item_preview"], resource="https://api.box.com/2.0/files/5")
        self.assertEqual((token.access_token, token.expires_in), ("narrow", 3600))
        self.assertEqual(token.restricted_to[0].scope, "item_preview")
        self.assertEqual(token.restricted_to[0].object.id, "5")
        path, _, body = self.broker.seen[0]
        self.assertEqual(path, "/v1/tenants/acme/token/downscoped")
        self.assertEqual(body, {
            "subject": {"type": "user", "id": "123"}, "scopes": ["item_preview"],
            "resource": {"type": "file", "id": "5"},
        })
        auth.downscope_token(["base_preview"], shared_link="https://app.box.com/s/x", rejected="narrow")
        self.assertEqual(self.bodies()[1]["rejected"], "narrow")
        self.assertEqual(self.bodies()[1]["shared_link"], "https://app.box.com/s/x")
        self.assertEqual(auth.retrieve_token().access_token, "token-2")
        with self.assertRaisesRegex(ValueError, "2.0/files/123"):
            auth.downscope_token(["item_preview"], resource="https://api.box.com/2.0/users/5")

    def test_a_refusal_tells_what_is_wrong_and_what_to_do(self):
        self.broker.script = [problem(424, "app_not_authorized", "admin", fix="Authorize the app.")]
        with self.assertRaises(BoxSDKError) as caught:
            self.auth.retrieve_token()
        error = caught.exception
        self.assertEqual((error.code, error.status, error.request_id), ("app_not_authorized", 424, "req_1"))
        self.assertEqual(str(error), "app_not_authorized: What is wrong. Authorize the app. (request req_1)")
        self.assertEqual(len(self.broker.seen), 1)

    def test_fields_that_are_wrong_are_named(self):
        wrong = [{"pointer": "/subject/id", "detail": "A user's id is made of digits."}]
        self.broker.script = [problem(422, "invalid", errors=wrong)]
        with self.assertRaisesRegex(BrokerError, "/subject/id: A user's id"):
            self.auth.with_user_subject("x").retrieve_token()

    def test_retry_after_is_obeyed_within_the_bound(self):
        busy = problem(503, "upstream_unavailable", "after", 7)
        self.broker.script = [busy, busy]
        self.assertEqual(self.auth.retrieve_token().access_token, "token-1")
        self.assertEqual(self.clock.slept, [7, 7])
        self.auth.revoke_token()
        self.broker.script = [problem(429, "rate_limited", "after", 31)]
        with self.assertRaises(BrokerError) as caught:
            self.auth.retrieve_token()
        self.assertEqual((caught.exception.code, caught.exception.retry_after), ("rate_limited", 31))
        self.assertEqual(self.clock.slept, [7, 7])

    def test_a_failed_renewal_keeps_the_living_token(self):
        self.auth.retrieve_token()
        self.clock.now += 3001
        self.broker.script = [problem(503, "store_unavailable", "after", 20)]
        for _ in range(3):
            self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-1")
        self.assertEqual((len(self.broker.seen), self.clock.slept), (2, []))
        self.clock.now += 21
        self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-2")

    def test_a_renewal_that_breaks_off_keeps_the_living_token(self):
        self.auth.retrieve_token()
        self.clock.now += 3001
        self.broker.script = [(503, {"Transfer-Encoding": "chunked"}, "no number\r\n")]
        self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-1")
        self.auth.revoke_token()
        self.broker.script = [(200, {"Content-Length": "99"}, "{")] * 6
        with self.assertRaisesRegex(BrokerError, "unreachable"):
            self.auth.retrieve_token()

    def test_a_broker_that_hangs_does_not_hold_up_those_whose_token_lives(self):
        self.auth.retrieve_token()
        self.clock.now += 3001
        self.broker.gate = threading.Event()
        self.addCleanup(self.broker.gate.set)
        with ThreadPoolExecutor(1) as pool:
            try:
                header = pool.submit(self.auth.retrieve_authorization_header)
                self.assertEqual(header.result(6), "Bearer token-1")
                self.assertEqual(self.auth.retrieve_authorization_header(), "Bearer token-1")
                self.assertEqual(len(self.broker.seen), 2)
            finally:
                self.broker.gate.set()

    def test_whoever_holds_nothing_waits_longer_than_a_renewal(self):
        self.auth.retrieve_token()
        self.clock.now += 3001
        self.broker.gate = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            try:
                renewing = pool.submit(self.auth.retrieve_token)
                self.wait_until(lambda: len(self.broker.seen) == 2)
                self.auth.revoke_token()
                late = pool.submit(self.auth.retrieve_token)
                self.wait_until(lambda: Awaited.waiting == 1)
                self.clock.now += 600  # The token that was held is dead.
                self.broker.script = [problem(503, "store_unavailable", "after", 7)]
            finally:
                self.broker.gate.set()
            self.assertEqual({renewing.result().access_token, late.result().access_token}, {"token-2"})

    def test_an_answer_that_never_ends_is_given_up(self):
        self.clock.hurry = 11.0
        self.broker.script = [(200, {"Content-Length": "4"}, "{}  ")] * 6
        with self.assertRaisesRegex(BrokerError, "unreachable.*takes too long"):
            self.auth.retrieve_token()

    def test_a_renewal_that_is_refused_ends_the_use_of_the_token(self):
        self.auth.retrieve_token()
        self.clock.now += 3001
        self.broker.script = [problem(404, "not_found")]
        with self.assertRaisesRegex(BrokerError, "not_found"):
            self.auth.retrieve_authorization_header()

    def test_a_broker_that_is_away_is_tried_again_and_named(self):
        self.broker.shutdown()
        self.broker.server_close()
        with self.assertRaises(BrokerError) as caught:
            self.auth.retrieve_token()
        self.assertEqual(caught.exception.code, "unreachable")
        self.assertIn(self.broker.url, str(caught.exception))
        self.assertEqual(len(self.clock.slept), 5)

    def test_something_that_is_no_broker_is_called_so(self):
        page = "<html>token-secret</html>"
        answers = [
            (404, {}, page), (200, {}, page), (200, {}, {"access_token": "a b", "expires_in": 1}),
            (200, {}, "[" * 100_000), (400, {}, "[" * 100_000),
            (200, {}, {**self.broker.token()[2], "expires_in": float("inf")}),
        ]
        for answer in answers:
            self.broker.script = [answer]
            with self.assertRaises(BrokerError) as caught:
                self.auth.retrieve_token()
            self.assertEqual(caught.exception.code, "no_broker")
            self.assertNotIn("secret", str(caught.exception))

    def test_an_odd_refusal_is_a_brokers_error_all_the_same(self):
        for odd in [{"errors": {"a": 1}}, {"errors": [None]}, {"detail": {}, "fix": 5, "request_id": []}]:
            self.broker.script = [(422, {}, {"code": "invalid", **odd})]
            with self.assertRaises(BrokerError) as caught:
                self.auth.retrieve_token()
            self.assertEqual((caught.exception.code, caught.exception.fix), ("invalid", None))
        for odd in [{"access_token": 5}, {"access_token": "a b"}, {}]:
            self.broker.script = [(200, {}, odd)]
            with self.assertRaisesRegex(BrokerError, "no_broker"):
                self.auth.downscope_token(["item_preview"])

    def test_a_redirect_is_not_followed(self):
        other = Broker()
        self.addCleanup(other.server_close)
        self.addCleanup(other.shutdown)
        self.broker.script = [(status, {"Location": other.url}, "") for status in (302, 307, 308)]
        for _ in range(3):
            with self.assertRaisesRegex(BrokerError, "30[278]"):
                self.auth.retrieve_token()
        self.assertEqual(other.seen, [])

    def test_a_proxy_of_the_environment_is_not_used(self):
        with mock.patch.dict(os.environ, {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}):
            auth = BrokerAuth(self.broker.url, "acme", KEY)
            self.assertEqual(auth.retrieve_token().access_token, "token-1")

    def test_a_credential_may_come_from_a_function_each_time(self):
        credentials = iter(["first.jwt.x\n", "second.jwt.x"])
        auth = BrokerAuth(self.broker.url, "acme", lambda: next(credentials))
        auth.retrieve_token()
        auth.refresh_token()
        sent = [headers["Authorization"] for _, headers, _ in self.broker.seen]
        self.assertEqual(sent, ["Bearer first.jwt.x", "Bearer second.jwt.x"])

    def test_a_credential_that_cannot_be_one_is_not_shown(self):
        for bad in ["secret\r\nHost: x", "secret ü", "", None]:
            with self.assertRaises(BrokerError) as caught:
                BrokerAuth(self.broker.url, "acme", bad).retrieve_token()
            self.assertEqual(caught.exception.code, "no_credential")
            self.assertNotIn("secret", str(caught.exception))
        self.assertEqual(self.broker.seen, [])

    def test_an_address_that_cannot_be_one_is_refused_at_once(self):
        wrong = ["broker.example.com", "ftp://broker", "https://user:pass@broker", "https://:pass@broker"]
        for url in [*wrong, "https://broker/#x", "https://broker#", "https://broker?x=1", "https://broker/?"]:
            with self.assertRaisesRegex(ValueError, "https://broker.example.com"):
                BrokerAuth(url, "acme", KEY)
        with self.assertRaisesRegex(ValueError, "tenant"):
            BrokerAuth(self.broker.url, "", KEY)

    def test_a_tenant_stays_within_its_part_of_the_path(self):
        BrokerAuth(self.broker.url, "../acme?x", KEY).retrieve_token()
        self.assertEqual(self.broker.seen[0][0], "/v1/tenants/..%2Facme%3Fx/token")

    def test_neither_token_nor_key_shows(self):
        self.auth.retrieve_token()
        for text in (repr(self.auth), repr(self.auth._held), str(self.auth)):
            self.assertNotIn("token-1", text)
            self.assertNotIn(KEY, text)


if __name__ == "__main__":
    unittest.main()
