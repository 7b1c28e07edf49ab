/** What a provider gives, and when it asks. */

import assert from "node:assert/strict";
import test from "node:test";

import { BROKER, Scene, SESSION, answer, deferred, quiet, rejection } from "./broker.js";

test("one id gives a pair, or a text where there is nothing to write with", async () => {
    const scene = new Scene();
    const token = scene.provider();
    assert.deepEqual(await token("folder_1"), { read: "read-folder_1-1", write: "write-folder_1-1" });
    scene.script.push((ids) => scene.tokens(ids, { write: false }));
    assert.equal(await token("file_2"), "read-file_2-2");
});

test("an array gives a map of texts, as the Preview SDK wants, without the ids that have none", async () => {
    const scene = new Scene();
    scene.script.push((ids) => scene.tokens(ids, { errors: { file_2: { code: "forbidden" } } }));
    assert.deepEqual(await scene.provider()(["file_1", "file_2"]), { file_1: "read-file_1-1" });
    assert.deepEqual(await scene.provider()([]), {});
    assert.equal(scene.requests.length, 1);
});

test("an array of which no id has a token rejects", async () => {
    const scene = new Scene();
    scene.script.push((ids) => scene.tokens(ids, { errors: { file_2: { code: "forbidden" } } }));
    assert.equal((await rejection(scene.provider()(["file_2"]))).code, "forbidden");
});

test("an id that is refused rejects alone, and is asked again", async () => {
    const scene = new Scene();
    scene.script.push((ids) => scene.tokens(ids, { errors: { file_9: { code: "resource_not_visible" } } }));
    const token = scene.provider();
    const [one, nine] = await Promise.allSettled([token("folder_1"), token("file_9")]);
    assert.equal(one.value.read, "read-folder_1-1");
    assert.equal(nine.reason.code, "resource_not_visible");
    assert.equal(nine.reason.id, "file_9");
    assert.equal((await token("file_9")).read, "read-file_9-2");
});

test("an answer without any token has no times, and each id its own reason", async () => {
    const scene = new Scene();
    const errors = { file_1: { code: "forbidden" }, file_2: { code: "overloaded", retry_after: 2 } };
    scene.script.push(answer(200, { tokens: {}, errors, refresh_at: null, expires_at: null }));
    const token = scene.provider();
    const [one, two] = await Promise.all([rejection(token("file_1")), rejection(token("file_2"))]);
    assert.equal(one.code, "forbidden");
    assert.deepEqual([two.code, two.problem, two.retryAfter], ["outage", "overloaded", 2]);
    assert.equal(scene.requests.length, 1);
});

test("an id whose renewal fails for a while is served on, and one that is refused is not", async () => {
    for (const [error, served] of [[{ code: "overloaded", retry_after: 2 }, true], [{ code: "forbidden" }, false]]) {
        const scene = new Scene();
        const token = scene.provider();
        await token("folder_1");
        scene.pass(3001);
        const refused = (ids) => scene.tokens(ids, { errors: { folder_1: error } });
        scene.script.push(refused, refused);
        await token("folder_1");
        await quiet();
        if (served) {
            for (const calls of [1, 2, 3]) {
                assert.equal((await token("folder_1")).read, "read-folder_1-1", String(calls));
                await quiet();
            }
            assert.equal(scene.requests.length, 2);
            scene.pass(6);
            await token("folder_1");
            await quiet();
            assert.equal(scene.requests.length, 3);
        } else {
            assert.equal((await rejection(token("folder_1"))).code, "forbidden");
        }
    }
});

test("an id that the broker says nothing of, or only by inheritance, has no token", async () => {
    const scene = new Scene();
    scene.script.push((ids) => scene.tokens(ids, { errors: { folder_1: {} } }));
    assert.equal((await rejection(scene.provider()("folder_1"))).code, "outage");
});

test("what is no typed id is refused here", async () => {
    const scene = new Scene();
    const token = scene.provider();
    for (const id of ["1", "file_", "file_x", "web_link_1", "__proto__", "file_1\n", " file_1", "", 7, null, {}]) {
        assert.equal((await rejection(token(id))).code, "invalid_id", String(id));
    }
    assert.equal(scene.requests.length, 0);
});

test("ids that are asked within one tick come in one request, whoever asks", async () => {
    const scene = new Scene();
    const [one, two] = [scene.provider(), scene.provider()];
    const later = Promise.resolve().then(() => Promise.resolve()).then(() => two("file_4"));
    await Promise.all([one("folder_1"), two("folder_1"), two(["file_2", "file_3"]), later]);
    assert.deepEqual(scene.requests.map(({ ids }) => ids), [["folder_1", "file_2", "file_3", "file_4"]]);
});

test("one request is under way, and who comes meanwhile shares the next", async () => {
    const scene = new Scene();
    const held = deferred();
    scene.script.push(() => held.promise);
    const token = scene.provider();
    const first = token("folder_1");
    await quiet();
    const rest = [token("folder_1"), token("file_2"), scene.provider()("file_3")];
    await quiet();
    assert.equal(scene.requests.length, 1);
    held.resolve(scene.tokens(["folder_1"]));
    await Promise.all([first, ...rest]);
    assert.deepEqual(scene.requests.map(({ ids }) => ids), [["folder_1"], ["file_2", "file_3"]]);
});

test("a thousand ids go into one request, and no more", async () => {
    const scene = new Scene();
    const ids = Array.from({ length: 2001 }, (_, at) => `file_${at}`);
    assert.equal(Object.keys(await scene.provider()(ids)).length, 2001);
    assert.deepEqual(scene.requests.map((request) => request.ids.length), [1000, 1000, 1]);
});

test("sessions and brokers have lines of their own", async () => {
    const scene = new Scene();
    await scene.provider()("folder_1");
    await scene.provider({ session: "btbs_other" })("folder_1");
    await scene.provider({ broker: "https://b.example.com/box/" })("folder_1");
    assert.deepEqual(scene.requests.map(({ url, session }) => [url, session]), [
        [`${BROKER}/v1/browser/tokens`, SESSION],
        [`${BROKER}/v1/browser/tokens`, "btbs_other"],
        ["https://b.example.com/box/v1/browser/tokens", SESSION],
    ]);
});

test("a token is kept until its time to be renewed", async () => {
    const scene = new Scene();
    const token = scene.provider();
    await token("folder_1");
    scene.pass(2999);
    await token("folder_1");
    assert.equal(scene.requests.length, 1);
});

test("behind that time it serves on while the next one is fetched", async () => {
    const scene = new Scene();
    const token = scene.provider();
    await token("folder_1");
    scene.pass(3001);
    const held = deferred();
    scene.script.push(() => held.promise);
    assert.equal((await token("folder_1")).read, "read-folder_1-1");
    await quiet();
    assert.equal(scene.requests.length, 2);
    assert.equal((await token("folder_1")).read, "read-folder_1-1");
    held.resolve(scene.tokens(["folder_1"]));
    await quiet();
    assert.equal((await token("folder_1")).read, "read-folder_1-2");
    assert.equal(scene.requests.length, 2);
});

test("where renewal fails it serves on until its end, and not beyond", async () => {
    const scene = new Scene();
    const token = scene.provider();
    await token("folder_1");
    scene.pass(3001);
    scene.script = Array.from({ length: 100 }, () => () => Promise.reject(new TypeError("no network")));
    assert.equal((await token("folder_1")).read, "read-folder_1-1");
    await quiet();
    assert.equal(scene.requests.length, 6);
    scene.pass(500);
    assert.equal((await token("folder_1")).read, "read-folder_1-1");
    await quiet();
    scene.pass(100);
    assert.equal((await rejection(token("folder_1"))).code, "outage");
});

test("a browser whose clock is wrong keeps tokens as long as they live", async () => {
    for (const brokerAhead of [-86_400_000, 86_400_000]) {
        const scene = new Scene();
        scene.brokerAhead = brokerAhead;
        const token = scene.provider();
        await token("folder_1");
        scene.pass(2999);
        await token("folder_1");
        assert.equal(scene.requests.length, 1);
        scene.pass(602);
        assert.equal((await token("folder_1")).read, "read-folder_1-2");
    }
});

test("where the broker's time is not told the browser's own counts", async () => {
    const scene = new Scene();
    scene.tellsDate = false;
    const token = scene.provider();
    await token("folder_1");
    scene.pass(2999);
    await token("folder_1");
    assert.equal(scene.requests.length, 1);
});

test("a machine that slept asks anew", async () => {
    const scene = new Scene();
    const token = scene.provider();
    await token("folder_1");
    scene.sleep(3601);
    assert.equal((await token("folder_1")).read, "read-folder_1-2");
});

test("the session and the ids stand where nobody logs them", async () => {
    const scene = new Scene();
    await scene.provider()("folder_1");
    const { url, init } = scene.requests[0];
    assert.equal(url, `${BROKER}/v1/browser/tokens`);
    assert.deepEqual(
        [init.method, init.mode, init.credentials, init.cache, init.redirect, init.referrerPolicy],
        ["POST", "cors", "omit", "no-store", "error", "no-referrer"],
    );
    assert.deepEqual(Object.keys(init.headers), ["Authorization", "Content-Type"]);
});

test("options that cannot work are told at once, without their values", () => {
    const { tokenProvider } = new Scene();
    for (const wrong of [
        undefined,
        { session: SESSION },
        { broker: "broker.example.com", session: SESSION },
        { broker: "ftp://broker.example.com", session: SESSION },
        { broker: "https://ann:secret@broker.example.com", session: SESSION },
        { broker: `${BROKER}?session=secret`, session: SESSION },
        { broker: BROKER },
        { broker: BROKER, session: "secret\r\nX: y" },
        { broker: BROKER, session: { secret: "secret" } },
        { broker: BROKER, session: SESSION, onSessionExpired: "secret" },
    ]) {
        const told = (error) => error instanceof TypeError && !error.message.includes("secret");
        assert.throws(() => tokenProvider(wrong), told, JSON.stringify(wrong));
    }
});

test("an answer that makes no sense is an outage", async () => {
    for (const body of [undefined, {}, { tokens: [], refresh_at: "soon", expires_at: "later" }, [], "x", 7, null]) {
        const scene = new Scene();
        scene.script = Array.from({ length: 5 }, () => () => answer(200, body));
        const error = await rejection(scene.provider()("folder_1"));
        assert.equal(error.code, "outage", JSON.stringify(body));
    }
});
