//! A tenant's policy.

use serde::Serialize;

use crate::domain::policy::PolicyMode;
use crate::domain::rate_limit::RateLimit;

/// What tokens may leave, whatever anyone's grants.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Policy)]
pub(crate) struct PolicySchema {
    /// For which subjects: `enterprise`, `user:*` or `user:` and an id.
    #[schema(required = false, example = json!(["enterprise", "user:*"]))]
    subjects: Vec<String>,
    /// Within which scopes; where set, no full token leaves.
    #[schema(required = false)]
    scopes: Option<Vec<String>>,
    /// Whether full tokens may leave.
    #[schema(required = false, default = true)]
    full_tokens: bool,
    /// Whose pages may have browser sessions: origins as browsers send them, each once.
    #[schema(required = false, max_items = 100, example = json!(["https://app.example.com"]))]
    browser_origins: Vec<String>,
    /// How many seconds a browser session lives at most.
    #[schema(required = false, minimum = 60, maximum = 86400, default = 28800)]
    max_session_ttl: u64,
    /// Whether whoever asks for a token has to say for whom (`on_behalf_of`).
    #[schema(required = false, default = false)]
    require_on_behalf_of: bool,
    /// `observe`: what `subjects`, `scopes`, `full_tokens` and `require_on_behalf_of` would refuse
    /// leaves, and the record names the rule.
    #[schema(required = false, default = "enforce")]
    mode: PolicyMode,
    /// How often the tenant may be asked about; what the settings say, where left out.
    #[schema(required = false)]
    rate_limit: Option<RateLimit>,
}
