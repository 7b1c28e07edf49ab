//! The operator's settings, typed, from a TOML file and the environment.
//!
//! The environment overrides the file. All problems are reported at once, each with its file and line or variable. An
//! unknown name is an error that names the most similar setting. Nothing here uses the settings.

mod database;
mod error;
mod oidc;
mod raw_settings;
mod resolve;
mod setting_specs;
mod trusted_proxies;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::secret::SecretString;

pub use database::{DatabaseUrl, InvalidDatabaseUrl};
pub use error::{SettingsError, SettingsProblem};
pub use oidc::{IssuerSettings, TrustSettings};
pub use setting_specs::markdown_rows;

/// All settings. [`Settings::default`] holds the documented defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The listeners and addresses of the broker.
    pub http: HttpSettings,
    /// The database.
    pub database: DatabaseUrl,
    /// The connection to Box.
    pub box_api: BoxSettings,
    /// The broker's own keys.
    pub keys: KeySettings,
    /// The lifetimes of tokens and the size of their cache.
    pub tokens: TokenSettings,
    /// The treatment of deleted tenants.
    pub tenants: TenantSettings,
    /// The keeping of the audit.
    pub audit: AuditSettings,
    /// The authentication of callers, and the maximum age of cached policies.
    pub auth: AuthSettings,
    /// The limits on work and requests.
    pub limits: LimitSettings,
    /// The level and format of logs.
    pub log: LogSettings,
}

/// `http.*`
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The address of the service, admin and browser routes.
    pub listen: SocketAddr,
    /// A separate address for the admin routes.
    pub admin_listen: Option<SocketAddr>,
    /// A separate address for the browser routes.
    pub browser_listen: Option<SocketAddr>,
    /// The address of health and readiness.
    pub operations_listen: SocketAddr,
    /// The URL by which clients reach the broker, if it differs from `listen`.
    pub public_url: Option<Url>,
    /// The networks of the proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
}

/// `box.*`
#[derive(Clone, Debug)]
pub struct BoxSettings {
    /// The origin of Box's API: https, or http on loopback.
    pub api_url: Url,
    /// The time limit of one attempt.
    pub timeout: Duration,
    /// The URL of the proxy to Box, which may hold a password.
    pub proxy: Option<SecretString>,
    /// A PEM file of additional trusted certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// The handling of a token whose `restricted_to` is not as requested.
    pub restricted_to: RestrictedToMode,
}

/// The handling of a downscoped token whose `restricted_to` is not as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictedToMode {
    /// Withhold it.
    Enforce,
    /// Release it and log a warning.
    Warn,
}

/// `keys.*`
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The file of the key set, as written by `keys generate`.
    pub file: PathBuf,
}

/// `tokens.*`
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The minimum remaining lifetime of a token when it is released.
    pub min_ttl: Duration,
    /// The time before its expiry at which a token is renewed; `None` is the smaller of 10 minutes and a fifth of its
    /// lifetime.
    pub refresh_margin: Option<Duration>,
    /// The maximum memory of cached tokens, in bytes.
    pub cache_max_bytes: u64,
}

/// `tenants.*`
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// The time for which a deleted tenant can be restored.
    pub purge_after: Duration,
}

/// `audit.*`
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// The interval at which repeats of an event are recorded, as one record with their number.
    pub window: Duration,
    /// The time for which records are kept, in whole days; `None` is for ever.
    pub retention: Option<Duration>,
}

/// `auth.*`
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The maximum age of cached callers and policies while the database is unavailable.
    pub max_policy_age: Duration,
    /// The OIDC issuers whose tokens are accepted.
    pub oidc: Vec<IssuerSettings>,
    /// The trusts from the settings, in addition to those of the callers' rows.
    pub trusts: Vec<TrustSettings>,
}

/// `limits.*`
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// The maximum number of concurrent mints.
    pub mints_in_flight: usize,
    /// The maximum number of open connections.
    pub connections: usize,
    /// The requests per second that one peer may send without valid authentication.
    pub unauthenticated_per_peer: NonZeroU32,
    /// The requests per second of a caller that has no limit of its own.
    pub requests_per_caller: Option<NonZeroU32>,
    /// The requests per second for a tenant that has no limit of its own.
    pub requests_per_tenant: Option<NonZeroU32>,
}

/// `log.*`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The format of log lines.
    pub format: LogFormat,
    /// A level, or levels by target as in `info,box_token_broker::broker=debug`.
    pub level: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Default for Settings {
    #[expect(clippy::expect_used, reason = "the literal is a URL, and a test reads it")]
    fn default() -> Self {
        Self {
            http: HttpSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                admin_listen: None,
                browser_listen: None,
                operations_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
                public_url: None,
                trusted_proxies: Vec::new(),
            },
            database: DatabaseUrl::Sqlite(PathBuf::from("box-token-broker.db")),
            box_api: BoxSettings {
                api_url: Url::parse("https://api.box.com").expect("a URL"),
                timeout: Duration::from_secs(4),
                proxy: None,
                ca_file: None,
                restricted_to: RestrictedToMode::Enforce,
            },
            keys: KeySettings { file: PathBuf::from("keys.json") },
            tokens: TokenSettings {
                min_ttl: Duration::from_secs(300),
                refresh_margin: None,
                cache_max_bytes: 64 * 1024 * 1024,
            },
            tenants: TenantSettings { purge_after: Duration::from_secs(7 * 24 * 3600) },
            audit: AuditSettings { window: Duration::from_secs(60), retention: None },
            auth: AuthSettings {
                max_policy_age: Duration::from_secs(300),
                oidc: Vec::new(),
                trusts: Vec::new(),
            },
            limits: LimitSettings {
                mints_in_flight: 64,
                connections: 10_000,
                unauthenticated_per_peer: NonZeroU32::MIN.saturating_add(49),
                requests_per_caller: None,
                requests_per_tenant: None,
            },
            log: LogSettings { format: LogFormat::Pretty, level: "info".to_owned() },
        }
    }
}

impl Settings {
    /// Returns the defaults, overridden by `file` and then by the variables of `env` named `BTB_<SECTION>__<KEY>`; other
    /// variables are ignored.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem in both.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let mut all = file.map_or_else(Vec::new, |path| raw_settings::from_file(path, &mut problems));
        all.extend(raw_settings::from_environment(env));
        let mut settings = Self::default();
        for setting in resolve::resolve(all, &mut problems) {
            setting.apply(&mut settings, &mut problems);
        }
        if problems.is_empty() {
            settings.check_together(&mut problems);
        }
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    /// Checks rules across settings: each listener has its own address, each trust a configured issuer.
    fn check_together(&self, problems: &mut Vec<SettingsProblem>) {
        problems.extend(self.auth.unknown_issuers().map(|detail| SettingsProblem::new("settings", detail)));
        let listeners = [
            ("http.listen", Some(self.http.listen)),
            ("http.admin_listen", self.http.admin_listen),
            ("http.browser_listen", self.http.browser_listen),
            ("http.operations_listen", Some(self.http.operations_listen)),
        ];
        for (index, (name, address)) in listeners.iter().enumerate() {
            let same = listeners[..index].iter().find(|(_, other)| address.is_some() && address == other);
            // Port 0 is a new port each time.
            if let (Some((other, _)), Some(address)) = (same, address)
                && address.port() != 0
            {
                problems.push(SettingsProblem::new(
                    "settings",
                    format!("{other} and {name} are both {address}: give each its own port"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
