//! Faults on order: which requests they strike and what they do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::http::request::Call;

/// A fault as it is ordered by `POST /sandbox/faults`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Which requests it strikes; without any field, all.
    #[serde(default)]
    pub(crate) select: Selector,
    pub(crate) effect: Effect,
    /// How many requests it strikes before it is spent; without it, all until it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
}

/// Which requests a fault strikes: those that fit every field given.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selector {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// `enterprise:ID` or `user:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The whole path, or its beginning followed by `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The grant type, whole or its last part (`jwt-bearer`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<String>,
}

impl Selector {
    fn fits(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let grant = self.grant.as_deref().map(|grant| grant.rsplit(':').next().unwrap_or(grant));
        is(&self.client_id, &call.seen.client_id)
            && is(&self.subject, &call.seen.subject)
            && (grant.is_none() || grant == call.seen.grant.as_deref())
            && self.path.as_deref().is_none_or(|path| path_fits(path, &call.path))
    }
}

/// Whether a path is the one wanted, or begins as it does where it ends in `*`.
pub(crate) fn path_fits(wanted: &str, path: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => wanted == path,
    }
}

/// What a fault does. `hold` and `latency_ms` come first and go with everything; of `hang`, `drop`, `status`,
/// `garbage` and `huge_body` one replaces the answer; the rest changes a successful JSON answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Effect {
    /// Answers once the fault is lifted.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hold: bool,
    /// Answers that much later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<u64>,
    /// Never answers, until the caller or the sandbox gives up.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hang: bool,
    /// Resets the connection.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) drop: bool,
    /// Answers with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The body to that status: a text as it is, anything else as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// `Retry-After` to that status: seconds as a number, or any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Value>,
    /// Answers 200 with a JSON content type and bytes that are no JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) garbage: bool,
    /// Answers 200 with 10 MB of JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) huge_body: bool,
    /// Puts this in place of `expires_in`; the token's real life stays.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_value")]
    pub(crate) expires_in: Option<Value>,
    /// Puts this in place of `restricted_to`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_value")]
    pub(crate) restricted_to: Option<Value>,
    /// Leaves these fields of the body out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) omit: Vec<String>,
}

impl Effect {
    /// Why the effect cannot be had.
    fn problem(&self) -> Option<&'static str> {
        let instead = [self.hang, self.drop, self.status.is_some(), self.garbage, self.huge_body];
        let instead = instead.iter().filter(|&&chosen| chosen).count();
        let changes = self.expires_in.is_some() || self.restricted_to.is_some() || !self.omit.is_empty();
        if instead > 1 {
            return Some("choose one of hang, drop, status, garbage and huge_body");
        }
        if instead == 1 && changes {
            return Some("expires_in, restricted_to and omit change an answer that this fault replaces");
        }
        if instead == 0 && !changes && !self.hold && self.latency_ms.is_none() {
            return Some("the effect does nothing");
        }
        if self.status.is_none() && (self.body.is_some() || self.retry_after.is_some()) {
            return Some("body and retry_after go with status");
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Some("status lies between 200 and 599");
        }
        None
    }

    /// Whether Box's own answer is never seen.
    pub(crate) fn replaces_the_answer(&self) -> bool {
        self.hang || self.drop || self.status.is_some() || self.garbage || self.huge_body
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Keeps a given `null` apart from a field left out.
fn any_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A fault in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) order: Order,
    /// How many requests it struck.
    pub(crate) struck: u64,
    /// Cancelled once it is lifted.
    #[serde(skip)]
    lifted: CancellationToken,
}

/// A fault that struck a request.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) fault: u64,
    pub(crate) effect: Arc<Effect>,
    /// Cancelled once the fault is lifted.
    pub(crate) lifted: CancellationToken,
}

/// The faults in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    last_id: AtomicU64,
    in_force: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Puts a fault in force, or says why it makes no sense.
    pub(crate) fn add(&self, order: Order) -> Result<u64, &'static str> {
        if let Some(problem) = order.effect.problem() {
            return Err(problem);
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().push(Fault { id, order, struck: 0, lifted: CancellationToken::new() });
        Ok(id)
    }

    /// The oldest fault that strikes this request. Counts the strike.
    pub(crate) fn strike(&self, call: &Call) -> Option<Strike> {
        let mut faults = self.lock();
        let index =
            faults.iter().position(|fault| fault.order.times != Some(0) && fault.order.select.fits(call))?;
        let fault = faults.get_mut(index)?;
        fault.struck += 1;
        fault.order.times = fault.order.times.map(|left| left - 1);
        let effect = Arc::new(fault.order.effect.clone());
        Some(Strike { fault: fault.id, effect, lifted: fault.lifted.clone() })
    }

    /// All faults, spent ones too.
    pub(crate) fn all(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Lifts the fault of this id; whether there was one.
    pub(crate) fn lift(&self, id: u64) -> bool {
        self.lift_where(|fault| fault.id == id) > 0
    }

    /// Lifts all faults, or those that select this client id.
    pub(crate) fn lift_all(&self, client_id: Option<&str>) {
        self.lift_where(|fault| client_id.is_none() || fault.order.select.client_id.as_deref() == client_id);
    }

    /// How many were lifted.
    fn lift_where(&self, fits: impl Fn(&Fault) -> bool) -> usize {
        let mut faults = self.lock();
        let lifted: Vec<Fault> = faults.extract_if(.., |fault| fits(fault)).collect();
        lifted.iter().for_each(|fault| fault.lifted.cancel());
        lifted.len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
