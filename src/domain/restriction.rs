//! The restriction of a downscoped token: its scopes, its target, and the annotator that it names.

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
    /// [`InvalidValue`] if it is not an `https` URL of at most 512 visible ASCII characters.
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

    /// Returns the link's URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SharedLink {
    /// Hides the link: anyone who has an open link can read what it shares, so it must not be logged.
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

/// A person without a Box account whose name is shown beside annotations (Box's "annotator token").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Annotator {
    /// The caller's own id for that person, at most 128 printable characters.
    pub id: Arc<str>,
    /// The name to show, at most 128 printable characters.
    pub name: Arc<str>,
}

impl Annotator {
    /// Returns an annotator.
    ///
    /// # Errors
    /// [`InvalidValue`] if either text is empty, too long or not printable.
    pub fn new(id: &str, name: &str) -> Result<Self, InvalidValue> {
        let fits = |text: &str| is_printable_line(text, 128);
        if fits(id) && fits(name) {
            Ok(Self { id: id.into(), name: name.into() })
        } else {
            Err(InvalidValue("an annotator's id and name are 1 to 128 printable characters each"))
        }
    }
}

/// The restriction of a downscoped token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restriction {
    /// The scopes of the token; never empty.
    pub scopes: ScopeSet,
    /// The items that it may touch.
    pub target: RestrictionTarget,
    /// The person whose name is shown beside annotations.
    pub annotator: Option<Annotator>,
}

/// The items that a downscoped token may touch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RestrictionTarget {
    /// Everything that the subject sees.
    Anything,
    /// One file, or one folder and everything below it.
    Resource(Resource),
    /// The items of a shared link.
    SharedLink(SharedLink),
}

impl RestrictionTarget {
    /// Returns the resource, if the target is one.
    #[must_use]
    pub fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Resource(resource) => Some(resource),
            Self::Anything | Self::SharedLink(_) => None,
        }
    }
}

impl Restriction {
    /// Returns true if some scope is an OAuth scope, so that the token has the access of a full token.
    #[must_use]
    pub fn is_full_access(&self) -> bool {
        self.scopes.iter().any(Scope::is_full_access)
    }
}
