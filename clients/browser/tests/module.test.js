/** The module as it is shipped: its names, its version, and its way over HTTP. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import test from "node:test";

import * as shipped from "../token-provider.js";

const text = (name) => readFile(new URL(`../${name}`, import.meta.url), "utf8");

test("it needs nothing else, and its version is the package's", async () => {
    const source = await text("token-provider.js");
    assert.doesNotMatch(source, /\bimport\b[^.]*from|\brequire\(|localStorage|sessionStorage|document\./);
    assert.equal(shipped.version, JSON.parse(await text("package.json")).version);
});

test("its types name what it exports", async () => {
    const types = await text("token-provider.d.ts");
    for (const name of ["version", "tokenProvider", "TokenError"]) {
        assert.ok(name in shipped);
        assert.match(types, new RegExp(`export (const|function|class) ${name}\\b`));
    }
});

test("it speaks to a server with the means that browsers have", async () => {
    const heads = [];
    const server = createServer(async (request, response) => {
        const body = (await request.toArray()).join("");
        heads.push([request.method, request.url, request.headers.authorization, body]);
        const soon = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify({ tokens: { folder_0: { read: "r", write: "w" } }, errors: {}, refresh_at: soon(60), expires_at: soon(90) }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const broker = `http://127.0.0.1:${server.address().port}/`;
    const providers = [1, 2].map(() => shipped.tokenProvider({ broker, session: "btbs_x" }));
    const tokens = await Promise.all(providers.map((token) => token("folder_0")));
    assert.deepEqual(tokens, [{ read: "r", write: "w" }, { read: "r", write: "w" }]);
    assert.deepEqual(heads, [["POST", "/v1/browser/tokens", "Bearer btbs_x", '{"ids":["folder_0"]}']]);
    server.closeAllConnections();
    server.close();
});
