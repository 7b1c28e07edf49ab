//! Typed settings: what an operator may choose, from a TOML file and the environment.
//!
//! The environment wins over the file. Whatever is wrong is collected and told at once, each time
//! with where it stands; a name that is not known stops the start, with the nearest one that is.

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

/// Everything that can be set. [`Settings::default`] holds the documented defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker listens.
    pub http: HttpSettings,
    /// Where it keeps what must outlive it.
    pub database: DatabaseUrl,
    /// How it reaches Box.
    pub box_api: BoxSettings,
    /// Where its own keys are.
    pub keys: KeySettings,
    /// How long tokens live on here.
    pub tokens: TokenSettings,
    /// What becomes of deleted tenants.
    pub tenants: TenantSettings,
    /// How the audit is kept.
    pub audit: AuditSettings,
    /// How callers prove themselves, and how long a decision may rest on what was read before.
    pub auth: AuthSettings,
    /// What bounds the work.
    pub limits: LimitSettings,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// `http.*`
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The address of the service, admin and browser routes.
    pub listen: SocketAddr,
    /// Moves the admin routes to an address of their own.
    pub admin_listen: Option<SocketAddr>,
    /// Moves the browser routes to an address of their own.
    pub browser_listen: Option<SocketAddr>,
    /// The address of health and readiness.
    pub operations_listen: SocketAddr,
    /// How clients reach the broker, where that is not `listen`.
    pub public_url: Option<Url>,
    /// Where the proxies are whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// `box.*`
#[derive(Clone, Debug)]
pub struct BoxSettings {
    /// The origin of Box's API: https, or http on loopback.
    pub api_url: Url,
    /// How long one try may take.
    pub timeout: Duration,
    /// The proxy through which Box is reached; its URL may hold a password.
    pub proxy: Option<SecretString>,
    /// PEM file of further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// What to do where Box's `restricted_to` is not what was asked.
    pub restricted_to: RestrictedToMode,
}

/// What to do with a downscoped token whose `restricted_to` is not what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictedToMode {
    /// Keep it back.
    Enforce,
    /// Hand it out and say so in the log.
    Warn,
}

/// `keys.*`
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The key set's file, as `keys generate` writes it.
    pub file: PathBuf,
}

/// `tokens.*`
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The least life with which a token leaves.
    pub min_ttl: Duration,
    /// How long before its end a token is renewed; `None` is the smaller of 10 minutes and a fifth
    /// of its life.
    pub refresh_margin: Option<Duration>,
    /// The most memory that cached tokens take, in bytes.
    pub cache_max_bytes: u64,
}

/// `tenants.*`
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// How long a deleted tenant can be restored.
    pub purge_after: Duration,
}

/// `audit.*`
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// How often repeats of one thing are written down, as one record that tells how many.
    pub window: Duration,
    /// How long records are kept, in whole days; `None` is for ever.
    pub retention: Option<Duration>,
}

/// `auth.*`
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// How long known callers and policies go on while the database is away.
    pub max_policy_age: Duration,
    /// The issuers whose tokens callers can be opened with.
    pub oidc: Vec<IssuerSettings>,
    /// Trusts beside those that stand in the callers' rows.
    pub trusts: Vec<TrustSettings>,
}

/// `limits.*`
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// How many mints may run at once.
    pub mints_in_flight: usize,
    /// How many connections may be open at once.
    pub connections: usize,
    /// How many requests a second one peer may make that fail authentication or carry none.
    pub unauthenticated_per_peer: NonZeroU32,
    /// How many requests a second a caller may make that has no limit of its own.
    pub requests_per_caller: Option<NonZeroU32>,
    /// How many requests a second may be about a tenant that has no limit of its own.
    pub requests_per_tenant: Option<NonZeroU32>,
}

/// `log.*`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or levels by target as in `info,box_token_broker::broker=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
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
    /// The defaults, overridden by `file`, overridden by those variables of `env` that are called
    /// `BTB_<SECTION>__<KEY>`; other variables are not looked at.
    ///
    /// # Errors
    /// Everything that is wrong in both, at once.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let mut all = file.map_or_else(Vec::new, |path| raw_settings::from_file(path, &mut problems));
        all.extend(raw_settings::from_environment(env));
        let mut settings = Self::default();
        for one in resolve::effective(all, &mut problems) {
            one.apply(&mut settings, &mut problems);
        }
        if problems.is_empty() {
            settings.check_together(&mut problems);
        }
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    /// What no setting shows by itself: two listeners on one address, a trust in nobody's tokens.
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
