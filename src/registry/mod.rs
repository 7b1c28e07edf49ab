//! What admins do: register customers and their Box apps, look after them, and say who may call.

mod apps;
mod audit;
pub mod callers;
mod credential_input;
mod credentials;
pub mod diagnosis;
mod error;
mod keypairs;
mod lockdown;
mod pending_tenants;
pub mod policy;
mod registration;
mod sessions;
pub mod strict_json;
mod tenants;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Semaphore;

pub use self::apps::{AppPatch, AppRegistration, AppView, RegisteredApp, name_of};
pub use self::audit::AuditQuery;
pub use self::credential_input::{CredentialFields, CredentialInput};
pub use self::error::{FieldError, RegistryError};
pub use self::keypairs::steps;
pub use self::lockdown::Lockdown;
pub use self::registration::{AppSource, Registration, RegistrationOutcome};
pub use self::sessions::{CreatedSession, SessionSpec, Sessions};
pub use self::tenants::health::{HealthState, HealthView};
pub use self::tenants::{ListPage, RequestedState, check_tenant_patch};

use self::pending_tenants::RetryTimers;
use crate::auth::RequestContext;
use crate::box_api::BoxClient;
use crate::broker::{Broker, TenantContext};
use crate::clock::Clock;
use crate::config;
use crate::crypto::Vault;
use crate::domain::grant::Permission;
use crate::domain::id::TenantId;
use crate::domain::policy::{AccessRequest, DenialReason};
use crate::domain::tenant::Tenant;
use crate::entropy::Entropy;
use crate::flight::Flights;
use crate::store::{Store, TenantRef};

/// How many private keys are decoded at a time: each may cost a core half a second.
const DECODERS: usize = 2;

/// How long after its end of grace a tenant's credentials are kept at most, for the sake of tokens
/// that Box has not confirmed dead: the longest that a token lives.
const LONGEST_REVOCATION: SignedDuration = SignedDuration::from_mins(75);

/// Looks after tenants, apps and callers.
#[derive(Debug)]
pub struct Registry {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    upstream: Arc<BoxClient>,
    broker: Arc<Broker>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    purge_after: Duration,
    /// The issuers that trusts may name.
    issuers: Vec<String>,
    decoders: Arc<Semaphore>,
    audit_readers: Semaphore,
    trials: Flights<TenantId, Result<(), RegistryError>>,
    waits: Mutex<RetryTimers>,
    /// True where something may be locked and still have tokens in circulation.
    unfinished: AtomicBool,
}

impl Registry {
    /// A registry beside `broker`, made of the same parts.
    #[must_use]
    pub fn new(parts: crate::broker::BrokerParts, broker: Arc<Broker>, settings: &config::Settings) -> Self {
        let crate::broker::BrokerParts { store, vault, upstream, clock, entropy, tasks, .. } = parts;
        Self {
            store,
            vault,
            upstream,
            broker,
            clock,
            entropy,
            purge_after: settings.tenants.purge_after,
            issuers: settings.auth.oidc.iter().map(|issuer| issuer.issuer.clone()).collect(),
            decoders: Arc::new(Semaphore::new(DECODERS)),
            audit_readers: Semaphore::new(audit::READERS),
            trials: Flights::new(tasks),
            waits: Mutex::default(),
            unfinished: AtomicBool::new(true),
        }
    }

    /// A tenant as this context may treat it, and which of its callers may.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] where there is none, or none that the caller has a grant on.
    async fn tenant_for(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        permission: Permission,
    ) -> Result<(RequestContext, Arc<TenantContext>), RegistryError> {
        let view = self.broker.view_for(context, tenant).await?.ok_or(RegistryError::Absent)?;
        let context = require(context, &view.tenant, permission)?;
        Ok((context, view))
    }

    /// The time as rows and answers show it: to the millisecond.
    fn now(&self) -> Timestamp {
        let now = self.clock.wall();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// Those callers that may treat a tenant like this.
fn require(
    context: &RequestContext,
    tenant: &Tenant,
    permission: Permission,
) -> Result<RequestContext, RegistryError> {
    context.those_allowed(tenant, AccessRequest::Admin(permission)).map_err(|rule| match rule {
        None => RegistryError::Absent,
        Some(rule) => RegistryError::Forbidden(DenialReason::as_str(rule)),
    })
}

/// How long what a record tells of a change is at most.
const TOLD: usize = 8 * 1024;

/// What a record tells of a change: each field that differs, as it was and as it is.
fn changes(old: &Value, new: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return String::new() };
    let differ = new.iter().filter_map(|(field, now)| {
        let was = old.get(field).unwrap_or(&Value::Null);
        (was != now).then(|| format!("{field}: {was} -> {now}"))
    });
    shortened(differ.collect::<Vec<_>>().join("; "))
}

fn shortened(mut text: String) -> String {
    if text.len() > TOLD {
        text.truncate(text.floor_char_boundary(TOLD));
        text.push('\u{2026}');
    }
    text
}

/// How often a change is made anew where others come in between.
const ATTEMPTS: usize = 64;

/// Makes a change, and where somebody else's came in between makes it anew upon that, judged anew too:
/// whoever named no version meant the thing as it stands.
async fn on_what_stands<T, F>(change: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    for _ in 1..ATTEMPTS {
        match change().await {
            Err(RegistryError::Overtaken) => {}
            done => return done,
        }
    }
    change().await
}

/// As [`on_what_stands`], and goes on until it succeeds: a lock is not kept off by whoever it is against,
/// however often they change something meanwhile.
async fn against_all<T, F>(change: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let persisting = async {
        loop {
            match change().await {
                Err(RegistryError::Overtaken) => {}
                done => return done,
            }
        }
    };
    tokio::time::timeout(PERSISTENCE, persisting).await.unwrap_or(Err(RegistryError::Overtaken))
}

/// How long a lock is tried.
const PERSISTENCE: Duration = Duration::from_secs(10);

/// Those callers whom a grant on every tenant gives `permission`.
fn require_everywhere(
    context: &RequestContext,
    permission: Permission,
) -> Result<RequestContext, RegistryError> {
    let those = context.those(|caller| caller.holds_everywhere(permission));
    those.ok_or(RegistryError::Forbidden("needs a grant on every tenant"))
}
