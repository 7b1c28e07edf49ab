"""Box's side and a broker for the suite `sdk`: the program's own `demo`, on free ports."""

import json
import os
import queue
import re
import subprocess
import threading
import urllib.error
import urllib.request

import tls

# Seconds that `demo` may take to come up, to answer, and to end.
PATIENCE = 60
# Keys with which webhooks are signed.
WEBHOOK_KEYS = ["Fd28OJrZ8oNxkgmS7TbjXNgrG8v", "KWkROAOiof4zhYUHbAmiVn63cMj"]

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stage:
    """A running `demo` in a folder of its own; `write` says where everything is."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.fronts = []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BTB_")}
        self.process = subprocess.Popen(
            [binary, "demo", "--data", folder, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        try:
            guide = self._guide()
            at = re.search(r"The broker is up at (\S+?), and a stand-in for Box at (\S+?)\.\n", guide)
            self.broker, self.sandbox = at[1], at[2]
            self.admin = re.search(r"export ADMIN=(\S+)", guide)[1]
            self.key = re.search(r"export BTB_KEY=(\S+)", guide)[1]
        except BaseException:
            self.stop()
            raise

    def _guide(self):
        """What `demo` prints, to its last line; it is read on, so that `demo` never waits for a reader."""
        lines = queue.Queue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        text = ""
        while "Ctrl-C ends the demo" not in text:
            line = lines.get(timeout=PATIENCE)
            if not line:
                raise RuntimeError(f"demo ended:\n{text}")
            text += line
        return text

    def _read(self, lines):
        for line in self.process.stdout:
            lines.put(line)
        lines.put("")

    def admin_call(self, method, path, body=None):
        return self.call(method, self.broker + path, body, self.admin)

    def call(self, method, url, body=None, key=None):
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with _opener.open(urllib.request.Request(url, data, headers, method=method), timeout=PATIENCE) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {url}: {error.code}: {error.read().decode()}") from None
        return json.loads(text) if text else None

    def register_webhooks(self):
        """A second tenant whose app has webhook keys, and a service that may have webhooks checked."""
        with open(os.path.join(self.folder, "globex_config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["webhooks"] = {"primaryKey": WEBHOOK_KEYS[0], "secondaryKey": WEBHOOK_KEYS[1]}
        self.admin_call("POST", "/v1/tenants", {"tenant": "hooks", "config": config})
        grants = [{"tenant": "hooks", "permissions": ["webhooks:verify"]}]
        self.admin_call("POST", "/v1/callers", {"name": "hooks", "kind": "service", "grants": grants})
        return self.admin_call("POST", "/v1/callers/hooks/keys", {})["key"]

    def behind_tls(self):
        """The same two servers for those who speak TLS alone."""
        own, key = tls.certificate(self.folder)
        self.fronts = [tls.Front(url, own, key) for url in (self.broker, self.sandbox)]
        broker, sandbox = (front.url for front in self.fronts)
        return {"tls_broker": broker, "tls_sandbox": sandbox, "certificate": own}

    def write(self, path):
        """What the drivers have to know, as JSON."""
        config = os.path.join(self.folder, "acme_config.json")
        with open(config, encoding="utf-8") as file:
            enterprise = str(json.load(file)["enterpriseID"])
        facts = {
            "broker": self.broker, "sandbox": self.sandbox, "key": self.key,
            # With which a client of Box's own token endpoint comes: the key's beginning.
            "client_id": self.key.rsplit("_", 1)[0],
            "config": config, "enterprise": enterprise,
            "user": "10000001001", "other_user": "10000001002",
            "folder": "20000001001", "foreign_folder": "20000001004",
            "webhook_key": self.register_webhooks(), "webhook_keys": WEBHOOK_KEYS,
            **self.behind_tls(),
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(facts, file)

    def begin_anew(self, life=3600):
        """Every next request for a token mints, and what Box gives lives for so many seconds."""
        self.call("DELETE", f"{self.sandbox}/sandbox/faults")
        self.call("PUT", f"{self.sandbox}/sandbox/token-life", {"seconds": life})
        self.admin_call("POST", "/v1/tenants/acme/flush")

    def stop(self):
        for front in self.fronts:
            front.stop()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
