/** A stand-in for the broker's browser endpoint, and a world whose time is moved by hand. */

import { readFile } from "node:fs/promises";

/** The module as it is, and what it keeps to itself: the way to put a world of one's own under it. */
const source = await readFile(new URL("../token-provider.js", import.meta.url));
const inside = Buffer.concat([source, Buffer.from("export { providerOf };\n")]).toString("base64");
const { providerOf } = await import(`data:text/javascript;base64,${inside}`);

export const SESSION = "btbs_first";
export const BROKER = "https://broker.example.com";

/** An answer of the broker's. */
export function answer(status, body, headers = {}) {
    return new Response(body === undefined ? "" : JSON.stringify(body), { status, headers });
}

/** A problem document of the broker's. */
export function problem(status, code, headers = {}) {
    return answer(status, { code, detail: `It is ${code}.`, status }, { "X-Request-Id": "req_1", ...headers });
}

/** What tests hold in their hands. */
export class Scene {
    /** Every request: the session, the ids, the URL and what was given to `fetch`. */
    requests = [];
    /** The pauses that were waited out, in milliseconds. */
    pauses = [];
    /** Answers to come, each a function or a response; where there are none, tokens for all. */
    script = [];
    /** How far the broker's clock is ahead of the browser's, in milliseconds. */
    brokerAhead = 0;
    #now = 1_000_000;
    #asleep = 0;
    /** What the broker says of its time: true where CORS lets the page see it. */
    tellsDate = true;

    constructor() {
        this.tokenProvider = providerOf({
            fetch: (url, init) => this.#fetch(url, init),
            wall: () => this.#now,
            monotonic: () => this.#now - this.#asleep,
            random: () => 1,
            wait: (milliseconds) => this.wait(milliseconds),
        });
    }

    /** Time passes at once; a test that wants to decide when puts its own in the place of this. */
    wait = async (milliseconds) => {
        if (milliseconds < 60_000) {
            this.pauses.push(milliseconds);
            this.#now += milliseconds;
        } else {
            await new Promise(() => {});
        }
    };

    provider(more = {}) {
        return this.tokenProvider({ broker: BROKER, session: SESSION, ...more });
    }

    pass(seconds) {
        this.#now += seconds * 1000;
    }

    /** The machine sleeps: its wall clock goes on alone. */
    sleep(seconds) {
        this.#now += seconds * 1000;
        this.#asleep += seconds * 1000;
    }

    async #fetch(url, init) {
        const session = init.headers.Authorization.replace("Bearer ", "");
        const ids = JSON.parse(init.body).ids;
        this.requests.push({ url, init, session, ids });
        const next = this.script.shift() ?? ((given) => this.tokens(given));
        return typeof next === "function" ? next(ids, session) : next;
    }

    /** Tokens for `ids` that live an hour, to be renewed ten minutes before. */
    tokens(ids, { write = true, errors = {} } = {}) {
        const made = ids.filter((id) => !(id in errors)).map((id) => {
            const name = `${id}-${this.requests.length}`;
            return [id, write ? { read: `read-${name}`, write: `write-${name}` } : { read: `read-${name}` }];
        });
        const brokers = this.#now + this.brokerAhead;
        const at = (seconds) => new Date(brokers + seconds * 1000).toISOString();
        const body = { tokens: Object.fromEntries(made), errors, refresh_at: at(3000), expires_at: at(3600) };
        return answer(200, body, this.tellsDate ? { Date: new Date(brokers).toUTCString() } : {});
    }
}

/** What a promise rejects with. */
export async function rejection(promise) {
    const [{ status, reason }] = await Promise.allSettled([promise]);
    if (status !== "rejected") {
        throw new Error("it did not reject");
    }
    return reason;
}

/** A promise to be settled by hand. */
export function deferred() {
    const parts = {};
    parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
    return parts;
}

/** Everything that was about to happen has happened. */
export async function quiet() {
    for (let turns = 0; turns < 20; turns += 1) {
        await new Promise((resolve) => {
            setImmediate(resolve);
        });
    }
}
