// A page that makes providers when the suite says so.

const { module, broker } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const { tokenProvider } = await import(module);

/** What a provider of `session` gives for `id`: a token, or the code of the error. */
window.ask = async (session, id) => {
    window.provider ??= {};
    window.provider[session] ??= tokenProvider({ broker, session });
    try {
        const token = await window.provider[session](id);
        return { token };
    } catch (error) {
        return { code: error.code, name: error.name, status: error.status ?? null, text: error.message };
    }
};
document.getElementById("ready").hidden = false;
