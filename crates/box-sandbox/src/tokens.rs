//! The access tokens that the sandbox has issued.
//!
//! This module owns tokens and the store that keeps them, by their SHA-256 and never in plain text. It must not
//! know why a token is issued.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::digest::sha256_hex;
use crate::random;
use crate::world::{Collaborator, Item, ItemKind, ItemTree};

/// The number of stored tokens at which expired ones are first removed.
const FIRST_CLEANUP: usize = 4096;

/// The account that a token acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSubject {
    /// The app's service account in this enterprise.
    Enterprise(String),
    /// This user.
    User(String),
}

impl TokenSubject {
    /// Returns `enterprise:ID` or `user:ID`, the form that the control plane uses.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Enterprise(id) => format!("enterprise:{id}"),
            Self::User(id) => format!("user:{id}"),
        }
    }

    /// Returns the collaborator as which the subject sees items.
    pub(crate) fn collaborator(&self) -> Collaborator {
        match self {
            Self::Enterprise(_) => Collaborator::ServiceAccounts,
            Self::User(id) => Collaborator::User(id.clone()),
        }
    }
}

/// The one item to which a downscoped token is restricted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ItemRestriction {
    pub(crate) kind: ItemKind,
    pub(crate) id: String,
    /// True if the token was exchanged for a shared link, which opens the item even to those who were not invited.
    pub(crate) by_link: bool,
}

/// An issued token: its subject, its permissions and its lifetime.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) client_id: String,
    pub(crate) enterprise: String,
    pub(crate) subject: TokenSubject,
    pub(crate) scopes: Vec<String>,
    pub(crate) restriction: Option<ItemRestriction>,
    /// The SHA-256 of the token that this one was downscoped from; `None` for a full token.
    pub(crate) parent: Option<String>,
    /// The external user id of the annotator, if the exchange named one.
    pub(crate) annotator: Option<String>,
    pub(crate) expires_at: Timestamp,
    revoked: AtomicBool,
}

impl IssuedToken {
    /// Returns a full token that is not stored yet.
    pub(crate) fn new(client_id: &str, enterprise: &str, subject: TokenSubject, scopes: Vec<String>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            enterprise: enterprise.to_owned(),
            subject,
            scopes,
            restriction: None,
            parent: None,
            annotator: None,
            expires_at: Timestamp::UNIX_EPOCH,
            revoked: AtomicBool::new(false),
        }
    }

    /// Reports whether the token is neither expired nor revoked.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && !self.revoked.load(Ordering::Acquire)
    }

    /// Reports whether the token can be used for an item by `actor`: the item is within the token's restriction,
    /// and the actor was invited to it or the token was exchanged for a shared link.
    pub(crate) fn reaches(&self, items: &ItemTree, actor: &Collaborator, item: &Item) -> bool {
        let Some(restriction) = &self.restriction else { return items.can_see(actor, item) };
        (restriction.by_link || items.can_see(actor, item)) && items.is_within(item, &restriction.id)
    }

    fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }
}

/// All issued tokens.
#[derive(Debug)]
pub(crate) struct IssuedTokens(Mutex<TokenTable>);

#[derive(Debug)]
struct TokenTable {
    by_sha256: HashMap<String, Arc<IssuedToken>>,
    /// The number of tokens at which expired ones are removed next.
    cleanup_at: usize,
}

impl Default for IssuedTokens {
    fn default() -> Self {
        Self(Mutex::new(TokenTable { by_sha256: HashMap::new(), cleanup_at: FIRST_CLEANUP }))
    }
}

impl IssuedTokens {
    /// Stores a token that expires `lifetime` seconds after `now`. Returns its text and its SHA-256.
    pub(crate) fn issue(&self, mut token: IssuedToken, now: Timestamp, lifetime: i64) -> (String, String) {
        let end = now.checked_add(SignedDuration::from_secs(lifetime));
        token.expires_at = end.unwrap_or(if lifetime < 0 { Timestamp::MIN } else { Timestamp::MAX });
        // Box's downscoped tokens are longer than its full ones and begin with `1!`.
        let text = match token.parent {
            None => random::alphanumeric(32),
            Some(_) => format!("1!{}", random::alphanumeric(160)),
        };
        let sha256 = sha256_hex(&text);
        let mut table = self.lock();
        if table.by_sha256.len() >= table.cleanup_at {
            table.by_sha256.retain(|_, token| token.is_live(now));
            table.cleanup_at = (table.by_sha256.len() * 2).max(FIRST_CLEANUP);
        }
        table.by_sha256.insert(sha256.clone(), Arc::new(token));
        (text, sha256)
    }

    /// Returns the token with this SHA-256, live or not.
    pub(crate) fn find(&self, sha256: &str) -> Option<Arc<IssuedToken>> {
        self.lock().by_sha256.get(sha256).cloned()
    }

    /// Revokes a token and, if `descendants` is true, all tokens that were downscoped from it.
    pub(crate) fn revoke(&self, sha256: &str, descendants: bool) {
        let table = self.lock();
        let mut pending = vec![sha256.to_owned()];
        while let Some(sha256) = pending.pop() {
            if let Some(token) = table.by_sha256.get(&sha256) {
                token.revoke();
            }
            if descendants {
                let is_child = |token: &IssuedToken| token.parent.as_deref() == Some(sha256.as_str());
                let children = table.by_sha256.iter().filter(|(_, token)| is_child(token));
                pending.extend(children.map(|(sha256, _)| sha256.clone()));
            }
        }
    }

    /// Revokes all live tokens that match, and returns their number.
    pub(crate) fn revoke_matching(&self, now: Timestamp, matches: impl Fn(&IssuedToken) -> bool) -> usize {
        let table = self.lock();
        let matching = table.by_sha256.values().filter(|token| token.is_live(now) && matches(token));
        matching.map(|token| token.revoke()).count()
    }

    fn lock(&self) -> MutexGuard<'_, TokenTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
