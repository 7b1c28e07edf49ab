//! The kinds of action, with their names in the audit.

use serde::de::value::BorrowedStrDeserializer;
use serde::{Deserialize, Serialize};

/// The kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuditAction {
    /// A token was minted at Box, for the service account or a user.
    #[serde(rename = "token.mint")]
    TokenMint,
    /// A token was released to a caller, new or from the cache.
    #[serde(rename = "token.release")]
    TokenRelease,
    /// A token was exchanged at Box for a downscoped one.
    #[serde(rename = "token.downscope")]
    TokenDownscope,
    /// A minted token was discarded, because its credentials had changed meanwhile.
    #[serde(rename = "token.discard")]
    TokenDiscard,
    /// Tokens were revoked on request.
    #[serde(rename = "token.revoke")]
    TokenRevoke,
    /// Verification of a webhook's signature was requested.
    #[serde(rename = "webhook.verify")]
    WebhookVerify,
    /// A request to read a tenant.
    #[serde(rename = "tenant.read")]
    TenantRead,
    /// A request to test a tenant.
    #[serde(rename = "tenant.test")]
    TenantTest,
    /// A tenant was registered.
    #[serde(rename = "tenant.create")]
    TenantCreate,
    /// A tenant's fields changed.
    #[serde(rename = "tenant.update")]
    TenantUpdate,
    /// A tenant's cached tokens were dropped; all are minted anew.
    #[serde(rename = "tenant.flush")]
    TenantFlush,
    /// A tenant's credentials were replaced.
    #[serde(rename = "tenant.credentials")]
    TenantCredentials,
    /// A tenant was taken out of service.
    #[serde(rename = "tenant.delete")]
    TenantDelete,
    /// A tenant was erased.
    #[serde(rename = "tenant.purge")]
    TenantPurge,
    /// A pending tenant came into service.
    #[serde(rename = "tenant.activate")]
    TenantActivate,
    /// A request to read a shared app.
    #[serde(rename = "app.read")]
    AppRead,
    /// A tenant was locked because of an incident.
    #[serde(rename = "tenant.lockdown")]
    TenantLockdown,
    /// A shared app was registered.
    #[serde(rename = "app.create")]
    AppCreate,
    /// A shared app's fields changed.
    #[serde(rename = "app.update")]
    AppUpdate,
    /// A shared app's credentials were replaced.
    #[serde(rename = "app.credentials")]
    AppCredentials,
    /// A shared app was erased.
    #[serde(rename = "app.delete")]
    AppDelete,
    /// A shared app was locked because of an incident.
    #[serde(rename = "app.lockdown")]
    AppLockdown,
    /// A keypair was generated for an app.
    #[serde(rename = "keypair.create")]
    KeypairCreate,
    /// A request to read a caller.
    #[serde(rename = "caller.read")]
    CallerRead,
    /// A caller was created.
    #[serde(rename = "caller.create")]
    CallerCreate,
    /// A caller's fields changed.
    #[serde(rename = "caller.update")]
    CallerUpdate,
    /// A caller was erased.
    #[serde(rename = "caller.delete")]
    CallerDelete,
    /// A request to explain a policy decision.
    #[serde(rename = "policy.explain")]
    PolicyExplain,
    /// A request to read the audit.
    #[serde(rename = "audit.read")]
    AuditRead,
    /// A caller was locked because of an incident.
    #[serde(rename = "caller.lockdown")]
    CallerLockdown,
    /// An API key was created.
    #[serde(rename = "key.create")]
    KeyCreate,
    /// An API key was revoked.
    #[serde(rename = "key.revoke")]
    KeyRevoke,
    /// A trust was added to a caller.
    #[serde(rename = "trust.create")]
    TrustCreate,
    /// A trust was removed from a caller.
    #[serde(rename = "trust.delete")]
    TrustDelete,
    /// A browser session was opened.
    #[serde(rename = "session.create")]
    SessionCreate,
    /// A request to read browser sessions.
    #[serde(rename = "session.read")]
    SessionRead,
    /// Browser sessions were cancelled.
    #[serde(rename = "session.cancel")]
    SessionCancel,
}

impl AuditAction {
    /// Returns the action with that name in the audit.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        serde::Deserialize::deserialize(BorrowedStrDeserializer::<serde::de::value::Error>::new(name)).ok()
    }

    /// Returns the action's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenMint => "token.mint",
            Self::TokenRelease => "token.release",
            Self::TokenDownscope => "token.downscope",
            Self::TokenDiscard => "token.discard",
            Self::TokenRevoke => "token.revoke",
            Self::WebhookVerify => "webhook.verify",
            Self::TenantRead => "tenant.read",
            Self::TenantTest => "tenant.test",
            Self::TenantCreate => "tenant.create",
            Self::TenantUpdate => "tenant.update",
            Self::TenantFlush => "tenant.flush",
            Self::TenantCredentials => "tenant.credentials",
            Self::TenantDelete => "tenant.delete",
            Self::TenantPurge => "tenant.purge",
            Self::TenantActivate => "tenant.activate",
            Self::AppRead => "app.read",
            Self::TenantLockdown => "tenant.lockdown",
            Self::AppCreate => "app.create",
            Self::AppUpdate => "app.update",
            Self::AppCredentials => "app.credentials",
            Self::AppDelete => "app.delete",
            Self::AppLockdown => "app.lockdown",
            Self::KeypairCreate => "keypair.create",
            Self::CallerRead => "caller.read",
            Self::CallerCreate => "caller.create",
            Self::CallerUpdate => "caller.update",
            Self::CallerDelete => "caller.delete",
            Self::PolicyExplain => "policy.explain",
            Self::AuditRead => "audit.read",
            Self::CallerLockdown => "caller.lockdown",
            Self::KeyCreate => "key.create",
            Self::KeyRevoke => "key.revoke",
            Self::TrustCreate => "trust.create",
            Self::TrustDelete => "trust.delete",
            Self::SessionCreate => "session.create",
            Self::SessionRead => "session.read",
            Self::SessionCancel => "session.cancel",
        }
    }
}
