/** Pages of the suite's own, on origins of their own, under the demo's Content-Security-Policy. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const here = (name) => new URL(name, import.meta.url);
const modules = (name) => new URL(`node_modules/${name}`, import.meta.url);

/** What is served under which path. */
const FILES = {
    "/strict.html": [here("strict.html"), "text/html; charset=utf-8"],
    "/strict.js": [here("strict.js"), "text/javascript; charset=utf-8"],
    "/plain.html": [here("plain.html"), "text/html; charset=utf-8"],
    "/plain.js": [here("plain.js"), "text/javascript; charset=utf-8"],
    "/react.js": [modules("react/umd/react.development.js"), "text/javascript; charset=utf-8"],
    "/react-dom.js": [modules("react-dom/umd/react-dom.development.js"), "text/javascript; charset=utf-8"],
    "/explorer.js": [modules("box-ui-elements/dist/explorer.js"), "text/javascript; charset=utf-8"],
    "/explorer.css": [modules("box-ui-elements/dist/explorer.css"), "text/css; charset=utf-8"],
};

/** A server on a free port. `policy` stands on every answer. */
export class Site {
    static async start(policy) {
        const server = createServer(async ({ url }, response) => {
            const [file, kind] = FILES[new URL(url, "http://x").pathname] ?? [];
            if (!file) {
                response.writeHead(404).end();
                return;
            }
            response.writeHead(200, { "Content-Type": kind, "Content-Security-Policy": policy });
            response.end(await readFile(file));
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        return new Site(server);
    }

    constructor(server) {
        this.server = server;
        this.origin = `http://127.0.0.1:${server.address().port}`;
    }

    /** The URL of a page, with what it has to know behind the `#`, where no server sees it. */
    url(page, told) {
        return `${this.origin}/${page}.html#${encodeURIComponent(JSON.stringify(told))}`;
    }

    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }
}
