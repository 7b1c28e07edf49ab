/**
 * Box access tokens for Box UI Elements and the Preview SDK, from a Box Token Broker.
 *
 * `tokenProvider` makes the function that they want as their token. All providers of a page that were made for one
 * session share one line to the broker: one request at a time, one memory, one renewal of the session. Nothing is
 * stored outside of this module's memory, no text holds a token, and none stands in a URL.
 *
 * @module
 */

/** The version of this module, as in the path that serves it. */
export const version = "1.0.0";

/** The broker takes no more ids than these in one request. */
const MOST_IDS = 1000;
/** How often a request is tried before the answer is `outage`. */
const TRIES = 5;
/** Milliseconds before the second try; twice as many before each one after it. */
const FIRST_PAUSE = 500;
/** A pause that the broker asks for is waited out up to here, in milliseconds; a longer one is an outage at once. */
const LONGEST_PAUSE = 20_000;
/** How long the broker may take to answer, and the page to renew its session, in milliseconds. */
const ANSWER_TIME = 15_000;
const RENEWAL_TIME = 60_000;
/** For how long a refusal is repeated without asking again, in milliseconds. */
const REFUSAL_REST = 5_000;
/** So many renewed sessions are remembered, so that providers that are made for them later need no renewal. */
const MOST_RENEWED = 100;

/** After these another session helps: `unauthenticated` is a session that the broker does not know any more. */
const RENEWABLE = ["session_expired", "unauthenticated"];
/** After these nothing that the session gave is served any more; other refusals are one request's. */
const ENDING = [...RENEWABLE, "session_cancelled", "origin_not_allowed", "tenant_suspended", "forbidden"];

/** Why there is no token. `code` says what happened; nothing in here holds a token or a session. */
export class TokenError extends Error {
    /**
     * @param {string} code `session_expired`, `unauthenticated`, `session_cancelled`, `origin_not_allowed`, `outage`,
     *   `invalid_id`, or another code of the broker's.
     * @param {string} message What happened, in a sentence.
     * @param {{id?: string, status?: number, problem?: string, requestId?: string, retryAfter?: number}} [more]
     *   What the broker said beside it.
     */
    constructor(code, message, more = {}) {
        super(message);
        this.name = "TokenError";
        this.code = code;
        Object.assign(this, more);
    }
}

/** What the module needs of the world around it. */
const BROWSER = {
    fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_TIME) }),
    wall: () => Date.now(),
    monotonic: () => performance.now(),
    random: () => Math.random(),
    wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
    nextTask,
};

/** Makes a `tokenProvider` with lines of its own; the one that is exported has the page's. */
function providerOf(world) {
    const lines = new Lines({ ...BROWSER, ...world });
    return (options) => {
        const { broker, session, onSessionExpired } = checked(options);
        const line = lines.of(broker, session);
        line.renewBy(onSessionExpired);
        return (ids) => (Array.isArray(ids) ? many(line, ids) : line.ask(ids).then(pairOrText));
    };
}

/**
 * The function that Box UI Elements and the Preview SDK take as their token.
 *
 * Called with one typed id it gives `{ read, write }`, or a string where there is nothing to write with; called with an
 * array it gives a map of typed id to string, without the ids that have no token.
 */
export function tokenProvider(options) {
    ofThePage ??= providerOf({});
    return ofThePage(options);
}

/** The page's lines, once there is a provider. */
let ofThePage;

function checked({ broker, session, onSessionExpired } = {}) {
    const url = urlOf(broker);
    if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
        throw new TypeError("tokenProvider: `broker` must be the broker's URL, as https://broker.example.com");
    }
    if (!isSession(session)) {
        throw new TypeError("tokenProvider: `session` must be the browser session that your back end opened");
    }
    if (onSessionExpired !== undefined && onSessionExpired !== null && typeof onSessionExpired !== "function") {
        throw new TypeError("tokenProvider: `onSessionExpired` must be a function that resolves to a new session");
    }
    return { broker: url.href.replace(/\/+$/, ""), session, onSessionExpired };
}

const isSession = (value) => typeof value === "string" && /^[\w.~+/=-]+$/.test(value);

function urlOf(text) {
    try {
        return new URL(text);
    } catch {
        return undefined;
    }
}

const pairOrText = ({ read, write }) => (write ? { read, write } : read);

/** The Preview SDK puts the map's values into its requests as they are, so each is a string. */
async function many(line, ids) {
    const asked = await Promise.allSettled(ids.map((id) => line.ask(id)));
    const refused = asked.find(({ status }) => status === "rejected");
    if (refused && asked.every(({ status }) => status === "rejected")) {
        throw refused.reason;
    }
    const kept = asked.flatMap(({ value }, at) => (value ? [[ids[at], value.read]] : []));
    return Object.fromEntries(kept);
}

/** The lines of a page, by broker and session. */
class Lines {
    #lines = new Map();

    constructor(world) {
        this.world = world;
    }

    of(broker, session) {
        const name = `${broker} ${session}`;
        if (!this.#lines.has(name)) {
            this.#lines.set(name, new Line(this, broker, session));
        }
        return this.#lines.get(name);
    }

    /** Lets each renewed session lead straight to its latest one, and forgets the oldest: memory does not grow. */
    tidy() {
        const renewed = [...this.#lines].filter(([, line]) => line.latest() !== line);
        renewed.slice(0, -MOST_RENEWED).forEach(([name]) => this.#lines.delete(name));
    }
}

/** The way to the broker under one session. */
class Line {
    /** The latest provider's way to a new session. */
    #onSessionExpired;
    #lines;
    #broker;
    #session;
    /** The tokens that are known, by typed id. */
    #known = new Map();
    /** Who waits for a token, by typed id. */
    #waiting = new Map();
    /** True while requests are under way. */
    #busy = false;
    /** True where the session came out of a renewal and was not tried yet: its end is not renewed at once. */
    #untried = false;
    /** The line of the session that took the place of this one. */
    #successor;
    /** What is answered without asking, and until when by the monotonic clock. */
    #refusal;

    constructor(lines, broker, session) {
        this.#lines = lines;
        this.#broker = broker;
        this.#session = session;
    }

    /** The line that stands in the place of this one by now. The way there is made short. */
    latest() {
        let line = this;
        while (line.#successor) {
            line = line.#successor;
        }
        if (line !== this) {
            this.#successor = line;
        }
        return line;
    }

    /** Whom to ask for a new session from now on. */
    renewBy(onSessionExpired) {
        const line = this.latest();
        line.#onSessionExpired = onSessionExpired ?? line.#onSessionExpired;
    }

    /** The token of one typed id: `{ read, write? }`. */
    async ask(id) {
        if (typeof id !== "string" || !/^(file|folder)_\d{1,32}$/.test(id)) {
            throw new TokenError("invalid_id", "An id is `file_` or `folder_` and digits.");
        }
        if (this.#successor) {
            return this.latest().ask(id);
        }
        const known = this.#known.get(id);
        if (known && !this.#passed(known.end)) {
            if (this.#passed(known.refresh) && !this.#refused()) {
                // It is good for a while yet: nobody waits, and nobody hears where this fails.
                this.#queue(id).catch(() => {});
            }
            return known.token;
        }
        const refused = this.#refused();
        if (refused) {
            throw refused;
        }
        return this.#queue(id);
    }

    #queue(id) {
        let waiting = this.#waiting.get(id);
        if (!waiting) {
            waiting = deferred();
            this.#waiting.set(id, waiting);
            this.#work();
        }
        return waiting.promise;
    }

    /** One request after the other until nobody waits. */
    async #work() {
        if (this.#busy) {
            return;
        }
        this.#busy = true;
        // Whoever asks within this tick comes along.
        await this.#lines.world.nextTask();
        while (this.#waiting.size > 0) {
            const ids = [...this.#waiting.keys()].slice(0, MOST_IDS);
            try {
                this.#settle(ids, await this.#request(ids));
            } catch (error) {
                await this.#fail(error);
            }
        }
        this.#busy = false;
    }

    /** Gives each id its token or its own refusal. */
    #settle(ids, answer) {
        this.#untried = false;
        this.#forgetPassed();
        for (const id of ids) {
            const token = tokenOf(answer, id);
            if (token) {
                this.#known.set(id, { token, refresh: answer.refresh, end: answer.end });
                this.#take(id).resolve(token);
                continue;
            }
            const refusal = refusalOf(answer, id);
            const known = this.#known.get(id);
            if (known && refusal.code === "outage") {
                // It serves on, and is not renewed again with each call.
                known.refresh = this.#deadline(restAfter(refusal));
            } else {
                this.#known.delete(id);
            }
            this.#take(id).reject(refusal);
        }
    }

    /** Nobody who waits gets a token by this session: by the next one, or not at all. */
    async #fail(refusal) {
        let [error, final] = [refusal, refusal.code === "session_cancelled"];
        if (RENEWABLE.includes(refusal.code)) {
            [error, final] = await this.#renew(refusal);
        }
        if (ENDING.includes(refusal.code)) {
            this.#known.clear();
        }
        const waiting = [...this.#waiting];
        this.#waiting.clear();
        if (this.#successor) {
            waiting.forEach(([id, { resolve }]) => resolve(this.#successor.ask(id)));
            return;
        }
        const rest = final ? Infinity : restAfter(error);
        this.#refusal = { error, until: this.#lines.world.monotonic() + rest };
        waiting.forEach(([, { reject }]) => reject(error));
    }

    /** Asks the page for a new session, once for all who wait. Else tells why there is none, and whether for good. */
    async #renew(expired) {
        if (!this.#onSessionExpired) {
            return [expired, true];
        }
        if (this.#untried) {
            this.#untried = false;
            return [expired, false];
        }
        let session;
        try {
            session = await Promise.race([this.#onSessionExpired(), this.#tooLate()]);
        } catch (cause) {
            const text = "The session is over, and the page could not renew it.";
            return [new TokenError(expired.code, text, { cause }), false];
        }
        if (!session || session === this.#session) {
            return [new TokenError(expired.code, "The session is over, and the page opened no new one."), true];
        }
        if (!isSession(session)) {
            return [new TokenError(expired.code, "The session is over, and what the page gave is no session."), false];
        }
        this.#giveWayTo(session);
        return [];
    }

    /** From now on the line of `session` stands in the place of this one. */
    #giveWayTo(session) {
        const found = this.#lines.of(this.#broker, session);
        let next = found.latest();
        if (next === this) {
            // This one took that session's place before, and now gives it back: it may be alive.
            next = found;
            next.#successor = undefined;
            next.#onSessionExpired = undefined;
        }
        next.#onSessionExpired ??= this.#onSessionExpired;
        next.#untried = true;
        this.#successor = next;
        this.#lines.tidy();
    }

    async #tooLate() {
        await this.#lines.world.wait(RENEWAL_TIME);
        throw new Error("The page did not renew its session in time.");
    }

    /** One request, tried until there is an answer, a refusal, or no hope. */
    async #request(ids) {
        const { wait, random } = this.#lines.world;
        for (let tries = 1; ; tries += 1) {
            try {
                return await this.#tryOnce(ids);
            } catch (error) {
                const asked = (error.retryAfter ?? 0) * 1000;
                if (error.code !== "outage" || tries === TRIES || asked > LONGEST_PAUSE) {
                    throw error;
                }
                const pause = FIRST_PAUSE * 2 ** (tries - 1);
                await wait(asked + pause * (0.5 + random() / 2));
            }
        }
    }

    async #tryOnce(ids) {
        let response;
        try {
            response = await this.#lines.world.fetch(`${this.#broker}/v1/browser/tokens`, {
                method: "POST",
                headers: { Authorization: `Bearer ${this.#session}`, "Content-Type": "application/json" },
                body: JSON.stringify({ ids }),
                mode: "cors",
                credentials: "omit",
                cache: "no-store",
                redirect: "error",
                referrerPolicy: "no-referrer",
            });
        } catch {
            throw new TokenError("outage", "The broker cannot be reached.");
        }
        const body = await response.json().catch(() => undefined);
        if (!response.ok) {
            throw problem(response, Object(body));
        }
        return this.#read(response, Object(body));
    }

    /** The answer with its deadlines by both of this browser's clocks. */
    #read(response, { tokens, errors, refresh_at, expires_at }) {
        const { wall } = this.#lines.world;
        // A browser's clock may be wrong by hours; what counts is how far ahead of the broker's clock the deadlines are.
        const date = Date.parse(response.headers.get("Date") ?? "");
        const now = Number.isNaN(date) ? wall() : date;
        const [refresh, end] = [refresh_at, expires_at].map((text) => this.#deadline(Date.parse(text) - now));
        const timed = !Number.isNaN(refresh.wall) && !Number.isNaN(end.wall);
        // Where no id has a token there is nothing that ends.
        if (!isObject(tokens) || (!timed && Object.keys(tokens).length > 0)) {
            throw new TokenError("outage", "The broker's answer cannot be understood.", { status: response.status });
        }
        return { tokens, errors, refresh, end };
    }

    #deadline(milliseconds) {
        const { wall, monotonic } = this.#lines.world;
        return { wall: wall() + milliseconds, monotonic: monotonic() + milliseconds };
    }

    /** Whichever clock says so: one may be set, the other may stand still while the machine sleeps. */
    #passed(deadline) {
        const { wall, monotonic } = this.#lines.world;
        return wall() >= deadline.wall || monotonic() >= deadline.monotonic;
    }

    #refused() {
        if (this.#refusal && this.#lines.world.monotonic() >= this.#refusal.until) {
            this.#refusal = undefined;
        }
        return this.#refusal?.error;
    }

    #forgetPassed() {
        for (const [id, { end }] of this.#known) {
            if (this.#passed(end)) {
                this.#known.delete(id);
            }
        }
    }

    #take(id) {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        return waiting;
    }
}

function tokenOf({ tokens }, id) {
    const { read, write } = Object(own(tokens, id));
    const text = (value) => typeof value === "string" && value !== "";
    if (!text(read)) {
        return undefined;
    }
    return text(write) ? { read, write } : { read };
}

/** Why the answer has no token for `id`; where asking again helps, it is an outage. */
function refusalOf({ errors }, id) {
    const { code, retry_after: retryAfter } = Object(own(errors, id));
    const text = `The broker gives no token for ${id}.`;
    if (typeof code !== "string") {
        return new TokenError("outage", text, { id });
    }
    return Number.isInteger(retryAfter)
        ? new TokenError("outage", text, { id, problem: code, retryAfter })
        : new TokenError(code, text, { id });
}

/** For how long not to ask again, in milliseconds. */
const restAfter = ({ retryAfter }) => Math.max(REFUSAL_REST, (retryAfter ?? 0) * 1000);

/** What the broker's problem document means for the page. */
function problem(response, { code, detail }) {
    const { status } = response;
    const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
    const more = { status };
    if (typeof code === "string") {
        more.problem = code;
    }
    if (seconds >= 0) {
        more.retryAfter = seconds;
    }
    const requestId = response.headers.get("X-Request-Id");
    if (requestId) {
        more.requestId = requestId;
    }
    const passing = status === 429 || status >= 500;
    const text = typeof detail === "string" ? detail : `The broker answered ${status}.`;
    return new TokenError(passing || typeof code !== "string" ? "outage" : code, text, more);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const own = (object, name) => (isObject(object) && Object.hasOwn(object, name) ? object[name] : undefined);

function deferred() {
    const parts = {};
    parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
    return parts;
}

/** The task after this one; unlike a timer's it is not held back while the page is hidden. */
function nextTask() {
    return new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
            port1.close();
            resolve();
        };
        port2.postMessage(null);
    });
}
