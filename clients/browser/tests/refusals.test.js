/** What happens where the broker refuses, does not answer, or the session ends. */

import assert from "node:assert/strict";
import { inspect } from "node:util";
import test from "node:test";

import { Scene, SESSION, deferred, problem, quiet, rejection } from "./broker.js";

const expired = () => problem(401, "session_expired");
const unknown = () => problem(401, "unauthenticated");

test("an outage is tried again with growing pauses, then told as one", async () => {
    const scene = new Scene();
    scene.script = Array.from({ length: 5 }, () => () => Promise.reject(new TypeError("no network")));
    const error = await rejection(scene.provider()("folder_1"));
    assert.deepEqual([error.name, error.code], ["TokenError", "outage"]);
    assert.deepEqual(scene.pauses, [500, 1000, 2000, 4000]);
    assert.equal(scene.requests.length, 5);
});

test("what passes by itself is not told at all", async () => {
    for (const response of [problem(503, "overloaded"), problem(429, "rate_limited"), problem(502, "upstream_protocol")]) {
        const scene = new Scene();
        scene.script.push(response);
        assert.equal((await scene.provider()("folder_1")).read, "read-folder_1-2");
    }
});

test("a pause that the broker asks for is kept, and a long one is not waited for", async () => {
    const scene = new Scene();
    scene.script.push(problem(503, "overloaded", { "Retry-After": "3" }));
    await scene.provider()("folder_1");
    assert.deepEqual(scene.pauses, [3500]);

    scene.script.push(problem(503, "store_unavailable", { "Retry-After": "120" }));
    const error = await rejection(scene.provider()("file_2"));
    assert.deepEqual(
        [error.code, error.problem, error.status, error.retryAfter, error.requestId],
        ["outage", "store_unavailable", 503, 120, "req_1"],
    );
    scene.pass(119);
    assert.equal(await rejection(scene.provider()("file_3")), error);
    assert.equal(scene.requests.length, 3);
    scene.pass(2);
    await scene.provider()("file_3");
});

test("after an outage nobody asks for a moment, and then somebody does", async () => {
    const scene = new Scene();
    scene.script = Array.from({ length: 5 }, () => problem(503, "overloaded"));
    const token = scene.provider();
    await rejection(token("folder_1"));
    await rejection(token("folder_2"));
    assert.equal(scene.requests.length, 5);
    scene.pass(6);
    await token("folder_1");
    assert.equal(scene.requests.length, 6);
});

test("a cancelled session and a foreign origin are told as what they are, and not tried again", async () => {
    for (const [status, code] of [[401, "session_cancelled"], [403, "origin_not_allowed"]]) {
        const scene = new Scene();
        scene.script.push(problem(status, code));
        let asked = 0;
        const onSessionExpired = async () => `btbs_${(asked += 1)}`;
        const error = await rejection(scene.provider({ onSessionExpired })("folder_1"));
        assert.deepEqual([error.code, error.status, error.requestId], [code, status, "req_1"]);
        assert.equal(scene.requests.length, 1);
        assert.equal(asked, 0);
    }
});

test("with the session what it gave is forgotten, and a cancelled one is never asked again", async () => {
    const scene = new Scene();
    const token = scene.provider();
    await token("folder_1");
    scene.script.push(problem(401, "session_cancelled"));
    assert.equal((await rejection(token("file_2"))).code, "session_cancelled");
    scene.pass(86_400);
    assert.equal((await rejection(token("folder_1"))).code, "session_cancelled");
    assert.equal((await rejection(scene.provider()("file_3"))).code, "session_cancelled");
    assert.equal(scene.requests.length, 2);
    await scene.provider({ session: "btbs_new" })("folder_1");
});

test("a session that the broker does not know any more is renewed as one that expired", async () => {
    const scene = new Scene();
    let asked = 0;
    const token = scene.provider({ onSessionExpired: async () => `btbs_${(asked += 1)}` });
    await token("folder_1");
    scene.script.push(unknown());
    assert.equal((await token("file_2")).read, "read-file_2-3");
    assert.deepEqual(scene.requests.map(({ session }) => session), [SESSION, SESSION, "btbs_1"]);
    assert.equal((await token("folder_1")).read, "read-folder_1-4");
    assert.equal(asked, 1);
    // The new one is unknown too: not without end.
    scene.script.push(unknown(), unknown());
    assert.equal((await rejection(token("file_3"))).code, "unauthenticated");
    assert.equal(asked, 2);
});

test("a session that the broker does not know any more ends where there is no new one", async () => {
    for (const onSessionExpired of [undefined, async () => null]) {
        const scene = new Scene();
        const token = scene.provider({ onSessionExpired });
        scene.script.push(unknown());
        assert.equal((await rejection(token("folder_1"))).code, "unauthenticated");
        scene.pass(86_400);
        assert.equal((await rejection(token("folder_2"))).code, "unauthenticated");
        assert.equal(scene.requests.length, 1);
    }
});

test("what one request did wrong costs no token that is known", async () => {
    for (const [status, code, kept] of [
        [400, "malformed", true],
        [422, "invalid", true],
        [413, "too_large", true],
        [403, "forbidden", false],
        [403, "tenant_suspended", false],
        [403, "origin_not_allowed", false],
        [401, "session_cancelled", false],
        [401, "session_expired", false],
        [401, "unauthenticated", false],
    ]) {
        const scene = new Scene();
        const token = scene.provider();
        await token("folder_1");
        scene.script.push(problem(status, code));
        assert.equal((await rejection(token("file_2"))).code, code);
        const [{ value, reason }] = await Promise.allSettled([token("folder_1")]);
        assert.equal(value?.read ?? reason.code, kept ? "read-folder_1-1" : code);
    }
});

test("a session that expires is renewed once for all providers and ids, and nobody hears of it", async () => {
    const scene = new Scene();
    const renewal = deferred();
    let asked = 0;
    const onSessionExpired = () => {
        asked += 1;
        return renewal.promise;
    };
    const providers = [scene.provider({ onSessionExpired }), scene.provider({ onSessionExpired })];
    scene.script.push(expired());
    const waiting = providers.flatMap((token) => [token("folder_1"), token("file_2")]);
    await quiet();
    waiting.push(scene.provider({ onSessionExpired })("file_3"));
    await quiet();
    assert.deepEqual([asked, scene.requests.length], [1, 1]);
    renewal.resolve("btbs_second");
    const tokens = await Promise.all(waiting);
    assert.deepEqual(new Set(tokens.map(({ read }) => read)).size, 3);
    assert.deepEqual(scene.requests.map(({ session }) => session), [SESSION, "btbs_second"]);
    assert.deepEqual(scene.requests[1].ids, ["folder_1", "file_2", "file_3"]);
    assert.equal(asked, 1);
});

test("providers of the old session and of the new one share the new one's line", async () => {
    const scene = new Scene();
    const old = scene.provider({ onSessionExpired: async () => "btbs_second" });
    scene.script.push(expired());
    await old("folder_1");
    const [late, next] = [scene.provider(), scene.provider({ session: "btbs_second" })];
    await Promise.all([old("file_2"), late("file_2"), next("file_2"), next("folder_1")]);
    assert.deepEqual(scene.requests.map(({ session, ids }) => [session, ids]), [
        [SESSION, ["folder_1"]],
        ["btbs_second", ["folder_1"]],
        ["btbs_second", ["file_2"]],
    ]);
});

test("tokens of the old session are not served under the new one", async () => {
    const scene = new Scene();
    const token = scene.provider({ onSessionExpired: async () => "btbs_second" });
    await token("folder_1");
    scene.script.push(expired());
    await token("file_2");
    assert.equal((await token("folder_1")).read, "read-folder_1-4");
});

test("the renewed session is renewed as well when its time comes", async () => {
    const scene = new Scene();
    let asked = 0;
    const token = scene.provider({ onSessionExpired: async () => `btbs_${(asked += 1)}` });
    for (const id of ["folder_1", "folder_2", "folder_3"]) {
        scene.script.push(expired());
        assert.ok((await token(id)).read);
    }
    assert.equal(asked, 3);
});

test("a page that gives a session again that it had before goes on with it", async () => {
    const scene = new Scene();
    const given = ["btbs_second", SESSION, "btbs_second", SESSION, "btbs_third"];
    const onSessionExpired = async () => given.shift();
    const [first, late] = [scene.provider({ onSessionExpired }), () => scene.provider({ onSessionExpired })];
    const used = () => scene.requests.at(-1).session;
    for (const [at, session] of [...given].entries()) {
        scene.script.push(expired());
        assert.ok((await first(`folder_${at}`)).read);
        assert.equal(used(), session);
        assert.ok((await late()(`file_${at}`)).read);
        assert.equal(used(), session);
    }
});

test("two sessions that are over and given again and again are not tried without end", async () => {
    const scene = new Scene();
    const cached = ["btbs_second", SESSION];
    let asked = 0;
    const token = scene.provider({ onSessionExpired: async () => cached[((asked += 1) - 1) % 2] });
    for (const times of [1, 2, 3, 4]) {
        scene.script = [expired(), expired(), expired()];
        assert.equal((await rejection(token("folder_1"))).code, "session_expired");
        assert.equal((await rejection(token("folder_1"))).code, "session_expired");
        assert.ok(asked <= times && scene.requests.length <= 2 * times, `${asked} ${scene.requests.length}`);
        scene.pass(6);
    }
    scene.script = [];
    assert.ok((await token("folder_1")).read);
});

test("a session that took an older one's place is found by way of that one", async () => {
    const scene = new Scene();
    const one = scene.provider({ onSessionExpired: async () => "btbs_second" });
    scene.script.push(expired());
    await one("folder_1");
    // Another line's renewal gives the session that was renewed long ago.
    const other = scene.provider({ session: "btbs_other", onSessionExpired: async () => SESSION });
    scene.script.push(expired());
    assert.equal((await other("folder_1")).read, "read-folder_1-2");
    await Promise.all([one("file_2"), other("file_3")]);
    assert.deepEqual(scene.requests.slice(3).map(({ session, ids }) => [session, ids]), [
        ["btbs_second", ["file_2", "file_3"]],
    ]);
});

test("a page may be open for years", { timeout: 60_000 }, async () => {
    const scene = new Scene();
    let asked = 0;
    const onSessionExpired = async () => `btbs_${(asked += 1)}`;
    const first = scene.provider({ onSessionExpired });
    let newest = first;
    for (let times = 1; times <= 12_000; times += 1) {
        scene.script.push(expired());
        newest = scene.provider({ session: asked === 0 ? SESSION : `btbs_${asked}` });
        await newest(`folder_${times}`);
    }
    assert.ok((await first("file_2")).read);
    assert.equal(scene.requests.at(-1).session, "btbs_12000");
    // A session of lately leads to the newest one; those of long ago are forgotten, and would be renewed again.
    await scene.provider({ session: "btbs_11950" })("file_3");
    assert.equal(scene.requests.at(-1).session, "btbs_12000");
    await scene.provider({ session: "btbs_11000" })("file_4");
    assert.equal(scene.requests.at(-1).session, "btbs_11000");
});

test("what a page gives for a new session is looked at, and asked for again where it is none", async () => {
    for (const wrong of ["btbs_secret\r\nX: y", "btbs_secret\n", " btbs_secret", "<!doctype html>secret", { session: "secret" }, 7]) {
        const scene = new Scene();
        const given = [wrong, "btbs_second"];
        const token = scene.provider({ onSessionExpired: async () => given.shift() });
        scene.script.push(expired(), expired());
        const error = await rejection(token("folder_1"));
        assert.deepEqual([error.name, error.code], ["TokenError", "session_expired"]);
        assert.match(error.message, /no session/);
        assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes("secret"));
        assert.equal(scene.requests.length, 1);
        scene.pass(6);
        assert.equal((await token("folder_1")).read, "read-folder_1-3");
        assert.equal(scene.requests.at(-1).session, "btbs_second");
    }
});

test("a page that opens no new session ends it, and nobody asks any more", async () => {
    for (const onSessionExpired of [undefined, null, async () => null, async () => SESSION, async () => ""]) {
        const scene = new Scene();
        scene.script.push(expired());
        const token = scene.provider({ onSessionExpired });
        assert.equal((await rejection(token("folder_1"))).code, "session_expired");
        scene.pass(86_400);
        assert.equal((await rejection(token("folder_2"))).code, "session_expired");
        assert.equal(scene.requests.length, 1);
    }
});

test("a renewal that fails is tried again after a moment", async () => {
    const scene = new Scene();
    let asked = 0;
    const trouble = new Error("the back end is away");
    const onSessionExpired = () => {
        asked += 1;
        if (asked === 1) {
            throw trouble;
        }
        return Promise.resolve("btbs_second");
    };
    const token = scene.provider({ onSessionExpired });
    scene.script.push(expired(), expired());
    const error = await rejection(token("folder_1"));
    assert.deepEqual([error.code, error.cause], ["session_expired", trouble]);
    await rejection(token("folder_1"));
    assert.equal(scene.requests.length, 1);
    scene.pass(6);
    assert.ok((await token("folder_1")).read);
    assert.equal(asked, 2);
});

test("a renewal that never ends is given up", async () => {
    const scene = new Scene();
    const patience = deferred();
    scene.wait = () => patience.promise;
    scene.script.push(expired());
    const waiting = rejection(scene.provider({ onSessionExpired: () => new Promise(() => {}) })("folder_1"));
    await quiet();
    patience.resolve();
    assert.equal((await waiting).code, "session_expired");
});

test("sessions that are expired from their first moment are not opened without end", async () => {
    const scene = new Scene();
    let asked = 0;
    const token = scene.provider({ onSessionExpired: async () => `btbs_${(asked += 1)}` });
    scene.script = [expired(), expired(), expired()];
    assert.equal((await rejection(token("folder_1"))).code, "session_expired");
    assert.deepEqual([asked, scene.requests.length], [1, 2]);
    scene.pass(6);
    assert.ok((await token("folder_1")).read);
    assert.equal(asked, 2);
});

test("what is refused holds neither token nor session", async () => {
    const scene = new Scene();
    const token = scene.provider({ onSessionExpired: async () => null });
    await token("folder_1");
    scene.script.push(expired());
    const told = inspect(await rejection(token("file_2")), { depth: 9, showHidden: true });
    assert.ok(told.includes("session_expired"));
    assert.ok(!told.includes(SESSION) && !told.includes("read-") && !told.includes("write-"), told);
});
