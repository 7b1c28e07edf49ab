//! Fault injection: which requests a fault affects, and how.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::http::{SandboxRequest, path_matches, value_matches};

/// A fault as a client of the control plane describes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    /// The requests that the fault affects: all of them if no field is given.
    #[serde(default)]
    select: RequestSelector,
    effect: FaultEffect,
    /// The number of requests that the fault has yet to affect; `None` if it affects all until it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

/// A selector of requests, which selects those that match every given field.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RequestSelector {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// `enterprise:ID` or `user:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// A whole path, or a prefix followed by `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// A grant type, or its last part (`jwt-bearer`).
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
}

impl RequestSelector {
    fn matches(&self, request: &SandboxRequest) -> bool {
        let summary = &request.summary;
        let grant = self.grant.as_deref().map(|grant| grant.rsplit(':').next().unwrap_or(grant));
        value_matches(self.client_id.as_deref(), summary.client_id.as_deref())
            && value_matches(self.subject.as_deref(), summary.subject.as_deref())
            && value_matches(grant, summary.grant.as_deref())
            && path_matches(self.path.as_deref(), &request.path)
    }
}

/// The effect of a fault.
///
/// `hold` and `latency_ms` come first and can be combined with everything. At most one of `hang`, `drop`,
/// `status`, `garbage` and `huge_body` replaces the response. `expires_in`, `restricted_to` and `omit` alter a
/// successful JSON response.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FaultEffect {
    /// Responds only once the fault is removed.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hold: bool,
    /// Responds after this many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<u64>,
    /// Never responds, until the caller gives up or the sandbox stops.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hang: bool,
    /// Resets the connection.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) drop: bool,
    /// Responds with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The body for `status`: a string is sent as it is, anything else as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// The `Retry-After` header for `status`: a number of seconds, or any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Value>,
    /// Responds 200 with a JSON content type and bytes that are not JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) garbage: bool,
    /// Responds 200 with 10 MB of JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) huge_body: bool,
    /// Replaces `expires_in`. The token's real lifetime stays.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_value")]
    pub(crate) expires_in: Option<Value>,
    /// Replaces `restricted_to`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_value")]
    pub(crate) restricted_to: Option<Value>,
    /// Removes these fields from the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) omit: Vec<String>,
}

impl FaultEffect {
    /// Returns the reason why the combination of fields makes no sense, if it does not.
    fn problem(&self) -> Option<&'static str> {
        let replacements = [self.hang, self.drop, self.status.is_some(), self.garbage, self.huge_body];
        let replacements = replacements.iter().filter(|&&chosen| chosen).count();
        let alters = self.expires_in.is_some() || self.restricted_to.is_some() || !self.omit.is_empty();
        if replacements > 1 {
            return Some("choose one of hang, drop, status, garbage and huge_body");
        }
        if replacements == 1 && alters {
            return Some("expires_in, restricted_to and omit change an answer that this fault replaces");
        }
        if replacements == 0 && !alters && !self.hold && self.latency_ms.is_none() {
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

    /// Reports whether the effect replaces Box's own response.
    pub(crate) fn replaces_response(&self) -> bool {
        self.hang || self.drop || self.status.is_some() || self.garbage || self.huge_body
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Deserializes a field so that an explicit `null` differs from a missing field.
fn any_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// An injected fault.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ActiveFault {
    id: u64,
    #[serde(flatten)]
    spec: FaultSpec,
    /// The number of requests that the fault has affected.
    #[serde(rename = "struck")]
    hits: u64,
    /// Cancelled when the fault is removed.
    #[serde(skip)]
    removed: CancellationToken,
}

/// A fault that a request has triggered.
#[derive(Debug)]
pub(crate) struct TriggeredFault {
    pub(crate) id: u64,
    pub(crate) effect: FaultEffect,
    /// Cancelled when the fault is removed.
    pub(crate) removed: CancellationToken,
}

/// All injected faults, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FaultInjector {
    last_id: AtomicU64,
    faults: Mutex<Vec<ActiveFault>>,
}

impl FaultInjector {
    /// Adds a fault and returns its id, or the reason why it makes no sense.
    pub(crate) fn add(&self, spec: FaultSpec) -> Result<u64, &'static str> {
        if let Some(problem) = spec.effect.problem() {
            return Err(problem);
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().push(ActiveFault { id, spec, hits: 0, removed: CancellationToken::new() });
        Ok(id)
    }

    /// Returns the oldest fault that affects this request, and counts the hit.
    pub(crate) fn trigger(&self, request: &SandboxRequest) -> Option<TriggeredFault> {
        let mut faults = self.lock();
        let fault = faults
            .iter_mut()
            .find(|fault| fault.spec.times != Some(0) && fault.spec.select.matches(request))?;
        fault.hits += 1;
        fault.spec.times = fault.spec.times.map(|left| left - 1);
        let (effect, removed) = (fault.spec.effect.clone(), fault.removed.clone());
        Some(TriggeredFault { id: fault.id, effect, removed })
    }

    /// Returns all faults, used up ones included.
    pub(crate) fn all(&self) -> Vec<ActiveFault> {
        self.lock().clone()
    }

    /// Removes the fault with this id, and reports whether there was one.
    pub(crate) fn remove(&self, id: u64) -> bool {
        self.remove_matching(|fault| fault.id == id) > 0
    }

    /// Removes all faults, or only those that select this client id.
    pub(crate) fn remove_all(&self, client_id: Option<&str>) {
        self.remove_matching(|fault| value_matches(client_id, fault.spec.select.client_id.as_deref()));
    }

    fn remove_matching(&self, matches: impl Fn(&ActiveFault) -> bool) -> usize {
        let mut faults = self.lock();
        let removed: Vec<ActiveFault> = faults.extract_if(.., |fault| matches(fault)).collect();
        removed.iter().for_each(|fault| fault.removed.cancel());
        removed.len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ActiveFault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
