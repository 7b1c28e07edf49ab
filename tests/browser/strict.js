// A React application in StrictMode's development build, with the Explorer mounted twice. React renders each
// component twice and mounts each effect twice, so that each Explorer makes two providers and is shown twice.
// `window.token` is one of the providers.

const { React, ReactDOM, Box } = window;
const told = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const { tokenProvider } = await import(told.module);

window.seen = { providers: 0, mounts: 0, expired: 0 };

function Explorer({ session }) {
    const place = React.useRef(null);
    const token = React.useMemo(() => {
        window.seen.providers += 1;
        return tokenProvider({
            broker: told.broker,
            session,
            onSessionExpired: async () => {
                window.seen.expired += 1;
                return told.next;
            },
        });
    }, [session]);
    React.useEffect(() => {
        window.seen.mounts += 1;
        window.token = token;
        const explorer = new Box.ContentExplorer();
        explorer.show(told.folder, token, { container: place.current, apiHost: told.api, uploadHost: told.api });
        return () => explorer.hide();
    }, [token]);
    return React.createElement("div", { ref: place, className: "explorer", style: { height: 380 } });
}

const two = ["left", "right"].map((key) => React.createElement(Explorer, { key, session: told.session }));
ReactDOM.createRoot(document.getElementById("root")).render(React.createElement(React.StrictMode, null, two));
