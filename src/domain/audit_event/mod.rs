//! The audit's model: who did what to which tenant, and how it ended.
//!
//! It owns the names of actions and outcomes as they stand in the audit. Counting, chaining and signing records is
//! done by the module `audit`.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::de::value::BorrowedStrDeserializer;
use serde::{Deserialize, Serialize};

use crate::domain::id::{AppId, CallerId, Generation, KeyId, Name, SessionId, TenantId, TrustId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::DenialReason;
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::subject::Subject;

/// The credential with which a caller authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// A token of an OIDC issuer, matched by a trust of the caller.
    Jwt {
        /// Its `iss`.
        issuer: String,
        /// Its `sub`.
        subject: String,
        /// Its `jti`, if it has one.
        token_id: Option<String>,
        /// The trust that matched it.
        trust: TrustId,
    },
    /// A browser session that the caller opened.
    Session(SessionId),
}

/// The party that acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An authenticated caller and its credential.
    Caller {
        /// The caller's id.
        id: CallerId,
        /// The caller's name at the time.
        name: Name,
        /// The credential that it authenticated with.
        credential: Credential,
    },
    /// A client that sent no credential, or one that was not accepted.
    Unknown,
    /// An operator at the command line, with access to the database.
    CommandLine,
    /// The broker itself, for example when it purges a deleted tenant.
    Broker,
}

/// The circumstances of an action: the actor, the request and on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditContext {
    /// The actor.
    pub actor: Actor,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The address from which the request came.
    pub peer: Option<IpAddr>,
    /// The person or job that the caller claims to act for; never checked.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// The policy rule that was waived, by a policy in observe mode.
    pub waived: Option<DenialReason>,
}

impl AuditContext {
    /// The context of the broker's own actions.
    pub const BROKER: Self = Self::for_actor(Actor::Broker);
    /// The context of actions at the command line.
    pub const COMMAND_LINE: Self = Self::for_actor(Actor::CommandLine);

    /// Returns a context for `actor` alone, without a request.
    #[must_use]
    pub const fn for_actor(actor: Actor) -> Self {
        Self { actor, request_id: None, peer: None, on_behalf_of: None, waived: None }
    }

    /// Returns an event for `action` without a target or details.
    #[must_use]
    pub fn event(&self, at: Timestamp, action: AuditAction) -> AuditEvent {
        AuditEvent {
            at,
            actor: self.actor.clone(),
            request_id: self.request_id.clone(),
            peer: self.peer,
            on_behalf_of: self.on_behalf_of.clone(),
            action,
            outcome: AuditOutcome::Done,
            reason: self.waived.map(|rule| rule.observed_name().to_owned()),
            count: 1,
            tenant: None,
            app: None,
            caller: None,
            subject: None,
            scopes: None,
            resource: None,
            fingerprint: None,
            generation: None,
            detail: None,
        }
    }
}

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

/// The outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
    /// It was allowed, and failed.
    Failed,
}

impl AuditOutcome {
    /// Returns the outcome with that name in the audit.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Done, Self::Refused, Self::Failed].into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// Returns the outcome's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One audit event. It identifies tokens by their SHA-256 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// The time.
    pub at: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The address from which the request came.
    pub peer: Option<IpAddr>,
    /// The person or job that the caller claims to act for.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// The action.
    pub action: AuditAction,
    /// The outcome.
    pub outcome: AuditOutcome,
    /// The rule that refused it or would have, or the reason of the failure.
    pub reason: Option<String>,
    /// The number of occurrences: repeats share one record.
    pub count: u64,
    /// The tenant concerned.
    pub tenant: Option<TenantId>,
    /// The app concerned.
    pub app: Option<AppId>,
    /// The caller concerned.
    pub caller: Option<CallerId>,
    /// The subject of the token.
    pub subject: Option<Subject>,
    /// The scopes of the token; `None` is a full token.
    pub scopes: Option<ScopeSet>,
    /// The resource of the token.
    pub resource: Option<Resource>,
    /// SHA-256 of the token, in lower-case hex.
    pub fingerprint: Option<String>,
    /// The generation of the credentials.
    pub generation: Option<Generation>,
    /// The change or its reason, in words without secrets.
    pub detail: Option<String>,
}
