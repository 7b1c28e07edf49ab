// The page: shows one element at a time, and feeds it with tokens of the session that the back end opened.

const { broker, module, api, upload, folder } = document.body.dataset;
const { tokenProvider } = await import(module);

const at = (id) => document.getElementById(id);
const stage = at("stage");
const tabs = [...document.querySelectorAll("nav [data-element]")];

/** What each element is called, and what it is told beside what all are told. */
const ELEMENTS = {
    explorer: { name: "ContentExplorer", options: { canShare: false, logoUrl: "", contentPreviewProps: {} } },
    picker: { name: "ContentPicker", options: { canSetShareAccess: false, isHeaderLogoVisible: false } },
    uploader: { name: "ContentUploader", options: {} },
    preview: { name: "ContentPreview", options: { hasHeader: true } },
};

/** What the page says of each end of a session. */
const ENDS = {
    session_cancelled: "Cancelled: the session was ended.",
    session_expired: "Expired: log in again.",
    unauthenticated: "Unknown: the broker does not know the session any more. Log in again.",
    origin_not_allowed: "Refused: the session is not for this origin.",
    outage: "Outage: the broker does not answer. The session may be fine.",
};

let shown;
let element;
let current;

function tell(text) {
    const time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString("en-GB");
    const line = document.createElement("li");
    line.append(time, text);
    at("events").prepend(line);
}

function state(kind, text) {
    at("state").className = kind;
    at("state").textContent = text;
}

async function openSession() {
    const answer = await fetch("/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ write: at("write").checked }),
    });
    if (!answer.ok) {
        state("bad", "The back end could not open a session.");
        throw new Error(`the back end answered ${answer.status}`);
    }
    const opened = await answer.json();
    at("session").textContent = opened.id;
    at("ends").textContent = new Date(opened.expires_at).toLocaleTimeString("en-GB");
    at("cancel").disabled = false;
    state("good", at("write").checked ? "Open, may change files." : "Open, may only look.");
    tell("The back end opened a session.");
    return opened;
}

/** The provider of a session, which says on the page how the session ended. */
function providerOf(session) {
    const provider = tokenProvider({
        broker,
        session,
        onSessionExpired: async () => {
            tell("The session expired and is renewed.");
            current = { ...current, ...(await openSession()) };
            return current.session;
        },
    });
    return async (ids) => {
        try {
            return await provider(ids);
        } catch (error) {
            if (error.code in ENDS) {
                state("bad", ENDS[error.code]);
            }
            tell(`No token: ${error.code}.`);
            throw error;
        }
    };
}

/** Opens a session and shows the element anew with it. */
async function begin() {
    const opened = await openSession();
    current = { ...opened, token: providerOf(opened.session) };
    await show(shown ?? "explorer");
}

async function cancel() {
    at("cancel").disabled = true;
    const answer = await fetch(`/session/${current.id}`, { method: "DELETE" });
    tell(answer.ok ? "The back end cancelled the session." : "The session could not be cancelled.");
    // What the elements hold in memory would be served until it has to be renewed: show that nothing new comes.
    await current.token("folder_999999999").catch(() => {});
    await show(shown);
}

const loaded = new Map();

/** An element's script and style, loaded once. */
function load(kind) {
    if (!loaded.has(kind)) {
        const style = document.createElement("link");
        Object.assign(style, { rel: "stylesheet", href: `/elements/${kind}.css` });
        const script = document.createElement("script");
        script.src = `/elements/${kind}.js`;
        const ready = [style, script].map((node) => new Promise((resolve, reject) => {
            node.addEventListener("load", resolve);
            node.addEventListener("error", () => reject(new Error(`${kind} cannot be loaded`)));
        }));
        document.head.append(style, script);
        const all = Promise.all(ready);
        all.catch(() => loaded.delete(kind));
        loaded.set(kind, all);
    }
    return loaded.get(kind);
}

function note(text) {
    const line = document.createElement("p");
    line.className = "note";
    line.textContent = text;
    stage.replaceChildren(line);
}

async function show(kind) {
    shown = kind;
    tabs.forEach((tab) => tab.setAttribute("aria-selected", String(tab.dataset.element === kind)));
    if (!current) {
        // Whoever chooses before there is a session is shown it as soon as there is one.
        return;
    }
    try {
        await load(kind);
    } catch {
        note("The element cannot be loaded: the page's server does not answer.");
        return;
    }
    if (shown !== kind) {
        return;
    }
    element?.hide();
    element = undefined;
    const item = kind === "preview" ? await firstFile() : folder;
    if (shown !== kind) {
        return;
    }
    if (!item) {
        note("There is no file to preview that this session gives a token for.");
        return;
    }
    const container = document.createElement("div");
    container.className = "element";
    container.dataset.session = current.id;
    stage.replaceChildren(container);
    const { name, options } = ELEMENTS[kind];
    element = new window.Box[name]();
    const told = { upload: "Uploaded", rename: "Renamed", delete: "Deleted", create: "Created", choose: "Chosen" };
    Object.entries(told).forEach(([event, text]) => {
        element.addListener(event, (items) => {
            const names = [items].flat().map((one) => one.name).filter(Boolean);
            tell(`${text}: ${names.join(", ")}`);
        });
    });
    element.addListener("cancel", () => tell("Nothing chosen."));
    element.show(item, current.token, { container, apiHost: api, uploadHost: upload, ...options });
}

/** Preview's viewers are on Box's CDN and nowhere else. */
addEventListener("error", ({ target }) => {
    if (target instanceof HTMLScriptElement && target.src.endsWith("/preview.js") && shown === "preview") {
        const line = document.createElement("p");
        line.className = "caption";
        line.textContent =
            `The file's name came from Box with the broker's token. Its viewer comes from ${new URL(target.src).host}, ` +
            "which this browser cannot reach.";
        stage.append(line);
    }
}, true);

/** The first file of the folder: the Preview shows one. */
async function firstFile() {
    try {
        const token = await current.token(`folder_${folder}`);
        const answer = await fetch(`${api}/2.0/folders/${folder}/items?fields=type,id&limit=100`, {
            headers: { Authorization: `Bearer ${token.read ?? token}` },
        });
        const { entries } = await answer.json();
        return entries.find(({ type }) => type === "file")?.id;
    } catch {
        return undefined;
    }
}

/** Counts what the page asked the broker for, so that one can see how seldom that is. */
new PerformanceObserver((list) => {
    const asked = list.getEntries().filter(({ name }) => name === `${broker}/v1/browser/tokens`);
    at("asked").textContent = Number(at("asked").textContent) + asked.length;
}).observe({ type: "resource", buffered: true });

tabs.forEach((tab) => tab.addEventListener("click", () => show(tab.dataset.element)));
at("open").addEventListener("click", () => begin());
at("cancel").addEventListener("click", () => cancel());
at("write").addEventListener("change", () => begin());

await begin();
