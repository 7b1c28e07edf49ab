//! The tokens that the sandbox handed out, kept by their SHA-256 alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rsa::sha2::{Digest as _, Sha256};

use crate::random;
use crate::world::item_tree::{ItemKind, Member};

/// How many records are kept before expired ones are first thrown out.
const FIRST_SWEEP: usize = 4096;

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The app's service account in this enterprise.
    Enterprise(String),
    /// This user.
    User(String),
}

impl Subject {
    /// `enterprise:ID` or `user:ID`, as faults and the journal have it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Enterprise(id) => format!("enterprise:{id}"),
            Self::User(id) => format!("user:{id}"),
        }
    }

    /// As whom the subject sees items.
    pub(crate) fn member(&self) -> Member {
        match self {
            Self::Enterprise(_) => Member::ServiceAccounts,
            Self::User(id) => Member::User(id.clone()),
        }
    }
}

/// The one item that a downscoped token is confined to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confinement {
    pub(crate) kind: ItemKind,
    pub(crate) id: String,
    /// Came by a shared link, which opens the item to those who were not invited.
    pub(crate) by_link: bool,
}

/// What a token may do, and until when.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) client_id: String,
    pub(crate) enterprise: String,
    pub(crate) subject: Subject,
    pub(crate) scopes: Vec<String>,
    pub(crate) confinement: Option<Confinement>,
    /// The SHA-256 of the token that this one was downscoped from.
    pub(crate) parent: Option<String>,
    pub(crate) annotator: Option<String>,
    pub(crate) expires_at: Timestamp,
    revoked: AtomicBool,
}

impl Token {
    /// A full token; a downscoped one names its parent.
    pub(crate) fn new(client_id: &str, enterprise: &str, subject: Subject, scopes: Vec<String>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            enterprise: enterprise.to_owned(),
            subject,
            scopes,
            confinement: None,
            parent: None,
            annotator: None,
            expires_at: Timestamp::UNIX_EPOCH,
            revoked: AtomicBool::new(false),
        }
    }

    /// Whether Box would still accept the token at this moment.
    pub(crate) fn live(&self, now: Timestamp) -> bool {
        now < self.expires_at && !self.revoked.load(Ordering::Acquire)
    }
}

/// All tokens handed out.
#[derive(Debug)]
pub(crate) struct Tokens {
    by_sha256: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    tokens: HashMap<String, Arc<Token>>,
    sweep_at: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { by_sha256: Mutex::new(Kept { tokens: HashMap::new(), sweep_at: FIRST_SWEEP }) }
    }
}

impl Tokens {
    /// Keeps the token for `life` seconds from `now` and answers with its text and its SHA-256.
    pub(crate) fn issue(&self, mut token: Token, now: Timestamp, life: i64) -> (String, String) {
        let end = now.checked_add(SignedDuration::from_secs(life));
        token.expires_at = end.unwrap_or(if life < 0 { Timestamp::MIN } else { Timestamp::MAX });
        // Box's own downscoped tokens are longer than its full ones and begin with `1!`.
        let text = match token.parent {
            None => random::alphanumeric(32),
            Some(_) => format!("1!{}", random::alphanumeric(160)),
        };
        let sha256 = sha256(&text);
        let mut kept = self.lock();
        if kept.tokens.len() >= kept.sweep_at {
            kept.tokens.retain(|_, token| token.live(now));
            kept.sweep_at = (kept.tokens.len() * 2).max(FIRST_SWEEP);
        }
        kept.tokens.insert(sha256.clone(), Arc::new(token));
        (text, sha256)
    }

    /// The token of this SHA-256, live or not.
    pub(crate) fn find(&self, sha256: &str) -> Option<Arc<Token>> {
        self.lock().tokens.get(sha256).cloned()
    }

    /// Ends a token, and with `descendants` also all that was downscoped from it.
    pub(crate) fn revoke(&self, sha256: &str, descendants: bool) {
        let kept = self.lock();
        let mut doomed = vec![sha256.to_owned()];
        while let Some(sha256) = doomed.pop() {
            if let Some(token) = kept.tokens.get(&sha256) {
                token.revoked.store(true, Ordering::Release);
            }
            if descendants {
                let of_it = |token: &Token| token.parent.as_deref() == Some(sha256.as_str());
                doomed
                    .extend(kept.tokens.iter().filter(|(_, token)| of_it(token)).map(|(key, _)| key.clone()));
            }
        }
    }

    /// Ends the living tokens that fit, and answers with how many they were.
    pub(crate) fn kill(&self, now: Timestamp, fits: impl Fn(&Token) -> bool) -> usize {
        let kept = self.lock();
        let doomed = kept.tokens.values().filter(|token| token.live(now) && fits(token));
        doomed.map(|token| token.revoked.store(true, Ordering::Release)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.by_sha256.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lower-case hexadecimal SHA-256 of a token's text.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
