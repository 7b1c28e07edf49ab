//! The audit's model: who did what to which tenant, and how it ended.
//!
//! It owns the names of actions and outcomes as they stand in the audit. Counting, chaining and signing records is
//! done by the module `audit`.

mod action;
mod actor;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::action::AuditAction;
pub use self::actor::{Actor, Credential};
use crate::domain::id::{AppId, CallerId, Generation, TenantId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::DenialReason;
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::subject::Subject;

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
