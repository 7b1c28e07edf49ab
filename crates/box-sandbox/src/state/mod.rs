//! What one running sandbox knows and remembers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::Clock;
use crate::download::Tickets;
use crate::state::faults::Faults;
use crate::state::journal::Journal;
use crate::state::jti_registry::Replays;
use crate::state::upload_sessions::Sessions;
use crate::storage::Allowance;
use crate::tokens::Tokens;
use crate::world::World;
use crate::world::app::App;
use crate::world::enterprise::{Enterprise, User};
use crate::world::item_tree::Tree;

pub(crate) mod faults;
pub(crate) mod journal;
pub(crate) mod jti_registry;
pub(crate) mod upload_sessions;

/// How large files must be to come in parts, in bytes, as at Box.
const LEAST_IN_PARTS: u64 = 20_000_000;

/// How large parts are, in bytes, as at Box.
const PART: u64 = 8 * 1024 * 1024;

/// How many bytes of uploaded files are kept at most, all together.
const KEPT: u64 = 4 * 1024 * 1024 * 1024;

/// One running sandbox. Apps and enterprises are replaced whole, so that no lock is held while a
/// request is worked on.
#[derive(Debug)]
pub(crate) struct Upstream {
    clock: Box<dyn Clock>,
    skew_seconds: AtomicI64,
    token_life: AtomicI64,
    child_life: AtomicI64,
    apps: RwLock<BTreeMap<String, Arc<App>>>,
    enterprises: RwLock<BTreeMap<String, Arc<Enterprise>>>,
    last_item: AtomicU64,
    least_in_parts: AtomicU64,
    part_size: AtomicU64,
    pub(crate) children_die_with_parent: bool,
    pub(crate) tokens: Tokens,
    pub(crate) replays: Replays,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) sessions: Sessions,
    pub(crate) tickets: Tickets,
    /// Cancelled when the sandbox stops: nobody waits for a hanging answer then.
    pub(crate) closing: CancellationToken,
}

impl Upstream {
    pub(crate) fn new(world: World, clock: Box<dyn Clock>, closing: CancellationToken) -> Self {
        Self {
            clock,
            skew_seconds: AtomicI64::new(0),
            token_life: AtomicI64::new(world.token_life),
            child_life: AtomicI64::new(world.child_life),
            apps: RwLock::new(world.apps.into_iter().map(|(id, app)| (id, Arc::new(app))).collect()),
            enterprises: RwLock::new(
                world.enterprises.into_iter().map(|(id, enterprise)| (id, Arc::new(enterprise))).collect(),
            ),
            last_item: AtomicU64::new(0),
            least_in_parts: AtomicU64::new(LEAST_IN_PARTS),
            part_size: AtomicU64::new(PART),
            children_die_with_parent: world.children_die_with_parent,
            tokens: Tokens::default(),
            replays: Replays::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            allowance: Arc::new(Allowance::new(KEPT)),
            sessions: Sessions::default(),
            tickets: Tickets::default(),
            closing,
        }
    }

    /// The sandbox's own time: its clock's, and the skew that was asked for.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew_seconds.load(Ordering::Relaxed));
        let wall = self.clock.now();
        wall.checked_add(skew).unwrap_or(wall)
    }

    /// Lets the sandbox's time differ from its clock's.
    pub(crate) fn skew(&self, seconds: i64) {
        self.skew_seconds.store(seconds, Ordering::Relaxed);
    }

    /// How many seconds a new token of this app lives.
    pub(crate) fn life(&self, app: &App, downscoped: bool) -> i64 {
        let (own, everyones) =
            if downscoped { (app.child_life, &self.child_life) } else { (app.token_life, &self.token_life) };
        own.unwrap_or_else(|| everyones.load(Ordering::Relaxed))
    }

    /// Sets how long tokens live, for all apps without a life of their own.
    pub(crate) fn set_lives(&self, full: Option<i64>, downscoped: Option<i64>) {
        for (life, place) in [(full, &self.token_life), (downscoped, &self.child_life)] {
            if let Some(life) = life {
                place.store(life, Ordering::Relaxed);
            }
        }
    }

    /// The app of a client id, as it is at this moment.
    pub(crate) fn app(&self, client_id: &str) -> Option<Arc<App>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    /// All apps.
    pub(crate) fn apps(&self) -> Vec<Arc<App>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes an app all at once or, where `change` fails, not at all.
    pub(crate) fn change_app<Problem>(
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
    pub(crate) fn is_service_account(&self, id: &str) -> bool {
        self.apps().iter().any(|app| app.is_service_account(id))
    }

    /// The enterprise of an id, as it is at this moment.
    pub(crate) fn enterprise(&self, id: &str) -> Option<Arc<Enterprise>> {
        self.enterprises.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All enterprises, by id.
    pub(crate) fn enterprises(&self) -> Vec<Arc<Enterprise>> {
        self.enterprises.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes an enterprise's items all at once or, where `change` fails, not at all; answers with
    /// the enterprise as it is then.
    pub(crate) fn change_tree<Done, Problem>(
        &self,
        enterprise: &Arc<Enterprise>,
        change: impl FnOnce(&mut Tree) -> Result<Done, Problem>,
    ) -> Result<(Arc<Enterprise>, Done), Problem> {
        let mut enterprises = self.enterprises.write().unwrap_or_else(PoisonError::into_inner);
        let place = enterprises.entry(enterprise.id.clone()).or_insert_with(|| enterprise.clone());
        let mut changed = Enterprise::clone(place);
        let done = change(&mut changed.tree)?;
        *place = Arc::new(changed);
        Ok((place.clone(), done))
    }

    /// A new id for an item or a version of a file, which no other has.
    pub(crate) fn next_id(&self) -> String {
        (50_000_000_000 + self.last_item.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }

    /// How many bytes a file must have at least to come in parts, and how many a part has.
    pub(crate) fn parts(&self) -> (u64, u64) {
        (self.least_in_parts.load(Ordering::Relaxed), self.part_size.load(Ordering::Relaxed))
    }

    /// Changes what `parts` tells, for sessions to come.
    pub(crate) fn set_parts(&self, least: Option<u64>, size: Option<u64>) {
        for (value, place) in [(least, &self.least_in_parts), (size, &self.part_size)] {
            if let Some(value) = value {
                place.store(value, Ordering::Relaxed);
            }
        }
    }

    /// The user of an id and the enterprise that has them.
    pub(crate) fn user(&self, id: &str) -> Option<(Arc<Enterprise>, User)> {
        let enterprises = self.enterprises();
        enterprises.into_iter().find_map(|enterprise| {
            let user = enterprise.user(id)?.clone();
            Some((enterprise, user))
        })
    }
}
