/** The demo under test, and how to ask it and its sandbox. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";

/** Starts the demo with the page, and reads from its guide where everything is. */
export async function startDemo(program, elements) {
    const child = spawn(program, ["demo", "--listen", "127.0.0.1:0", "--ui-elements", elements], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    // However the suite ends, the demo does not outlive it.
    process.once("exit", () => child.kill());
    let guide = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
        guide += text;
    });
    while (!guide.includes("Ctrl-C")) {
        if (child.exitCode !== null) {
            throw new Error(`the demo ended:\n${guide}`);
        }
        await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
    }
    const found = (pattern) => pattern.exec(guide)?.[1] ?? fail(`${pattern} is not in the guide:\n${guide}`);
    return new Demo(child, {
        broker: found(/BTB_URL=(\S+)/),
        sandbox: found(/stand-in for Box at (\S+)\.\n/),
        page: found(/on a page at (\S+)\//),
        admin: found(/ADMIN=(\S+)/),
        service: found(/BTB_KEY=(\S+)/),
    });
}

function fail(text) {
    throw new Error(text);
}

class Demo {
    #child;

    constructor(child, places) {
        this.#child = child;
        Object.assign(this, places);
    }

    /** Asks the broker with a key; the body of a success. */
    async ask(key, method, path, body) {
        return asked(`${this.broker}${path}`, method, body, { Authorization: `Bearer ${key}` });
    }

    /** Asks the sandbox's control plane. */
    async arrange(method, path, body) {
        return asked(`${this.sandbox}/sandbox${path}`, method, body, {});
    }

    /** What the sandbox knows of a token. */
    async known(token) {
        return this.arrange("GET", `/tokens/${sha256(token)}`);
    }

    /** Opens a session as an admin. */
    async session(more) {
        return this.ask(this.admin, "POST", "/v1/tenants/acme/browser-sessions", more);
    }

    /** Ends broker, sandbox and page. */
    async stop() {
        if (this.#child.exitCode === null) {
            this.#child.kill("SIGTERM");
            await once(this.#child, "exit");
        }
    }
}

async function asked(url, method, body, headers) {
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(url, { method, headers: { ...headers, ...json }, body: text });
    const given = await answer.text();
    if (!answer.ok) {
        throw new Error(`${method} ${url}: ${answer.status} ${given}`);
    }
    return given === "" ? undefined : JSON.parse(given);
}

export const sha256 = (text) => createHash("sha256").update(text).digest("hex");
