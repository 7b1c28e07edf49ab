//! Who may ask Box at the moment: what Box refused is remembered for a while, and where Box does not
//! answer it is asked once a second and no more.
//!
//! Every call for a token is made for a subject, of a tenant, through an app, at Box. Each of these
//! is a line that can be down. A subject's line goes down with its first failure; a tenant's with
//! its second subject, an app's with its second tenant, Box's own with the third tenant. Whoever
//! went down counts once, until it works again: what is down for long does not keep taking its
//! neighbours with it, and one success on a line brings it up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::box_api::BoxError;
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::clock::{Clock, Monotonic};
use crate::domain::box_refusal::BoxRefusal;
use crate::domain::id::{AppId, Generation, TenantId};
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// How long a refusal of one subject or resource is repeated without asking Box.
const SUBJECT_REFUSED: Duration = Duration::from_secs(10);
/// And one of a tenant or an app.
const WIDELY_REFUSED: Duration = Duration::from_secs(60);
/// How often a line that is down is tried.
const PROBE: Duration = Duration::from_secs(1);
/// How long Box's own wish to be left alone is followed at most, by one subject and by all others: it
/// was said to one, and whether it still holds shows only to those who ask.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_WIDE_PAUSE: Duration = Duration::from_secs(3);
/// How many failing subjects take their tenant down, tenants their app, and tenants Box.
const SUBJECTS: u32 = 2;
const TENANTS_OF_APP: u32 = 2;
const TENANTS: u32 = 3;
/// Beyond so many entries those that nobody asked about for ten minutes are dropped.
const ENTRIES: usize = 50_000;
const FORGOTTEN: Duration = Duration::from_mins(10);

/// What was refused, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Refused {
    Key(TokenKey),
    Tenant(TenantId, Generation),
    App(AppId, Generation),
}

/// What can be down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum BreakerScope {
    Subject(TenantId, Subject),
    Tenant(TenantId),
    App(AppId),
    Box,
}

/// How far an outage reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageScope {
    /// One subject.
    Subject,
    /// One tenant.
    Tenant,
    /// Every tenant of an app.
    App,
    /// Everybody.
    Box,
}

/// The state of one line.
#[derive(Debug)]
struct State {
    /// How many of those below went down since this line last worked.
    below: u32,
    /// True where this line was counted above, until it works again.
    counted: bool,
    /// Where it is down: with what it last failed, and when it may be tried again.
    down: Option<Down>,
    touched: Monotonic,
}

#[derive(Clone, Debug)]
struct Down {
    error: TokenError,
    probe_at: Monotonic,
    /// Who tried last, and until when others come first.
    turn: Option<(TenantId, Monotonic)>,
}

/// Remembers refusals and outages.
#[derive(Debug)]
pub(in crate::broker) struct CircuitBreaker {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    refusals: HashMap<Refused, (TokenError, Monotonic)>,
    lines: HashMap<BreakerScope, State>,
}

impl CircuitBreaker {
    pub(in crate::broker) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// Whether Box might be asked for this now; takes nobody's place as a probe.
    ///
    /// # Errors
    /// As [`CircuitBreaker::admit`].
    pub(in crate::broker) fn check(&self, view: &TenantContext, key: &TokenKey) -> Result<(), TokenError> {
        self.lock().check(view, key, self.clock.monotonic())
    }

    /// Whether Box may be asked for this now; true where a line is down and this is its probe.
    ///
    /// # Errors
    /// What Box refused or failed with, and when to come again.
    pub(in crate::broker) fn admit(&self, view: &TenantContext, key: &TokenKey) -> Result<bool, TokenError> {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.check(view, key, now)?;
        let mut is_probe = false;
        for (line, extent) in &lines(view, key) {
            let Some(state) = inner.lines.get_mut(line) else { continue };
            state.touched = now;
            let Some(down) = &mut state.down else { continue };
            is_probe = true;
            down.probe_at = now.plus(PROBE);
            if matches!(extent, OutageScope::App | OutageScope::Box) {
                down.turn = Some((key.tenant.clone(), now.plus(2 * PROBE)));
            }
        }
        Ok(is_probe)
    }

    /// Takes note of how asking Box ended.
    pub(in crate::broker) fn settle(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        failed: Option<&TokenError>,
    ) {
        match failed {
            None => self.works(view, key),
            Some(error) => match error.refusal() {
                Some(refusal) => {
                    self.remember(view, key, refusal, error);
                    // Box answers, if only with a no.
                    self.works(view, key);
                }
                None if is_outage(error) => self.fails(view, key, error),
                // What Box made of a restriction says nothing of other tokens.
                None if is_protocol(error) => self.refuse(Refused::Key(key.clone()), SUBJECT_REFUSED, error),
                None => {}
            },
        }
    }

    fn works(&self, view: &TenantContext, key: &TokenKey) {
        let mut inner = self.lock();
        if inner.lines.is_empty() {
            return;
        }
        for (line, _) in lines(view, key) {
            inner.lines.remove(&line);
        }
    }

    fn fails(&self, view: &TenantContext, key: &TokenKey, error: &TokenError) {
        let now = self.clock.monotonic();
        let pause = error.retry_after().unwrap_or(PROBE).max(PROBE);
        let mut inner = self.lock();
        inner.tidy(now);
        let down =
            |longest, turn| Down { error: error.clone(), probe_at: now.plus(pause.min(longest)), turn };
        let [(box_line, _), (app, _), (tenant, _), (subject, _)] = lines(view, key);

        let went_down = {
            let state = inner.line(subject, now);
            let was_up = state.down.is_none();
            state.down = Some(down(LONGEST_PAUSE, None));
            was_up
        };
        let tenant_is_new = {
            let state = inner.line(tenant, now);
            state.below += u32::from(went_down);
            if state.down.is_some() || state.below >= SUBJECTS {
                state.down = Some(down(LONGEST_WIDE_PAUSE, None));
            }
            !std::mem::replace(&mut state.counted, true)
        };
        for (line, most) in [(app, TENANTS_OF_APP), (box_line, TENANTS)] {
            let state = inner.line(line, now);
            state.below += u32::from(tenant_is_new);
            if state.down.is_some() || state.below >= most {
                let turn = state.down.take().and_then(|before| before.turn);
                state.down = Some(down(LONGEST_WIDE_PAUSE, turn));
            }
        }
    }

    fn remember(&self, view: &TenantContext, key: &TokenKey, refusal: BoxRefusal, error: &TokenError) {
        let (place, time) = match extent_of(refusal, key) {
            OutageScope::Subject => (Refused::Key(key.clone()), SUBJECT_REFUSED),
            OutageScope::Tenant => (Refused::Tenant(key.tenant.clone(), key.generation), WIDELY_REFUSED),
            OutageScope::App | OutageScope::Box => {
                (Refused::App(view.app.id.clone(), view.app.generation), WIDELY_REFUSED)
            }
        };
        self.refuse(place, time, error);
    }

    /// Answers with `error` for this key, for so long.
    pub(in crate::broker) fn hold(&self, key: &TokenKey, time: Duration, error: &TokenError) {
        self.refuse(Refused::Key(key.clone()), time, error);
    }

    fn refuse(&self, place: Refused, time: Duration, error: &TokenError) {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.tidy(now);
        inner.refusals.insert(place, (error.clone(), now.plus(time)));
    }

    /// True where a tenant's own line is down.
    pub(in crate::broker) fn is_down(&self, tenant: &TenantId) -> bool {
        let inner = self.lock();
        inner.lines.get(&BreakerScope::Tenant(tenant.clone())).is_some_and(|state| state.down.is_some())
    }

    /// Forgets what was refused to a tenant: somebody changed something.
    pub(in crate::broker) fn forgive_tenant(&self, tenant: &TenantId) {
        self.lock().refusals.retain(|place, _| match place {
            Refused::Key(key) => key.tenant != *tenant,
            Refused::Tenant(id, _) => id != tenant,
            Refused::App(..) => true,
        });
    }

    /// Forgets what was refused to an app.
    pub(in crate::broker) fn forgive_app(&self, app: &AppId) {
        self.lock().refusals.retain(|place, _| !matches!(place, Refused::App(id, _) if id == app));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&mut self, view: &TenantContext, key: &TokenKey, now: Monotonic) -> Result<(), TokenError> {
        let places = [
            Refused::App(view.app.id.clone(), view.app.generation),
            Refused::Tenant(key.tenant.clone(), key.generation),
            Refused::Key(key.clone()),
        ];
        for place in places {
            match self.refusals.get(&place) {
                Some((error, until)) if now < *until => return Err(again(error, until.since(now))),
                Some(_) => drop(self.refusals.remove(&place)),
                None => {}
            }
        }
        for (line, extent) in &lines(view, key) {
            let Some(down) = self.lines.get(line).and_then(|state| state.down.as_ref()) else { continue };
            let others_first = down.turn.as_ref().filter(|(tenant, _)| *tenant == key.tenant);
            let from = others_first.map_or(down.probe_at, |(_, until)| down.probe_at.max(*until));
            if now < from {
                let error = Box::new(down.error.clone());
                return Err(TokenError::Down { extent: *extent, error, retry_after: from.since(now) });
            }
        }
        Ok(())
    }

    fn line(&mut self, line: BreakerScope, now: Monotonic) -> &mut State {
        let state =
            self.lines.entry(line).or_insert(State { below: 0, counted: false, down: None, touched: now });
        state.touched = now;
        state
    }

    fn tidy(&mut self, now: Monotonic) {
        if self.refusals.len() > ENTRIES {
            self.refusals.retain(|_, (_, until)| now < *until);
        }
        if self.lines.len() > ENTRIES {
            self.lines.retain(|_, state| now.since(state.touched) < FORGOTTEN);
        }
    }
}

/// The lines that a call goes through, the widest first.
fn lines(view: &TenantContext, key: &TokenKey) -> [(BreakerScope, OutageScope); 4] {
    [
        (BreakerScope::Box, OutageScope::Box),
        (BreakerScope::App(view.app.id.clone()), OutageScope::App),
        (BreakerScope::Tenant(key.tenant.clone()), OutageScope::Tenant),
        (BreakerScope::Subject(key.tenant.clone(), key.subject.clone()), OutageScope::Subject),
    ]
}

/// How far a refusal reaches. What Box says of one user's request may be true of that user alone,
/// who can even be another enterprise's: it never speaks for the tenant.
pub(in crate::broker) fn extent_of(refusal: BoxRefusal, key: &TokenKey) -> OutageScope {
    match refusal {
        _ if refusal.concerns_the_app() => OutageScope::App,
        BoxRefusal::AppNotAuthorized | BoxRefusal::CcgNotAuthorized if key.subject == Subject::ENTERPRISE => {
            OutageScope::Tenant
        }
        _ => OutageScope::Subject,
    }
}

/// What is said of a refusal that is remembered for this time yet.
fn again(error: &TokenError, left: Duration) -> TokenError {
    match is_outage(error) {
        true => TokenError::Down {
            extent: OutageScope::Subject,
            error: Box::new(error.clone()),
            retry_after: left,
        },
        false => error.clone(),
    }
}

/// True where Box did not answer as it should, rather than with a no.
fn is_outage(error: &TokenError) -> bool {
    let TokenError::Box(error) = error else { return false };
    error.is_outage()
}

/// True where Box answered, and made no sense.
fn is_protocol(error: &TokenError) -> bool {
    matches!(error, TokenError::Box(error) if matches!(error.as_ref(), BoxError::Protocol { .. }))
}
