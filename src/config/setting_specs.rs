//! The table of all settings, each with its name, parser and description. The documentation, the errors for unknown
//! names and the documented defaults are made from it.

use std::fmt::Write as _;

use super::trusted_proxies::networks;
use super::value::RawValue;
use super::{DatabaseUrl, LogFormat, RestrictedToMode, Settings, oidc};

/// The specification of one setting.
pub(super) struct SettingSpec {
    /// `section.key`.
    pub name: &'static str,
    /// Whether the value is a secret, which can also be given as `<key>_file`.
    is_secret: bool,
    description: &'static str,
    pub apply: fn(&mut Settings, &RawValue) -> Result<(), String>,
    /// Returns the default as text, or `None` if it is not set by default.
    default_text: fn(&Settings) -> Option<String>,
}

macro_rules! setting {
    ($name:literal, $meaning:literal, $($path:ident).+ = $read:expr, $show:expr) => {
        setting!($name, false, $meaning, $($path).+ = $read, $show)
    };
    ($name:literal, $secret:literal, $meaning:literal, $($path:ident).+ = $read:expr, $show:expr) => {
        SettingSpec {
            name: $name,
            is_secret: $secret,
            description: $meaning,
            apply: |settings, value| {
                let read: fn(&RawValue) -> Result<_, String> = $read;
                settings.$($path).+ = read(value)?;
                Ok(())
            },
            default_text: |settings| text_of(&settings.$($path).+, $show),
        }
    };
}

const YEAR: u64 = 365 * 24 * 3600;
const RESTRICTED_TO: [(&str, RestrictedToMode); 2] =
    [("enforce", RestrictedToMode::Enforce), ("warn", RestrictedToMode::Warn)];
const FORMATS: [(&str, LogFormat); 2] = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

/// The settings, in the order in which they are documented.
pub(super) static SETTINGS: [SettingSpec; 30] = [
    setting!(
        "http.listen",
        "Address and port of the service, admin and browser routes.",
        http.listen = |v| v.address(),
        |address| Some(address.to_string())
    ),
    setting!(
        "http.admin_listen",
        "Moves the admin routes to an address of their own; on other listeners they answer 404.",
        http.admin_listen = |v| v.address().map(Some),
        |address| address.map(|address| address.to_string())
    ),
    setting!(
        "http.browser_listen",
        "Moves the routes for pages in browsers to an address of their own; on other listeners they answer \
         404.",
        http.browser_listen = |v| v.address().map(Some),
        |address| address.map(|address| address.to_string())
    ),
    setting!(
        "http.operations_listen",
        "Address and port of `/healthz` and `/readyz`.",
        http.operations_listen = |v| v.address(),
        |address| Some(address.to_string())
    ),
    setting!(
        "http.public_url",
        "How clients reach the broker, if that is not `http.listen`: an origin such as \
         `https://broker.example.com`.",
        http.public_url = |v| v.origin().map(Some),
        |url| url.as_ref().map(origin_text)
    ),
    setting!(
        "http.trusted_proxies",
        "Addresses and networks (`10.0.0.0/8`) of the proxies whose `X-Forwarded-For` is used: an array, or \
         one text with commas. Not set: none.",
        http.trusted_proxies = |v| networks(v),
        |_| None
    ),
    setting!(
        "database.url",
        true,
        "`sqlite:PATH` (one `serve` at a time) or `postgres://USER:PASSWORD@HOST/DATABASE`.",
        database = |v| DatabaseUrl::parse(v.text()?).map_err(|problem| problem.to_string()),
        |url| match url {
            DatabaseUrl::Sqlite(path) => Some(format!("sqlite:{}", path.display())),
            DatabaseUrl::Postgres(_) => None,
        }
    ),
    setting!(
        "box.api_url",
        "Origin of Box's API: https, or http on a loopback address.",
        box_api.api_url = |v| v.protected_origin(),
        |url| Some(origin_text(url))
    ),
    setting!(
        "box.timeout",
        "Seconds that one attempt at a call to Box may take, 1 to 5. A request takes 5 s in all.",
        box_api.timeout = |v| v.seconds(1, 5),
        seconds
    ),
    setting!(
        "box.proxy",
        true,
        "URL of the HTTP proxy through which Box is reached. `HTTPS_PROXY` and the like are ignored.",
        box_api.proxy = |v| v.proxy().map(Some),
        |_| None
    ),
    setting!(
        "box.ca_file",
        "PEM file of certificate authorities to trust in addition to the usual ones, for a proxy that \
         intercepts TLS.",
        box_api.ca_file = |v| v.path().map(Some),
        |path| path.as_ref().map(|path| path.display().to_string())
    ),
    setting!(
        "box.restricted_to",
        "If Box answers a downscope with other restrictions than requested, `enforce` withholds the token, \
         and `warn` releases it and logs the difference.",
        box_api.restricted_to = |v| v.word(&RESTRICTED_TO),
        |value| word_for(&RESTRICTED_TO, value)
    ),
    SettingSpec {
        name: "keys.source",
        is_secret: false,
        description: "Where the broker's key set comes from: `file`.",
        apply: |_, value| value.word(&[("file", ())]),
        default_text: |_| Some("file".to_owned()),
    },
    setting!(
        "keys.file",
        "The key set's file, as `keys generate` writes it. Only its owner may be able to read it.",
        keys.file = |v| v.path(),
        |path| Some(path.display().to_string())
    ),
    setting!(
        "tokens.min_ttl",
        "Seconds of life that every token has left when it is released, 1 to 3000, but at most a tenth of the \
         life that Box gave it.",
        tokens.min_ttl = |v| v.seconds(1, 3000),
        seconds
    ),
    setting!(
        "tokens.refresh_margin",
        "Seconds before its expiry at which a token in use is renewed, 1 to 3000, but at most a fifth of its \
         life. Not set: 600.",
        tokens.refresh_margin = |v| v.seconds(1, 3000).map(Some),
        |margin| margin.as_ref().and_then(seconds)
    ),
    setting!(
        "tokens.cache_max_bytes",
        "Bytes of memory for cached tokens, from 1048576 (1 MiB).",
        tokens.cache_max_bytes = |v| v.number("bytes", 1 << 20, 1 << 40),
        |bytes| Some(bytes.to_string())
    ),
    setting!(
        "tenants.purge_after",
        "Seconds for which a deleted tenant can be restored. Then its credentials are erased.",
        tenants.purge_after = |v| v.seconds(0, YEAR),
        seconds
    ),
    setting!(
        "audit.window",
        "Seconds after which a repeated release or refusal is recorded once more, with its count, 1 to 3600.",
        audit.window = |v| v.seconds(1, 3600),
        seconds
    ),
    setting!(
        "audit.retention",
        "Seconds for which audit records are kept, in whole days: from 86400 (a day). Not set: for ever.",
        audit.retention = |v| v.seconds(24 * 3600, 100 * YEAR).map(Some),
        |time| time.as_ref().and_then(seconds)
    ),
    setting!(
        "auth.max_policy_age",
        "Seconds for which known callers and policies stay in force while the database is away, 1 to 3600.",
        auth.max_policy_age = |v| v.seconds(1, 3600),
        seconds
    ),
    setting!(
        "auth.oidc",
        "The issuers whose tokens are accepted, each a table: `issuer` (https, exactly as in `iss`), \
         `jwks_url` (otherwise found by discovery), `allow_private` (the issuer may be on a private network). \
         In the environment a JSON array.",
        auth.oidc = oidc::issuers,
        |_| None
    ),
    setting!(
        "auth.trusts",
        "Trusts in addition to those of the callers, each a table: `caller` (the name), `issuer`, `audience`, \
         `subject`, `claims`. In the environment a JSON array.",
        auth.trusts = |v| v.tables(),
        |_| None
    ),
    setting!(
        "limits.mints_in_flight",
        "Mints that run at once. Further ones wait, or are refused with 503.",
        limits.mints_in_flight = |v| v.count("mints", 10_000),
        |count| Some(count.to_string())
    ),
    setting!(
        "limits.connections",
        "Connections that are open at once, per listener.",
        limits.connections = |v| v.count("connections", 1_000_000),
        |count| Some(count.to_string())
    ),
    setting!(
        "limits.unauthenticated_per_peer",
        "Requests a second, and as many at once, from one address (with IPv6 one /64) that fail \
         authentication or carry no credential. Other requests are not counted by address.",
        limits.unauthenticated_per_peer = |v| v.rate(),
        |rate| Some(rate.to_string())
    ),
    setting!(
        "limits.requests_per_caller",
        "Requests a second, and as many at once, of each caller without a `rate_limit` of its own. Not set: \
         no limit.",
        limits.requests_per_caller = |v| v.rate().map(Some),
        |rate| rate.map(|rate| rate.to_string())
    ),
    setting!(
        "limits.requests_per_tenant",
        "Requests a second, and as many at once, of all callers together, for each tenant whose policy has no \
         `rate_limit`. Not set: no limit.",
        limits.requests_per_tenant = |v| v.rate().map(Some),
        |rate| rate.map(|rate| rate.to_string())
    ),
    setting!(
        "log.format",
        "`pretty` for people, `json` for machines.",
        log.format = |v| v.word(&FORMATS),
        |value| word_for(&FORMATS, value)
    ),
    setting!(
        "log.level",
        "`error`, `warn`, `info`, `debug` or `trace`, also by target: `info,box_token_broker::broker=debug`.",
        log.level = |v| v.log_level(),
        |level| Some(level.clone())
    ),
];

fn text_of<T>(setting: &T, show: fn(&T) -> Option<String>) -> Option<String> {
    show(setting)
}

fn origin_text(url: &url::Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that every setting's text has")]
fn seconds(duration: &std::time::Duration) -> Option<String> {
    Some(duration.as_secs().to_string())
}

fn word_for<T: PartialEq>(words: &[(&str, T)], value: &T) -> Option<String> {
    words.iter().find(|(_, one)| one == value).map(|(word, _)| (*word).to_owned())
}

impl SettingSpec {
    /// Returns `section.key`, and `section.key_file` for a secret.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let file = self.is_secret.then(|| format!("{}_file", self.name));
        std::iter::once(self.name.to_owned()).chain(file)
    }

    /// Returns true if the setting is in this section.
    pub(super) fn is_in(&self, section: &str) -> bool {
        self.name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// Returns the setting with this name, and whether the name is its `…_file` form.
pub(super) fn find_spec(name: &str) -> Option<(&'static SettingSpec, bool)> {
    SETTINGS.iter().find_map(|entry| match name.strip_prefix(entry.name)? {
        "" => Some((entry, false)),
        "_file" if entry.is_secret => Some((entry, true)),
        _ => None,
    })
}

/// Returns the settings as the rows of a Markdown table: key, default, meaning.
#[must_use]
pub fn markdown_rows() -> String {
    let defaults = Settings::default();
    let mut rows = String::new();
    for entry in &SETTINGS {
        let default =
            (entry.default_text)(&defaults).map_or_else(|| "–".to_owned(), |text| format!("`{text}`"));
        let file = if entry.is_secret { " Can be given as a file: the same key with `_file`." } else { "" };
        let meaning = entry.description;
        // Writing to a String cannot fail.
        let _ = writeln!(rows, "| `{}` | {default} | {meaning}{file} |", entry.name);
    }
    rows
}
