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

/** A folder of the sandbox, one below it, a file of each, and who looks at them. */
const FOLDER = { id: "20000001001", below: "2024", file: "Contract.pdf", deeper: "Offer.docx" };
const ADA = { type: "user", id: "10000001001" };
const READ = { scopes: ["base_explorer", "base_picker", "item_preview", "item_download"] };
const WRITE = { preset: "explorer" };
/** Seconds of life that tokens have at first, so that the suite sees them die. */
const SHORT = 12;

let demo;
let view;
let friend;
let foreigner;
let tokensUrl;

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
    view = await Window.open(process.env.BTB_TEST_SCREENSHOTS);
});

after(async () => {
    await view?.close();
    friend?.stop();
    foreigner?.stop();
    await demo?.stop();
});

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

const stage = (page) => page.locator("#stage");
const row = (page, name) => stage(page).getByText(name, { exact: true }).first();
const choose = (page, element) => page.locator(`[data-element=${element}]`).click();

/** The token of the page's latest request to the sandbox. */
function tokenInUse(page) {
    const [latest] = view.latest(page, `${demo.sandbox}/2.0/`).filter((one) => one.method() !== "OPTIONS");
    return latest.headers().authorization.replace("Bearer ", "");
}

/** Waits until `settled` gives something, asking again each time that the event loop turns. */
async function until(settled) {
    for (;;) {
        const value = await settled();
        if (value) {
            return value;
        }
        await new Promise((resolve) => {
            setImmediate(resolve);
        });
    }
}

test("after the tokens' life the page goes on working, with no reload", async () => {
    await demo.arrange("PUT", "/token-life", { seconds: SHORT, child_seconds: SHORT });
    const page = await view.tab(demo.page);
    await row(page, FOLDER.below).waitFor();
    await page.evaluate(() => {
        window.sameAsBefore = true;
    });
    const first = tokenInUse(page);
    assert.equal((await demo.known(first)).live, true);
    await until(async () => !(await demo.known(first)).live);
    await row(page, FOLDER.below).click();
    await row(page, FOLDER.deeper).waitFor();
    const second = tokenInUse(page);
    assert.notEqual(second, first);
    assert.equal((await demo.known(second)).resource.id, FOLDER.id);
    assert.equal(await page.evaluate(() => window.sameAsBefore), true);
    await demo.arrange("PUT", "/token-life", { seconds: 3600, child_seconds: 3600 });
    await page.close();
});
