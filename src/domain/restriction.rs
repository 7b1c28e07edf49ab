//! How a downscoped token is restricted: its scopes, its target, and the annotator that it names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::InvalidValue;
use super::printable::is_printable_line;
use super::resource::Resource;
use super::scope::{Scope, ScopeSet};

/// A Box shared link that a downscoped token is restricted to.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SharedLink(Arc<str>);

impl SharedLink {
    /// Reads a link.
    ///
    /// # Errors
    /// Where it is not an `https` URL of at most 512 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let fits = text.len() <= 512
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && url::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue("a shared link is an https URL of at most 512 characters"))
        }
    }

    /// The link's address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SharedLink {
    /// Whoever has an open link has what it shares, so it stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[shared link]")
    }
}

impl<'de> Deserialize<'de> for SharedLink {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Somebody outside Box whose name stands beside annotations (Box's "annotator token").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Annotator {
    /// The caller's own id for that person, at most 128 printable characters.
    pub id: Arc<str>,
    /// The name to show, at most 128 printable characters.
    pub name: Arc<str>,
}

impl Annotator {
    /// An annotator.
    ///
    /// # Errors
    /// Where either text is empty, too long, or not printable.
    pub fn new(id: &str, name: &str) -> Result<Self, InvalidValue> {
        let fits = |text: &str| is_printable_line(text, 128);
        if fits(id) && fits(name) {
            Ok(Self { id: id.into(), name: name.into() })
        } else {
            Err(InvalidValue("an annotator's id and name are 1 to 128 printable characters each"))
        }
    }
}

/// How a downscoped token is restricted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restriction {
    /// What it may do; never empty.
    pub scopes: ScopeSet,
    /// On what.
    pub target: RestrictionTarget,
    /// Whose name stands beside annotations.
    pub annotator: Option<Annotator>,
}

/// What a downscoped token may touch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RestrictionTarget {
    /// Whatever the subject sees.
    Anything,
    /// One file, or one folder and all below it.
    Resource(Resource),
    /// What a shared link shares.
    SharedLink(SharedLink),
}

impl RestrictionTarget {
    /// The resource, where it is one.
    #[must_use]
    pub fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Resource(resource) => Some(resource),
            Self::Anything | Self::SharedLink(_) => None,
        }
    }
}

impl Restriction {
    /// True where the token reaches as far as a full one: some scope is an OAuth scope.
    #[must_use]
    pub fn is_full_access(&self) -> bool {
        self.scopes.iter().any(Scope::is_full_access)
    }
}
