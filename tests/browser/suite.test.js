/**
 * Box UI Elements in a real browser, fed by the broker, against the sandbox.
 *
 * BTB_TEST_PROGRAM names the broker's binary, BTB_TEST_SCREENSHOTS a folder for pictures of what was seen.
 * Nobody sleeps here: each check waits for what it wants to see.
 */

import assert from "node:assert/strict";
import test, { after, before } from "node:test";

import { sha256, startDemo } from "./demo.js";
import { Site } from "./pages.js";
import { Window } from "./window.js";

/** The sandbox's folder Demo, a folder below it, a file of each, and who looks at them. */
const FOLDER = { id: "20000001101", below: "Pictures", file: "Minutes.txt", deeper: "Dawn.png" };
/** A folder that holds nothing but a folder: no file, of whose thumbnail the Explorer would want a token. */
const PLAIN = { file: "Inside" };
/** What lies in each of the two folders and no Explorer asks for. */
const ASIDE = {};
const ADA = { type: "user", id: "10000001001" };
const READ = { scopes: ["base_explorer", "base_picker", "item_preview", "item_download"] };
const WRITE = { preset: "explorer" };
/** Seconds of life that tokens have at first, so that the suite sees them die; enough for a page to use them. */
const SHORT = 20;

let demo;
let view;
let friend;
let foreigner;
let tokensUrl;
/** The full tokens behind those that pages have, as they were at several times. */
const parents = new Set();
/** Sessions that were opened first of all, for as short as possible, and told once they are expired. */
let old;

before(async () => {
    const elements = new URL("node_modules/box-ui-elements/dist", import.meta.url).pathname;
    demo = await startDemo(process.env.BTB_TEST_PROGRAM, elements);
    tokensUrl = `${demo.broker}/v1/browser/tokens`;
    const policy = (await fetch(demo.page)).headers.get("content-security-policy");
    friend = await Site.start(policy);
    foreigner = await Site.start(policy);
    const origins = [demo.page, friend.origin];
    await demo.ask(demo.admin, "PATCH", "/v1/tenants/acme", { policy: { browser_origins: origins } });
    const { apps } = await demo.arrange("GET", "");
    for (const { client_id } of apps) {
        await demo.arrange("PATCH", `/apps/${client_id}`, { origins: [...origins, foreigner.origin] });
    }
    PLAIN.id = await newFolder("Plain", FOLDER.id);
    ASIDE[FOLDER.id] = `folder_${PLAIN.id}`;
    ASIDE[PLAIN.id] = `folder_${await newFolder(PLAIN.file, PLAIN.id)}`;
    view = await Window.open(process.env.BTB_TEST_SCREENSHOTS);
    old = await expiring();
});

after(async () => {
    await view?.close();
    friend?.stop();
    foreigner?.stop();
    await demo?.stop();
});

/** Makes a folder at Box, as Ada; its id. */
async function newFolder(name, id) {
    const { access_token } = await demo.ask(demo.service, "POST", "/v1/tenants/acme/token", { subject: ADA });
    const made = await fetch(`${demo.sandbox}/2.0/folders`, {
        method: "POST",
        headers: { Authorization: `Bearer ${access_token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ name, parent: { id } }),
    });
    assert.equal(made.status, 201);
    return (await made.json()).id;
}

/** A session for the friendly page. */
const session = (more = {}) => demo.session({
    subject: ADA,
    resources: [{ type: "folder", id: FOLDER.id }],
    read: READ,
    write: WRITE,
    origins: [friend.origin],
    ...more,
});

/** What a page of the suite's own is told. */
const told = (more) => ({
    broker: demo.broker,
    module: `${demo.broker}/v1/browser/token-provider-1.0.0.js`,
    api: demo.sandbox,
    folder: FOLDER.id,
    ...more,
});

/** Three sessions that are over in a moment, and when that is. */
async function expiring() {
    const opened = await three(PLAIN, { ttl: 5 });
    return { opened, last: Math.max(...opened.map(({ expires_at }) => Date.parse(expires_at))) };
}

/** A check that fails where it takes longer than two minutes. */
const check = (name, body) => test(name, { timeout: 120_000 }, body);

const stage = (page) => page.locator("#stage");
const row = (page, name) => stage(page).getByText(name, { exact: true }).first();
const shut = (page) => view.shut(page, tokensUrl);
const choose = (page, element) => page.locator(`[data-element=${element}]`).click();

/** The token of the page's latest request to the sandbox. */
function tokenInUse(page) {
    const [latest] = view.latest(page, `${demo.sandbox}/2.0/`).filter((one) => one.method() !== "OPTIONS");
    return latest.headers().authorization.replace("Bearer ", "");
}

/** Waits until `settled` gives something, and gives that; asks again with each picture that the page paints. */
async function until(page, settled) {
    for (;;) {
        const value = await settled();
        if (value) {
            return value;
        }
        await page.evaluate(() => new Promise((resolve) => {
            requestAnimationFrame(resolve);
        }));
    }
}

check("after the tokens' life the page goes on working, with no reload", async () => {
    await demo.arrange("PUT", "/token-life", { seconds: SHORT, child_seconds: SHORT });
    const page = await view.tab(demo.page);
    await row(page, FOLDER.below).waitFor();
    await page.evaluate(() => {
        window.sameAsBefore = true;
    });
    await noteParents();
    const first = tokenInUse(page);
    assert.equal((await demo.known(first)).resource.id, FOLDER.id);
    await until(page, async () => !(await demo.known(first)).live);
    await row(page, FOLDER.below).click();
    await row(page, FOLDER.deeper).waitFor();
    const second = tokenInUse(page);
    assert.notEqual(second, first);
    assert.equal((await demo.known(second)).resource.id, FOLDER.id);
    assert.equal(await page.evaluate(() => window.sameAsBefore), true);
    await demo.arrange("PUT", "/token-life", { seconds: 3600, child_seconds: 3600 });
    await shut(page);
});

check("the Explorer lists a folder and navigates into one below", async () => {
    const page = await view.tab(demo.page);
    await row(page, FOLDER.file).waitFor();
    await view.shoot(page, "explorer");
    await row(page, FOLDER.below).click();
    await row(page, FOLDER.deeper).waitFor();
    assert.equal(await row(page, FOLDER.file).count(), 0);
    await view.shoot(page, "explorer-subfolder");
    await shut(page);
});

check("the Picker lists a folder, navigates into one below, and gives what was chosen", async () => {
    const page = await view.tab(demo.page);
    await choose(page, "picker");
    await row(page, FOLDER.file).waitFor();
    await view.shoot(page, "picker");
    await row(page, FOLDER.below).click();
    await row(page, FOLDER.deeper).click();
    await stage(page).getByRole("button", { name: "Choose" }).click();
    await page.locator("#events").getByText(`Chosen: ${FOLDER.deeper}`).waitFor();
    await shut(page);
});

check("the Uploader uploads a file, which then appears", async () => {
    const page = await view.tab(demo.page);
    await choose(page, "uploader");
    const text = `Uploaded by the suite, ${"much ".repeat(2000)}text.\n`;
    const file = { name: "Uploaded.txt", mimeType: "text/plain", buffer: Buffer.from(text) };
    await stage(page).locator("input[type=file]").first().setInputFiles(file);
    await stage(page).getByRole("button", { name: "Upload", exact: true }).click();
    await page.locator("#events").getByText("Uploaded: Uploaded.txt").waitFor();
    await view.shoot(page, "uploader");
    await choose(page, "explorer");
    await row(page, "Uploaded.txt").waitFor();
    await view.shoot(page, "explorer-after-upload");
    await shut(page);
});

/**
 * Opens the menu of an item in the Explorer and does something with its entries, again where they went away: the
 * Explorer paints its rows anew when thumbnails arrive, and an open menu is gone with its row.
 */
async function menu(page, name, act) {
    const button = stage(page).getByRole("row").filter({ hasText: name }).getByRole("button", { name: "More options" });
    await row(page, name).hover();
    return until(page, async () => {
        try {
            await button.click({ timeout: 2_000 });
            return await act((entry) => page.getByRole("menuitem", { name: entry }));
        } catch (error) {
            assert.equal(error.name, "TimeoutError", error.stack);
            return undefined;
        }
    });
}

check("a rename works under a write scope", async () => {
    const page = await view.tab(demo.page);
    await row(page, "Read me.md").waitFor();
    await menu(page, "Read me.md", async (entry) => {
        await entry("Rename").click({ timeout: 2_000 });
        return true;
    });
    await page.getByRole("dialog").getByRole("textbox").fill("Read us");
    await view.shoot(page, "rename");
    await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
    await row(page, "Read us.md").waitFor();
    await shut(page);
});

check("without the write scope there is no rename, and Box refuses it", async () => {
    const page = await view.tab(demo.page);
    await row(page, FOLDER.file).waitFor();
    await page.locator("#write").uncheck();
    await page.locator("#state").getByText("may only look").waitFor();
    const id = await page.locator("#session").textContent();
    await page.locator(`[data-session=${id}]`).getByText(FOLDER.file).waitFor();
    const entries = await menu(page, FOLDER.file, async (entry) => {
        await entry("Download").waitFor({ timeout: 2_000 });
        const texts = await page.getByRole("menuitem").allTextContents();
        return texts.includes("Download") && texts;
    });
    assert.ok(!entries.includes("Rename"), String(entries));
    await view.shoot(page, "read-only");
    const token = tokenInUse(page);
    const { scopes } = await demo.known(token);
    assert.ok(scopes.includes("base_explorer") && !scopes.includes("item_rename"), String(scopes));
    const status = await page.evaluate(async ({ api, folder, name, token }) => {
        const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
        const { entries } = await (await fetch(`${api}/2.0/folders/${folder}/items`, { headers })).json();
        const file = entries.find((entry) => entry.name === name);
        const body = JSON.stringify({ name: "Stolen.txt" });
        return (await fetch(`${api}/2.0/files/${file.id}`, { method: "PUT", headers, body })).status;
    }, { api: demo.sandbox, folder: FOLDER.id, name: FOLDER.file, token });
    assert.equal(status, 403);
    await shut(page);
});

check("the Preview gets the file by the broker's token, and says where its viewer is missing", async () => {
    const page = await view.tab(demo.page);
    await choose(page, "preview");
    await stage(page).getByText(FOLDER.file).waitFor();
    await stage(page).getByText("cdn01.boxcdn.net").waitFor();
    await view.shoot(page, "preview");
    await shut(page);
});

/** Three sessions for the friendly page, on a folder. */
const three = async (folder, more) => {
    const resources = [{ type: "folder", id: folder.id }];
    return Promise.all([1, 2, 3].map(() => session({ resources, ...more })));
};

/** Three tabs with two Explorers each, in React's StrictMode, that show `folder`; each has a session of its own. */
async function threeTabs(folder, opened, next = []) {
    const pages = await Promise.all(opened.map(({ session }, at) => {
        const known = told({ folder: folder.id, session, next: next[at]?.session });
        return view.tab(friend.url("strict", known));
    }));
    for (const page of pages) {
        await page.locator(".explorer").filter({ hasText: folder.file }).nth(1).waitFor();
    }
    return pages;
}

/** The ids of each request for tokens that a page sent. */
const idsAsked = (page) => view.asked(page, tokensUrl).map((request) => request.postDataJSON().ids);

/**
 * The same, once all that the page wanted by now was asked for: one more request, for what no Explorer asks for, goes
 * behind the others or takes their ids along, and stands last in the list.
 */
async function allAsked(page, folder) {
    await page.evaluate((id) => window.token(id), ASIDE[folder.id]);
    return until(page, () => {
        const asked = idsAsked(page);
        return asked.at(-1).includes(ASIDE[folder.id]) && asked;
    });
}

check("three tabs with two Explorers each in StrictMode ask for tokens once a tab", async () => {
    const pages = await threeTabs(PLAIN, await three(PLAIN));
    for (const page of pages) {
        assert.deepEqual(await page.evaluate(() => window.seen), { providers: 4, mounts: 4, expired: 0 });
        assert.deepEqual(await allAsked(page, PLAIN), [[`folder_${PLAIN.id}`], [ASIDE[PLAIN.id]]]);
    }
    await Promise.all(pages.map((page) => shut(page)));
});

check("thumbnails of both Explorers are one request more", async () => {
    const pages = await threeTabs(FOLDER, await three(FOLDER));
    for (const page of pages) {
        await until(page, () => idsAsked(page).length > 1);
        const [first, second, ...more] = await allAsked(page, FOLDER);
        assert.deepEqual([first, more], [[`folder_${FOLDER.id}`], [[ASIDE[FOLDER.id]]]]);
        assert.ok(second.length > 1 && second.every((id) => id.startsWith("file_")), String(second));
    }
    await view.shoot(pages[0], "strict-mode");
    await Promise.all(pages.map((page) => shut(page)));
});

check("where the session expired, each tab renews it once", async () => {
    const { opened, last } = old;
    const watch = await plain(friend);
    await until(watch, () => Date.now() > last);
    await shut(watch);
    const pages = await threeTabs(PLAIN, opened, await three(PLAIN));
    for (const page of pages) {
        assert.deepEqual(await page.evaluate(() => window.seen), { providers: 4, mounts: 4, expired: 1 });
        const asked = await allAsked(page, PLAIN);
        assert.deepEqual(asked, [[`folder_${PLAIN.id}`], [`folder_${PLAIN.id}`], [ASIDE[PLAIN.id]]]);
    }
    await Promise.all(pages.map((page) => shut(page)));
});

/** A page that asks for tokens when told to. */
async function plain(site) {
    const page = await view.tab(site.url("plain", told()));
    await page.locator("#ready").waitFor();
    return page;
}

const ask = (page, session, id = `folder_${FOLDER.id}`) =>
    page.evaluate(([session, id]) => window.ask(session, id), [session, id]);

check("a foreign origin gets nothing, and is told why", async () => {
    const opened = await session();
    const [ours, theirs] = [await plain(friend), await plain(foreigner)];
    const refused = await ask(theirs, opened.session);
    assert.deepEqual([refused.code, refused.status, refused.token], ["origin_not_allowed", 403, undefined]);
    assert.ok((await ask(ours, opened.session)).token.read);
    await Promise.all([shut(ours), shut(theirs)]);
});

check("a cancelled session gives nothing, and is told as cancelled", async () => {
    const opened = await session();
    const page = await plain(friend);
    assert.ok((await ask(page, opened.session)).token.read);
    await demo.ask(demo.admin, "DELETE", `/v1/tenants/acme/browser-sessions/${opened.id}`);
    const refused = await ask(page, opened.session, "file_30000001199");
    assert.deepEqual([refused.code, refused.status, refused.token], ["session_cancelled", 401, undefined]);
    // What the page had is forgotten too.
    assert.equal((await ask(page, opened.session)).code, "session_cancelled");
    await shut(page);
});

check("the demo's page shows that its session was cancelled, and goes on with a new one", async () => {
    const page = await view.tab(demo.page);
    await row(page, FOLDER.below).waitFor();
    await page.locator("#cancel").click();
    await page.locator("#state").getByText("Cancelled").waitFor();
    await view.shoot(page, "cancelled");
    await page.locator("#open").click();
    await page.locator("#state").getByText("may change files").waitFor();
    await row(page, FOLDER.below).waitFor();
    await shut(page);
});

check("no answer that a browser got holds a parent token", async () => {
    const bodies = await view.everything();
    assert.ok(bodies.length > 100, String(bodies.length));
    assert.deepEqual(view.unread.filter((answer) => answer === `POST ${tokensUrl}`), []);
    await noteParents();
    const holding = (text) => bodies.filter(({ body }) => body.includes(text)).map(({ url }) => url);
    for (const form of [...parents].flatMap((token) => ["utf8", "hex", "base64"].map((as) => Buffer.from(token).toString(as)))) {
        assert.deepEqual(holding(form), []);
    }
    // All that Box ever gave by an assertion: the broker asks it by assertions alone.
    const { items } = await demo.arrange("GET", "/journal?grant=jwt-bearer&status=200");
    const full = new Set(items.map(({ issued }) => issued));
    assert.ok([...parents].every((token) => full.has(sha256(token))));
    const words = new Set(bodies.flatMap(({ body }) => body.toString("latin1").match(/[\w!.~+/=-]{16,512}/g) ?? []));
    const leaked = [...words].filter((word) => full.has(sha256(word)));
    assert.equal(leaked.length, 0);
    // The search finds what is there: every token that a page was given, each a narrow child of one of those.
    const given = children(bodies);
    assert.ok(given.length >= 3, String(given.length));
    for (const token of given) {
        assert.ok(words.has(token));
        const { parent, resource } = await demo.known(token);
        assert.ok(full.has(parent) && !full.has(sha256(token)));
        assert.ok(resource.type === "folder" && [FOLDER.id, PLAIN.id].includes(resource.id), resource.id);
    }
});

/** Asks the broker for the full tokens of the moment: everybody shares them, the pages' children too. */
async function noteParents() {
    for (const subject of [ADA, undefined]) {
        const { access_token } = await demo.ask(demo.service, "POST", "/v1/tenants/acme/token", { subject });
        parents.add(access_token);
    }
}

/** All tokens that the broker gave to pages, each once. */
function children(bodies) {
    const answers = bodies.filter(({ url, body }) => url === tokensUrl && body.length > 0);
    const tokens = answers.flatMap(({ body }) => Object.values(JSON.parse(body).tokens ?? {}));
    return [...new Set(tokens.flatMap(({ read, write }) => [read, write]).filter(Boolean))];
}

check("the policy refused nothing that the elements need, and refuses what they do not", async () => {
    assert.deepEqual(view.violations, []);
    assert.deepEqual(view.crashes, []);
    const page = await view.tab(demo.page);
    await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.stolen = true";
        document.body.append(script);
    });
    await until(page, () => view.violations.length > 0);
    assert.equal(await page.evaluate(() => window.stolen), undefined);
    await shut(page);
});

check("an outage is told as one, while what a page has goes on", async () => {
    const opened = await session();
    const page = await plain(friend);
    const { token } = await ask(page, opened.session);
    assert.ok(token.read);
    await demo.stop();
    const refused = await ask(page, opened.session, "file_30000001199");
    assert.deepEqual([refused.code, refused.status, refused.token], ["outage", null, undefined]);
    assert.deepEqual((await ask(page, opened.session)).token, token);
    await shut(page);
});
