//! Browser sessions: opened by services for their pages, listed, and ended.

use jiff::SignedDuration;

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
use crate::domain::tenant::Tenant;
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::{Registry, on_what_stands, shortened};
use crate::secret::SecretString;
use crate::store::{
    CallerRef, ChangedEntity, NewBrowserSession, SessionCursor, SessionFilter, SessionSelector, TenantRef,
};

/// How long a session lives where nobody says how long, in seconds; no longer than the policy lets it.
const USUAL_TTL: u64 = 3600;
/// How many sessions are looked at, or ended, at once.
const AT_ONCE: usize = 100;
/// Through how many times as many one request looks for those that it may tell.
const STRETCHES: usize = 10;

/// A session to be opened. Each list holds what it may hold, as the types cannot tell.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// For whom its tokens act.
    pub subject: Subject,
    /// On which files and folders.
    pub resources: Vec<Resource>,
    /// What a token to read with may do.
    pub read: ScopeSet,
    /// What a token to write with may do.
    pub write: Option<ScopeSet>,
    /// On whose pages it is good.
    pub origins: Vec<Origin>,
    /// How many seconds it lives.
    pub ttl: Option<u64>,
    /// How many seconds each of its tokens lives at least.
    pub min_ttl: Option<u64>,
    /// For whom, as the caller claims.
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// A session that was opened, and its text, which is shown this once.
#[derive(Debug)]
pub struct CreatedSession {
    /// The session.
    pub session: BrowserSession,
    /// Its text.
    pub text: SecretString,
}

/// A stretch of a list of sessions, and behind which the next one begins.
pub type Sessions = (Vec<BrowserSession>, Option<SessionCursor>);

impl Registry {
    /// Opens a session, where one of the caller's grants allows each token that it may give, and the
    /// tenant's policy all of it. It stands in the store with its record before its text leaves.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn open_session(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        new: &SessionSpec,
    ) -> Result<CreatedSession, RegistryError> {
        on_what_stands(|| self.open_session_once(context, tenant, new)).await
    }

    async fn open_session_once(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        new: &SessionSpec,
    ) -> Result<CreatedSession, RegistryError> {
        let (context, tenant, view) = self.fresh(context, tenant, Permission::SessionsCreate).await?;
        let (opened, caller, session) = self.judged(&context, &view, new).await?;
        check_against(&tenant.policy, new)?;
        let cause =
            AuditContext { on_behalf_of: new.on_behalf_of.clone(), ..context.audit_context_of(opened) };
        let event = AuditEvent {
            tenant: Some(tenant.id.clone()),
            app: Some(view.app.id.clone()),
            subject: Some(session.subject.clone()),
            scopes: Some(session.read.clone()),
            detail: Some(told(&session)),
            ..cause.event(session.created_at, AuditAction::SessionCreate)
        };
        let new = NewBrowserSession { session: &session, tenant: &tenant, app: &view.app, caller: &caller };
        self.store.insert_browser_session(&new, &event).await?;
        let content = sha256(&session.encoding());
        let text = self.vault.session_signer().sign(session.id.public_part(), &content);
        Ok(CreatedSession { session, text })
    }

    /// The session as the first of the callers would open it that may, and that caller as it stands.
    async fn judged<'a>(
        &self,
        context: &'a RequestContext,
        view: &TenantContext,
        new: &SessionSpec,
    ) -> Result<(&'a AuthenticatedCaller, Caller, BrowserSession), RegistryError> {
        let mut nearest = Denial::NoGrant;
        for opened in context.callers() {
            let caller = self.store.caller(&CallerRef::Id(opened.caller.id.clone())).await?;
            let Some(caller) = caller.filter(|caller| self.still_opens(caller, &opened.credential)) else {
                continue;
            };
            let Some(session) = self.session_of(&caller, &opened.credential, view, new) else { continue };
            match all_allowed(&caller, view, &session) {
                Ok(()) => return Ok((opened, caller, session)),
                Err(refused) => nearest = nearest.max(refused),
            }
        }
        Err(TokenError::from(nearest).into())
    }

    /// True where what a caller came with opens it as it stands. A trust of the settings stands in no row.
    fn still_opens(&self, caller: &Caller, credential: &Credential) -> bool {
        let is_live = match credential {
            Credential::Key(id) => caller.keys.iter().any(|key| key.id == *id && key.is_live(self.now())),
            Credential::Jwt { .. } => true,
            Credential::Session(_) => false,
        };
        is_live && caller.state == CallerState::Active
    }

    fn session_of(
        &self,
        caller: &Caller,
        credential: &Credential,
        view: &TenantContext,
        new: &SessionSpec,
    ) -> Option<BrowserSession> {
        let created_at = self.now();
        let longest = view.tenant.policy.max_session_ttl.seconds();
        let ttl = new.ttl.unwrap_or(USUAL_TTL.min(longest));
        let lives = SignedDuration::from_secs(i64::try_from(ttl).unwrap_or(i64::MAX));
        Some(BrowserSession {
            id: self.new_id(SessionId::generate),
            tenant: view.tenant.id.clone(),
            subject: new.subject.clone(),
            resources: new.resources.clone(),
            read: new.read.clone(),
            write: new.write.clone(),
            origins: new.origins.clone(),
            owner: SessionOwner { caller: caller.id.clone(), credential: SessionCredential::of(credential)? },
            on_behalf_of: new.on_behalf_of.clone(),
            min_ttl: new.min_ttl,
            created_at,
            expires_at: created_at.checked_add(lives).unwrap_or(jiff::Timestamp::MAX),
            cancelled_at: None,
            version: 1,
        })
    }

    /// A stretch of the tenant's sessions that have not expired and that the caller may end, the oldest
    /// first.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn sessions(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        on_behalf_of: Option<OnBehalfOf>,
        mut behind: Option<SessionCursor>,
        limit: usize,
    ) -> Result<Sessions, RegistryError> {
        let (context, view) = self.tenant_for(context, tenant, Permission::SessionsCancel).await?;
        let of = SessionSelector::Tenant(view.tenant.id.clone());
        let filter = SessionFilter { selector: of, on_behalf_of, expires_after: self.now() };
        let may_end = |session: &BrowserSession| those_who_end(&context, &view.tenant, session).is_some();
        let mut found = Vec::new();
        // Others' sessions may be many: then what is found is told, and where it goes on.
        for _ in 0..STRETCHES {
            let stretch = self.store.browser_sessions(&filter, behind.as_ref(), AT_ONCE).await?;
            found.extend(stretch.sessions.into_iter().filter(may_end));
            if found.len() > limit {
                found.truncate(limit);
                let next = found.last().map(SessionCursor::behind);
                return Ok((found, next));
            }
            behind = stretch.next;
            if behind.is_none() || found.len() == limit {
                break;
            }
        }
        Ok((found, behind))
    }

    /// Cancels a session; one that was cancelled already is a success.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] for one that is not there, or not the caller's to end.
    pub async fn cancel_session(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        id: &SessionId,
    ) -> Result<(), RegistryError> {
        let (context, view) = self.tenant_for(context, tenant, Permission::SessionsCancel).await?;
        let session = self.store.browser_session(id).await?;
        let session = session.filter(|session| session.tenant == view.tenant.id);
        let session = session.ok_or(RegistryError::Absent)?;
        let context = those_who_end(&context, &view.tenant, &session).ok_or(RegistryError::Absent)?;
        let cause = context.audit_context();
        self.cancel(&SessionSelector::Tenant(view.tenant.id.clone()), &[session], &cause).await?;
        Ok(())
    }

    /// Cancels all of a tenant's sessions for one person, as far as they are the caller's to end.
    ///
    /// # Errors
    /// As [`RegistryError`] tells. What is cancelled by then, is.
    pub async fn cancel_sessions_for(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        who: &OnBehalfOf,
    ) -> Result<(), RegistryError> {
        let (context, view) = self.tenant_for(context, tenant, Permission::SessionsCancel).await?;
        let filter = SessionFilter {
            selector: SessionSelector::Tenant(view.tenant.id.clone()),
            on_behalf_of: Some(who.clone()),
            expires_after: self.now(),
        };
        let cause = AuditContext { on_behalf_of: Some(who.clone()), ..context.audit_context() };
        let may_end = |session: &BrowserSession| those_who_end(&context, &view.tenant, session).is_some();
        if self.end(&filter, &cause, may_end).await? == 0 {
            self.cancel(&filter.selector, &[], &cause).await?;
        }
        Ok(())
    }

    /// Ends all of these sessions, and tells how many were not cancelled before: what they hang on is gone.
    ///
    /// # Errors
    /// Where the store does not answer. What is cancelled by then, is.
    pub(super) async fn end_sessions(
        &self,
        of: SessionSelector,
        cause: &AuditContext,
        which: impl Fn(&BrowserSession) -> bool,
    ) -> Result<usize, RegistryError> {
        self.end(&SessionFilter { selector: of, on_behalf_of: None, expires_after: self.now() }, cause, which)
            .await
    }

    async fn end(
        &self,
        filter: &SessionFilter,
        cause: &AuditContext,
        which: impl Fn(&BrowserSession) -> bool,
    ) -> Result<usize, RegistryError> {
        let (mut behind, mut ended) = (None, 0);
        loop {
            let stretch = self.store.browser_sessions(filter, behind.as_ref(), AT_ONCE).await?;
            let goes_on = |session: &BrowserSession| session.cancelled_at.is_none() && which(session);
            let sessions: Vec<BrowserSession> = stretch.sessions.into_iter().filter(goes_on).collect();
            if !sessions.is_empty() {
                ended += self.cancel(&filter.selector, &sessions, cause).await?;
            }
            behind = match stretch.next {
                None => return Ok(ended),
                next => next,
            };
        }
    }

    async fn cancel(
        &self,
        of: &SessionSelector,
        sessions: &[BrowserSession],
        cause: &AuditContext,
    ) -> Result<usize, RegistryError> {
        let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
        let named: Vec<&str> = ids.iter().map(SessionId::as_str).collect();
        let detail = match named.len() {
            1 => named.concat(),
            count => format!("{count} browser sessions: {}", named.join(" ")),
        };
        let mut event = AuditEvent {
            detail: Some(shortened(detail)),
            ..cause.event(self.now(), AuditAction::SessionCancel)
        };
        match of {
            SessionSelector::Tenant(id) => event.tenant = Some(id.clone()),
            SessionSelector::App(id) => event.app = Some(id.clone()),
            SessionSelector::Caller(id) => event.caller = Some(id.clone()),
        }
        let cancelled = self.store.cancel_browser_sessions(&ids, &event).await;
        // Whether it was written or not: what is remembered may be old.
        ids.into_iter().for_each(|id| self.broker.forget(&ChangedEntity::Session(id)));
        Ok(cancelled?)
    }

    /// Ends sessions whose opener is gone already, so that lists say so too; they open nothing as it is.
    pub(super) async fn end_orphans(
        &self,
        caller: &Caller,
        cause: &AuditContext,
        which: impl Fn(&BrowserSession) -> bool,
    ) {
        if let Err(error) = self.end_sessions(SessionSelector::Caller(caller.id.clone()), cause, which).await
        {
            tracing::warn!(caller = %caller.id, %error, "sessions that open nothing any more stay listed");
        }
    }
}

/// The context of those callers that may end a session.
fn those_who_end(
    context: &RequestContext,
    tenant: &Tenant,
    session: &BrowserSession,
) -> Option<RequestContext> {
    context.those_allowed(tenant, AccessRequest::SessionCancellation(Some(&session.subject))).ok()
}

/// Judges every token that a session may give.
fn all_allowed(caller: &Caller, view: &TenantContext, session: &BrowserSession) -> Result<(), Denial> {
    let (subject, on_behalf_of) = (&session.subject, session.on_behalf_of.as_ref());
    session.restrictions().try_for_each(|restriction| {
        let ask = AccessRequest::SessionToken { subject, restriction: &restriction, on_behalf_of };
        decide(caller, view, ask).map(drop)
    })
}

/// Refuses what the policy says of sessions alone.
fn check_against(policy: &Policy, new: &SessionSpec) -> Result<(), RegistryError> {
    let mut faults = Vec::new();
    for (place, origin) in new.origins.iter().enumerate() {
        if !policy.browser_origins.contains(origin) {
            let detail = "Not one of the origins that the tenant's policy names in `browser_origins`.";
            faults.push(FieldError::at(format!("/origins/{place}"), detail));
        }
    }
    let longest = policy.max_session_ttl.seconds();
    if new.ttl.is_some_and(|ttl| ttl > longest) {
        let detail =
            format!("The tenant's policy lets a session live {longest} s at most (`max_session_ttl`).");
        faults.push(FieldError::at("/ttl", detail));
    }
    if faults.is_empty() { Ok(()) } else { Err(RegistryError::Invalid(faults)) }
}

fn told(session: &BrowserSession) -> String {
    fn list<T: ToString>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
    let BrowserSession { id, resources, write, origins, expires_at, .. } = session;
    let write = write.as_ref().map_or_else(|| "nothing".to_owned(), ScopeSet::space_separated);
    shortened(format!(
        "{id} until {expires_at}, on {}, to write {write}, at {}",
        list(resources),
        list(origins)
    ))
}
