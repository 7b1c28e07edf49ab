//! The opening of a browser session.

use jiff::{SignedDuration, Timestamp};

use super::Sessions;
use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::broker::decision::{Denial, decide};
use crate::broker::{TenantContext, TokenError};
use crate::crypto::sha256;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent, Credential};
use crate::domain::caller::{Caller, CallerState};
use crate::domain::grant::Permission;
use crate::domain::id::SessionId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::origin::Origin;
use crate::domain::policy::{AccessRequest, Policy};
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::session::{BrowserSession, SessionCredential, SessionOwner};
use crate::domain::subject::Subject;
use crate::registry::audit_detail::truncate;
use crate::registry::deps::Deps;
use crate::registry::error::{FieldError, RegistryError, require_none};
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows;
use crate::secret::SecretString;
use crate::store::{CallerRef, NewBrowserSession, TenantRef};

/// The life of a session without a requested one, in seconds; at most the maximum of the policy.
const DEFAULT_TTL: u64 = 3600;

/// A request to open a session. The lists have been checked for length and duplicates.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The subject of the session's tokens.
    pub subject: Subject,
    /// The files and folders that the tokens are for.
    pub resources: Vec<Resource>,
    /// The scopes of a token for reading.
    pub read: ScopeSet,
    /// The scopes of a token for writing, if the session allows it.
    pub write: Option<ScopeSet>,
    /// The origins of the pages that may use the session.
    pub origins: Vec<Origin>,
    /// The life of the session, in seconds.
    pub ttl: Option<u64>,
    /// The minimum life of each of its tokens, in seconds.
    pub min_ttl: Option<u64>,
    /// The person on whose behalf the session is opened, as the caller claims.
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// A new session and its secret text, which is shown this once.
#[derive(Debug)]
pub struct CreatedSession {
    /// The session.
    pub session: BrowserSession,
    /// The secret text.
    pub text: SecretString,
}

impl Sessions {
    /// Opens a session, if one of the caller's grants allows every token that it can release and the tenant's policy
    /// allows all of it. The session and its audit record are committed before its text is returned.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is stored then.
    pub async fn open(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        spec: &SessionSpec,
    ) -> Result<CreatedSession, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (context, view) =
                rows::tenants::load_tenant(deps, context, tenant, Permission::SessionsCreate).await?;
            let (TenantContext { tenant, app }, on_behalf_of) = (&*view, spec.on_behalf_of.clone());
            let (owner, caller, session) = find_permitted_caller(deps, &context, &view, spec).await?;
            check_policy(&tenant.policy, spec)?;
            let cause = AuditContext { on_behalf_of, ..context.audit_context_of(owner) };
            let event = AuditEvent {
                tenant: Some(tenant.id.clone()),
                app: Some(app.id.clone()),
                subject: Some(session.subject.clone()),
                scopes: Some(session.read.clone()),
                detail: Some(describe_session(&session)),
                ..cause.event(session.created_at, AuditAction::SessionCreate)
            };
            let new = NewBrowserSession { session: &session, tenant, app, caller: &caller };
            deps.store.insert_browser_session(&new, &event).await?;
            let content = sha256(&session.encoding());
            let text = deps.vault.session_signer().sign(session.id.public_part(), &content);
            Ok(CreatedSession { session, text })
        })
        .await
    }
}

/// Returns the first of the callers that may open the session, its stored row, and the session.
async fn find_permitted_caller<'a>(
    deps: &Deps,
    context: &'a RequestContext,
    view: &TenantContext,
    spec: &SessionSpec,
) -> Result<(&'a AuthenticatedCaller, Caller, BrowserSession), RegistryError> {
    let mut denial = Denial::NoGrant;
    for owner in context.callers() {
        let caller = deps.store.caller(&CallerRef::Id(owner.caller.id.clone())).await?;
        let is_valid = |caller: &Caller| is_credential_still_valid(caller, &owner.credential, deps.now());
        let Some(caller) = caller.filter(is_valid) else { continue };
        let Some(session) = new_session(deps, &caller, &owner.credential, view, spec) else { continue };
        match decide_on_all_tokens(&caller, view, &session) {
            Ok(()) => return Ok((owner, caller, session)),
            Err(refused) => denial = denial.max(refused),
        }
    }
    Err(TokenError::from(denial).into())
}

/// Returns true if the stored caller is not locked and still has the API key. The trust behind a token was checked when
/// the request was authenticated, and trusts of the settings are in no row.
fn is_credential_still_valid(caller: &Caller, credential: &Credential, now: Timestamp) -> bool {
    let is_live = match credential {
        Credential::Key(id) => caller.keys.iter().any(|key| key.id == *id && key.is_live(now)),
        Credential::Jwt { .. } => true,
        Credential::Session(_) => false,
    };
    is_live && caller.state == CallerState::Active
}

/// Returns the session as a caller would open it; `None` with a credential that cannot open sessions.
fn new_session(
    deps: &Deps,
    caller: &Caller,
    credential: &Credential,
    view: &TenantContext,
    spec: &SessionSpec,
) -> Option<BrowserSession> {
    let created_at = deps.now();
    let max_ttl = view.tenant.policy.max_session_ttl.seconds();
    let ttl = spec.ttl.unwrap_or(DEFAULT_TTL.min(max_ttl));
    let ttl = SignedDuration::from_secs(i64::try_from(ttl).unwrap_or(i64::MAX));
    Some(BrowserSession {
        id: deps.new_id(SessionId::generate),
        tenant: view.tenant.id.clone(),
        subject: spec.subject.clone(),
        resources: spec.resources.clone(),
        read: spec.read.clone(),
        write: spec.write.clone(),
        origins: spec.origins.clone(),
        owner: SessionOwner { caller: caller.id.clone(), credential: SessionCredential::of(credential)? },
        on_behalf_of: spec.on_behalf_of.clone(),
        min_ttl: spec.min_ttl,
        created_at,
        expires_at: created_at.checked_add(ttl).unwrap_or(Timestamp::MAX),
        cancelled_at: None,
        version: 1,
    })
}

/// Decides on every token that a session can release.
fn decide_on_all_tokens(
    caller: &Caller,
    view: &TenantContext,
    session: &BrowserSession,
) -> Result<(), Denial> {
    let (subject, on_behalf_of) = (&session.subject, session.on_behalf_of.as_ref());
    session.restrictions().try_for_each(|restriction| {
        let request = AccessRequest::SessionToken { subject, restriction: &restriction, on_behalf_of };
        decide(caller, view, request).map(drop)
    })
}

/// Checks the origins and the life of a session against the tenant's policy.
fn check_policy(policy: &Policy, spec: &SessionSpec) -> Result<(), RegistryError> {
    let mut errors = Vec::new();
    for (index, origin) in spec.origins.iter().enumerate() {
        if !policy.browser_origins.contains(origin) {
            let detail = "Not one of the origins that the tenant's policy names in `browser_origins`.";
            errors.push(FieldError::at(format!("/origins/{index}"), detail));
        }
    }
    let max_ttl = policy.max_session_ttl.seconds();
    if spec.ttl.is_some_and(|ttl| ttl > max_ttl) {
        let detail =
            format!("The tenant's policy lets a session live {max_ttl} s at most (`max_session_ttl`).");
        errors.push(FieldError::at("/ttl", detail));
    }
    require_none(errors)
}

/// Describes a session for the audit.
fn describe_session(session: &BrowserSession) -> String {
    fn join_with_spaces<T: ToString>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
    let BrowserSession { id, resources, write, origins, expires_at, .. } = session;
    let write = write.as_ref().map_or_else(|| "nothing".to_owned(), ScopeSet::space_separated);
    truncate(format!(
        "{id} until {expires_at}, on {}, to write {write}, at {}",
        join_with_spaces(resources),
        join_with_spaces(origins)
    ))
}
