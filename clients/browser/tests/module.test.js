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

test("its types name what it exports, and nothing else", async () => {
    const types = await text("token-provider.d.ts");
    const names = [...types.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(names.sort(), Object.keys(shipped).sort());
});

test("what the README links to beside it is in the folder", async () => {
    const links = [...(await text("README.md")).matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link]) => link);
    assert.ok(links.length > 0);
    for (const link of links) {
        assert.doesNotMatch(link, /^\.\.|^\//, "the folder is published alone");
        assert.ok(await text(link));
    }
});

test("the README tells of each code that the module itself knows", async () => {
    const [source, readme] = [await text("token-provider.js"), await text("README.md")];
    const [, listed] = /ENDING = \[([^\]]*)\]/.exec(source);
    const [, renewable] = /RENEWABLE = \[([^\]]*)\]/.exec(source);
    const codes = [...`${listed} ${renewable}`.matchAll(/"(\w+)"/g)].map(([, code]) => code);
    assert.ok(codes.includes("unauthenticated") && codes.includes("forbidden"));
    for (const code of [...codes, "outage", "invalid_id"]) {
        assert.match(readme, new RegExp(`^\\|[^\n]*\`${code}\``, "m"), code);
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
