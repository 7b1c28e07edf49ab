//! What one running sandbox knows and remembers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::enterprise::{Enterprise, User};
use super::faults::Faults;
use super::journal::Journal;
use super::replay::Replays;
use super::tokens::Tokens;
use super::world::World;
use crate::clock::Clock;

/// One running sandbox. Enterprises stand still; apps are replaced whole, so that no lock is held
/// while a request is worked on.
#[derive(Debug)]
pub(super) struct Upstream {
    clock: Arc<dyn Clock>,
    skew_seconds: AtomicI64,
    token_life: AtomicI64,
    child_life: AtomicI64,
    apps: RwLock<BTreeMap<String, Arc<App>>>,
    pub(super) enterprises: BTreeMap<String, Enterprise>,
    pub(super) children_die_with_parent: bool,
    pub(super) tokens: Tokens,
    pub(super) replays: Replays,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    /// Cancelled when the sandbox stops: nobody waits for a hanging answer then.
    pub(super) closing: CancellationToken,
}

impl Upstream {
    pub(super) fn new(world: World, clock: Arc<dyn Clock>, closing: CancellationToken) -> Self {
        Self {
            clock,
            skew_seconds: AtomicI64::new(0),
            token_life: AtomicI64::new(world.token_life),
            child_life: AtomicI64::new(world.child_life),
            apps: RwLock::new(world.apps.into_iter().map(|(id, app)| (id, Arc::new(app))).collect()),
            enterprises: world.enterprises,
            children_die_with_parent: world.children_die_with_parent,
            tokens: Tokens::default(),
            replays: Replays::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            closing,
        }
    }

    /// The sandbox's own time: its clock's, and the skew that was asked for.
    pub(super) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew_seconds.load(Ordering::Relaxed));
        let wall = self.clock.wall();
        wall.checked_add(skew).unwrap_or(wall)
    }

    /// Lets the sandbox's time differ from its clock's.
    pub(super) fn skew(&self, seconds: i64) {
        self.skew_seconds.store(seconds, Ordering::Relaxed);
    }

    /// How many seconds a new token of this app lives.
    pub(super) fn life(&self, app: &App, downscoped: bool) -> i64 {
        let (own, everyones) =
            if downscoped { (app.child_life, &self.child_life) } else { (app.token_life, &self.token_life) };
        own.unwrap_or_else(|| everyones.load(Ordering::Relaxed))
    }

    /// Sets how long tokens live, for all apps without a life of their own.
    pub(super) fn set_lives(&self, full: Option<i64>, downscoped: Option<i64>) {
        for (life, place) in [(full, &self.token_life), (downscoped, &self.child_life)] {
            if let Some(life) = life {
                place.store(life, Ordering::Relaxed);
            }
        }
    }

    /// The app of a client id, as it is at this moment.
    pub(super) fn app(&self, client_id: &str) -> Option<Arc<App>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    /// All apps.
    pub(super) fn apps(&self) -> Vec<Arc<App>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes an app all at once or, where `change` fails, not at all.
    pub(super) fn change_app<Problem>(
        &self,
        client_id: &str,
        change: impl FnOnce(&mut App) -> Result<(), Problem>,
    ) -> Option<Result<Arc<App>, Problem>> {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        let place = apps.get_mut(client_id)?;
        let mut app = App::clone(place);
        Some(change(&mut app).map(|()| {
            *place = Arc::new(app);
            place.clone()
        }))
    }

    /// Whether `id` is any app's service account.
    pub(super) fn is_service_account(&self, id: &str) -> bool {
        self.apps().iter().any(|app| app.is_service_account(id))
    }

    /// The enterprise of an id.
    pub(super) fn enterprise(&self, id: &str) -> Option<&Enterprise> {
        self.enterprises.get(id)
    }

    /// The user of an id and the enterprise that has them.
    pub(super) fn user(&self, id: &str) -> Option<(&Enterprise, &User)> {
        self.enterprises.values().find_map(|enterprise| Some((enterprise, enterprise.user(id)?)))
    }
}
