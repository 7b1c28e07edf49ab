//! Why an admin's call does not succeed.

use crate::box_api::BoxError;
use crate::broker::TokenError;
use crate::crypto::CryptoError;
use crate::domain::box_config::ConfigProblem;
use crate::domain::signing_key::KeyProblem;
use crate::store::{Conflict, StoreError};

/// One field of a request that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands (RFC 6901).
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// A fault at `pointer`.
    #[must_use]
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why an admin's call does not succeed. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistryError {
    /// To this caller there is no such thing.
    #[error("no such thing, or no grant on it")]
    Absent,
    /// The caller may not do this; the reason is for the log.
    #[error("refused: {0}")]
    Forbidden(&'static str),
    /// The request holds what cannot be accepted.
    #[error("invalid: {0:?}")]
    Invalid(Vec<FieldError>),
    /// Box's config file is not one that can be used.
    #[error("the Box config cannot be used: {0:?}")]
    BoxConfig(Vec<ConfigProblem>),
    /// The private key cannot be used.
    #[error("the private key at {pointer} cannot be used: {problem}")]
    Key {
        /// Where it stands in the request.
        pointer: &'static str,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// It collides with what is registered.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// Somebody else changed the thing at the same moment.
    #[error("overtaken by another change")]
    Overtaken,
    /// The thing is not at the version that `If-Match` names.
    #[error("the thing changed since it was read")]
    Precondition,
    /// Too many keys are being decoded.
    #[error("too many registrations are under way")]
    Overloaded,
    /// Box, the seals or the credentials are in the way.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl RegistryError {
    /// One fault.
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

/// What a failed change is to whoever named the version that it was to be made upon, or named none.
pub(super) fn unless_expected(expected: Option<i64>, error: StoreError) -> RegistryError {
    match error {
        StoreError::Conflict(Conflict::Version) if expected.is_some() => RegistryError::Precondition,
        error => error.into(),
    }
}

/// What to do about a client ID that is registered already.
pub(super) const CLIENT_ID_HELD: &str = "This client ID is registered already. An app that serves several \
    tenants is registered once as a shared app (POST /v1/apps), and its tenants with `app` and `enterprise_id`.";

/// Where in a document a value stands, as RFC 6901 writes it.
pub(super) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}
