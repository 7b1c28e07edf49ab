//! The errors of admin calls. This module knows nothing of HTTP; `http::error` maps each error to an answer.

use crate::box_api::BoxError;
use crate::broker::TokenError;
use crate::crypto::CryptoError;
use crate::domain::box_config::ConfigProblem;
use crate::domain::signing_key::KeyProblem;
use crate::store::{Conflict, StoreError};

/// One field of a request that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's JSON pointer (RFC 6901).
    pub pointer: String,
    /// The reason, for the client.
    pub detail: String,
}

impl FieldError {
    /// Returns the error of the field at `pointer`.
    #[must_use]
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The reason why an admin's call failed. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no such thing, or the caller cannot see it.
    #[error("no such thing, or no grant on it")]
    Absent,
    /// The caller may not do this; the reason is for the log.
    #[error("refused: {0}")]
    Forbidden(&'static str),
    /// Fields of the request cannot be accepted.
    #[error("invalid: {0:?}")]
    Invalid(Vec<FieldError>),
    /// Box's config file cannot be used.
    #[error("the Box config cannot be used: {0:?}")]
    BoxConfig(Vec<ConfigProblem>),
    /// The private key cannot be used.
    #[error("the private key at {pointer} cannot be used: {problem}")]
    Key {
        /// The JSON pointer of the key or its passphrase.
        pointer: &'static str,
        /// The problem with it.
        problem: KeyProblem,
    },
    /// The request contradicts what is registered; the text is for the client.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// Another change to the same row came first.
    #[error("overtaken by another change")]
    Overtaken,
    /// The row is not at the version in `If-Match`.
    #[error("the thing changed since it was read")]
    Precondition,
    /// Too many registrations or audit queries are in progress.
    #[error("too many registrations are under way")]
    Overloaded,
    /// Box, the store, the seals or the stored credentials failed.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl RegistryError {
    /// Returns the error of one invalid field.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::at(pointer, detail)])
    }
}

impl From<BoxError> for RegistryError {
    fn from(error: BoxError) -> Self {
        Self::Token(error.into())
    }
}

impl From<CryptoError> for RegistryError {
    fn from(error: CryptoError) -> Self {
        Self::Token(TokenError::Sealed { what: "a new secret", error })
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Conflict::Name) => Self::Conflict("The name is taken."),
            StoreError::Conflict(Conflict::EnterpriseHeld) => {
                Self::Conflict("This client ID and enterprise are taken.")
            }
            StoreError::Conflict(Conflict::ClientIdHeld) => Self::Conflict(CLIENT_ID_HELD),
            StoreError::Conflict(Conflict::Version) => Self::Overtaken,
            StoreError::Conflict(Conflict::InUse) => Self::Conflict("Tenants still use this app."),
            other => Self::Token(TokenError::Store(other)),
        }
    }
}

/// Refuses a change to a row that is not at the version in `If-Match`, if the request has one.
pub(super) fn require_version(expected: Option<i64>, current: i64) -> Result<(), RegistryError> {
    match expected.is_none_or(|expected| expected == current) {
        true => Ok(()),
        false => Err(RegistryError::Precondition),
    }
}

/// Converts the error of a write. A version conflict is [`RegistryError::Precondition`] if the request has an
/// `If-Match`, else [`RegistryError::Overtaken`].
pub(super) fn conflict_error(expected: Option<i64>, error: StoreError) -> RegistryError {
    match error {
        StoreError::Conflict(Conflict::Version) if expected.is_some() => RegistryError::Precondition,
        error => error.into(),
    }
}

/// Returns [`RegistryError::Invalid`] unless the list is empty.
pub(super) fn require_none(errors: Vec<FieldError>) -> Result<(), RegistryError> {
    if errors.is_empty() { Ok(()) } else { Err(RegistryError::Invalid(errors)) }
}

/// The conflict's text for a client ID that is registered already.
pub(super) const CLIENT_ID_HELD: &str = "This client ID is registered already. An app that serves several \
    tenants is registered once as a shared app (POST /v1/apps), and its tenants with `app` and `enterprise_id`.";

/// Returns the JSON pointer (RFC 6901) of a path in a document.
pub(super) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&escape_pointer(key)),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// Escapes a field name for a JSON pointer (RFC 6901, section 3).
pub(super) fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
