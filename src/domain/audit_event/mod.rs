//! What the audit records: who did what to which tenant, and how it ended.

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

/// What a caller proved itself with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// A token of an OIDC issuer, which a trust of the caller matches.
    Jwt {
        /// Its `iss`.
        issuer: String,
        /// Its `sub`.
        subject: String,
        /// Its `jti`, where it has one.
        token_id: Option<String>,
        /// The trust that matches it.
        trust: TrustId,
    },
    /// A browser session that the caller opened.
    Session(SessionId),
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An authenticated caller, and what it came with.
    Caller {
        /// The caller.
        id: CallerId,
        /// Its name at the time.
        name: Name,
        /// What it proved itself with.
        credential: Credential,
    },
    /// Somebody whose credential opened nothing, or who sent none.
    Unknown,
    /// Somebody at the command line, with the database in their hands.
    CommandLine,
    /// The broker by itself, such as the purge at the end of a tenant's grace.
    Broker,
}

/// On whose behalf something is done, and in which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditContext {
    /// Who acts.
    pub actor: Actor,
    /// The request in which they do.
    pub request_id: Option<String>,
    /// The address that the request came from.
    pub peer: Option<IpAddr>,
    /// For whom the caller says it acts; claimed, never checked.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// The policy's rule that was waived for it, by a policy that only observes.
    pub waived: Option<DenialReason>,
}

impl AuditContext {
    /// What the broker does by itself.
    pub const BROKER: Self = Self::of(Actor::Broker);
    /// What somebody does at the command line.
    pub const COMMAND_LINE: Self = Self::of(Actor::CommandLine);

    /// What `actor` does, in no request and on nobody's behalf.
    #[must_use]
    pub const fn of(actor: Actor) -> Self {
        Self { actor, request_id: None, peer: None, on_behalf_of: None, waived: None }
    }

    /// A record of `action` with nothing else told yet.
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
            reason: self.waived.map(|rule| rule.observed().to_owned()),
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

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuditAction {
    /// A token was minted at Box, for the service account or a user.
    #[serde(rename = "token.mint")]
    TokenMint,
    /// A token left, fresh or from memory.
    #[serde(rename = "token.release")]
    TokenRelease,
    /// A token was exchanged at Box for a downscoped one.
    #[serde(rename = "token.downscope")]
    TokenDownscope,
    /// A minted token was thrown away, because its credentials had changed meanwhile.
    #[serde(rename = "token.discard")]
    TokenDiscard,
    /// Tokens were revoked because somebody asked for it.
    #[serde(rename = "token.revoke")]
    TokenRevoke,
    /// A webhook's signature was to be checked.
    #[serde(rename = "webhook.verify")]
    WebhookVerify,
    /// A tenant was to be read.
    #[serde(rename = "tenant.read")]
    TenantRead,
    /// A tenant was to be tested.
    #[serde(rename = "tenant.test")]
    TenantTest,
    /// A tenant was registered.
    #[serde(rename = "tenant.create")]
    TenantCreate,
    /// A tenant's fields changed.
    #[serde(rename = "tenant.update")]
    TenantUpdate,
    /// A tenant's tokens are all minted anew from here on.
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
    /// A shared app was to be read.
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
    /// A keypair was made for an app.
    #[serde(rename = "keypair.create")]
    KeypairCreate,
    /// A caller was to be read.
    #[serde(rename = "caller.read")]
    CallerRead,
    /// A caller was made.
    #[serde(rename = "caller.create")]
    CallerCreate,
    /// A caller's fields changed.
    #[serde(rename = "caller.update")]
    CallerUpdate,
    /// A caller was erased.
    #[serde(rename = "caller.delete")]
    CallerDelete,
    /// It was to be explained what a caller would get.
    #[serde(rename = "policy.explain")]
    PolicyExplain,
    /// The audit was to be read.
    #[serde(rename = "audit.read")]
    AuditRead,
    /// A caller was locked because of an incident.
    #[serde(rename = "caller.lockdown")]
    CallerLockdown,
    /// An API key was made.
    #[serde(rename = "key.create")]
    KeyCreate,
    /// An API key was revoked.
    #[serde(rename = "key.revoke")]
    KeyRevoke,
    /// A trust was given to a caller.
    #[serde(rename = "trust.create")]
    TrustCreate,
    /// A trust was taken away.
    #[serde(rename = "trust.delete")]
    TrustDelete,
    /// A browser session was opened.
    #[serde(rename = "session.create")]
    SessionCreate,
    /// Browser sessions were to be read.
    #[serde(rename = "session.read")]
    SessionRead,
    /// Browser sessions were cancelled.
    #[serde(rename = "session.cancel")]
    SessionCancel,
}

impl AuditAction {
    /// The action of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        serde::Deserialize::deserialize(BorrowedStrDeserializer::<serde::de::value::Error>::new(name)).ok()
    }

    /// The action's name in the audit.
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

/// How it ended.
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
    /// The outcome of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Done, Self::Refused, Self::Failed].into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The outcome's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One record. It names tokens by their SHA-256 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The request in which it happened.
    pub request_id: Option<String>,
    /// From which address.
    pub peer: Option<IpAddr>,
    /// For whom, as the caller claims.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// What.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Which rule refused it, or would have, or why it failed.
    pub reason: Option<String>,
    /// How often: repeats are one record.
    pub count: u64,
    /// To which tenant.
    pub tenant: Option<TenantId>,
    /// To which app.
    pub app: Option<AppId>,
    /// To which caller.
    pub caller: Option<CallerId>,
    /// For whom the token acts.
    pub subject: Option<Subject>,
    /// How far the token reaches; `None` is fully.
    pub scopes: Option<ScopeSet>,
    /// On what.
    pub resource: Option<Resource>,
    /// SHA-256 of the token, in lower-case hex.
    pub fingerprint: Option<String>,
    /// Under which state of the credentials.
    pub generation: Option<Generation>,
    /// What changed, or why, in words without secrets.
    pub detail: Option<String>,
}
