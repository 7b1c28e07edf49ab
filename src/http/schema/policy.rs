//! A tenant's policy.

use serde::Serialize;

use crate::domain::policy::PolicyMode;
use crate::domain::rate_limit::RateLimit;

/// The tokens that may be released, whatever grants say.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Policy)]
pub(crate) struct PolicySchema {
    /// The permitted subjects: `enterprise`, `user:*` or `user:` and an id.
    #[schema(required = false, example = json!(["enterprise", "user:*"]))]
    subjects: Vec<String>,
    /// The scopes that tokens may have. If set, no full token is released.
    #[schema(required = false)]
    scopes: Option<Vec<String>>,
    /// If false, no full token is released.
    #[schema(required = false, default = true)]
    full_tokens: bool,
    /// The origins whose pages may have browser sessions, as browsers send them, each once.
    #[schema(required = false, max_items = 100, example = json!(["https://app.example.com"]))]
    browser_origins: Vec<String>,
    /// The longest life of a browser session in seconds.
    #[schema(required = false, minimum = 60, maximum = 86400, default = 28800)]
    max_session_ttl: u64,
    /// If true, a token request must say on whose behalf it is made (`on_behalf_of`).
    #[schema(required = false, default = false)]
    require_on_behalf_of: bool,
    /// `observe` releases what `subjects`, `scopes`, `full_tokens` and `require_on_behalf_of` would refuse, and
    /// the audit record names the rule.
    #[schema(required = false, default = "enforce")]
    mode: PolicyMode,
    /// The rate limit of requests about the tenant; the settings' limit if omitted.
    #[schema(required = false)]
    rate_limit: Option<RateLimit>,
}
