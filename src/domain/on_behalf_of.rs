//! The person or job that a caller claims to act for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::printable;

/// The person or job that a caller claims to act for. It is recorded, never checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OnBehalfOf(Arc<str>);

/// The error for a text that cannot be an `on_behalf_of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`on_behalf_of` is 1 to {} printable characters", OnBehalfOf::MAX_LENGTH)]
pub struct InvalidOnBehalfOf;

impl OnBehalfOf {
    /// The maximum length, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Reads the text.
    ///
    /// # Errors
    /// [`InvalidOnBehalfOf`] if it is empty, longer than [`OnBehalfOf::MAX_LENGTH`], or not printable.
    pub fn parse(text: &str) -> Result<Self, InvalidOnBehalfOf> {
        if printable::is_printable_line(text, Self::MAX_LENGTH) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidOnBehalfOf)
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OnBehalfOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for OnBehalfOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OnBehalfOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
