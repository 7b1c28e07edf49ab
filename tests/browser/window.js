/** The browser, and all that its pages were given and complained of. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

const FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Nothing leaves this machine: every other name is unknown.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/** A browser whose every page is watched. */
export class Window {
    /** What the Content-Security-Policy refused. */
    violations = [];
    /** What scripts threw and nobody caught. */
    crashes = [];
    /** Every answer's body, with where it came from. */
    bodies = [];
    /** Answers that had no body, or whose body the browser did not keep: method and URL. */
    unread = [];
    /** Requests, by page. */
    #requests = new Map();
    /** Answers that are being read, with where they came from. */
    #reading = new Map();

    static async open(shots) {
        const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
        await mkdir(shots, { recursive: true });
        const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
        return new Window(browser, context, shots);
    }

    constructor(browser, context, shots) {
        this.browser = browser;
        this.context = context;
        this.shots = shots;
    }

    /** A new tab. */
    async tab(url) {
        const page = await this.context.newPage();
        page.setDefaultTimeout(20_000);
        this.#requests.set(page, []);
        await page.exposeFunction("reportViolation", (text) => this.violations.push(text));
        await page.addInitScript(() => {
            document.addEventListener("securitypolicyviolation", (event) => {
                window.reportViolation(`${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}`);
            });
        });
        page.on("console", (line) => {
            if (/Content.Security.Policy/i.test(line.text())) {
                this.violations.push(line.text());
            }
        });
        page.on("pageerror", (error) => this.crashes.push(String(error)));
        page.on("request", (request) => this.#requests.get(page).push(request));
        page.on("response", (response) => this.#keep(response));
        await page.goto(url);
        return page;
    }

    /** A page's requests to `url` by `method`. */
    asked(page, url, method = "POST") {
        return this.#requests.get(page).filter((one) => one.url() === url && one.method() === method);
    }

    /** A page's requests whose URL begins so, the last one first. */
    latest(page, beginning) {
        return this.#requests.get(page).filter((one) => one.url().startsWith(beginning)).reverse();
    }

    #keep(response) {
        const keeping = response.body().then(
            (body) => this.bodies.push({ url: response.url(), body }),
            // A redirect or an answer without a body has none to read.
            () => this.unread.push(`${response.request().method()} ${response.url()}`),
        );
        this.#reading.set(keeping, response.url());
        keeping.finally(() => this.#reading.delete(keeping));
    }

    /** All answers so far, read to their ends. */
    async everything() {
        await Promise.all(this.#reading.keys());
        return this.bodies;
    }

    /** Closes a tab once what it got from `url` is read: the browser forgets answers with their tab. */
    async shut(page, url) {
        await Promise.all([...this.#reading].filter(([, from]) => from === url).map(([keeping]) => keeping));
        await page.close();
    }

    async shoot(page, name) {
        await page.screenshot({ path: join(this.shots, `${name}.png`) });
    }

    async close() {
        await this.browser.close();
    }
}
