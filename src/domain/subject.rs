//! Whom a token acts for, and how far it reaches.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{BoxId, InvalidValue};
use super::printable::is_printable_line;

/// Whom a token acts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "SubjectFields")]
pub enum Subject {
    /// The app's service account in the tenant's enterprise.
    Enterprise {},
    /// One user of the enterprise.
    User {
        /// Box's id of the user.
        id: BoxId,
    },
}

impl Subject {
    /// The service account.
    pub const ENTERPRISE: Self = Self::Enterprise {};

    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// Where it is neither `enterprise` nor `user:` and an id.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text.strip_prefix("user:") {
            Some(id) => BoxId::parse(id).map(|id| Self::User { id }),
            None if text == "enterprise" => Ok(Self::ENTERPRISE),
            None => Err(InvalidValue("a subject is `enterprise`, or `user:` and a Box user id")),
        }
    }
}

/// A subject as it is written: an object like any other, whose faults have their place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectFields {
    #[serde(rename = "type")]
    kind: SubjectKind,
    id: Option<BoxId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SubjectKind {
    Enterprise,
    User,
}

impl TryFrom<SubjectFields> for Subject {
    type Error = InvalidValue;

    fn try_from(SubjectFields { kind, id }: SubjectFields) -> Result<Self, InvalidValue> {
        match (kind, id) {
            (SubjectKind::Enterprise, None) => Ok(Self::ENTERPRISE),
            (SubjectKind::User, Some(id)) => Ok(Self::User { id }),
            (SubjectKind::Enterprise, Some(_)) => Err(InvalidValue("the subject `enterprise` takes no `id`")),
            (SubjectKind::User, None) => Err(InvalidValue("the subject `user` needs the user's `id`")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enterprise {} => f.write_str("enterprise"),
            Self::User { id } => write!(f, "user:{id}"),
        }
    }
}

/// One scope of Box's, such as `item_preview` or `root_readwrite`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Scope(Arc<str>);

/// Box's scopes for downscoped tokens (developer.box.com, "Scopes", downscoping).
const DOWNSCOPES: [&str; 18] = [
    "annotation_edit",
    "annotation_view_all",
    "annotation_view_self",
    "base_explorer",
    "base_picker",
    "base_preview",
    "base_sidebar",
    "base_upload",
    "item_comment",
    "item_delete",
    "item_download",
    "item_execute_integration",
    "item_preview",
    "item_read",
    "item_rename",
    "item_share",
    "item_task",
    "item_upload",
];

impl Scope {
    /// Reads a scope's name.
    ///
    /// # Errors
    /// Where it is not 1 to 64 lower-case letters, digits, `_`, `.` or `:`.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let letter = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b':')
        };
        if (1..=64).contains(&text.len()) && text.bytes().all(letter) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidValue("a scope is 1 to 64 lower-case letters, digits, `_`, `.` and `:`"))
        }
    }

    /// The scope's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for all but Box's downscoping scopes: a token under an OAuth scope such as
    /// `root_readwrite` reaches as far as a full one.
    #[must_use]
    pub fn reaches_like_a_full_token(&self) -> bool {
        !DOWNSCOPES.contains(&&*self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Scopes, each once, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(Arc<BTreeSet<Scope>>);

impl ScopeSet {
    /// True where every scope of this set is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where the set holds `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope.as_str() == name)
    }

    /// As Box wants them in a form: one after the other with spaces between.
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(Arc::new(scopes.into_iter().collect()))
    }
}

/// The scopes that one of Box's UI Elements needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopePreset {
    /// Content Explorer.
    Explorer,
    /// Content Picker.
    Picker,
    /// Content Uploader.
    Uploader,
    /// Content Preview.
    Preview,
    /// Content Sidebar.
    Sidebar,
}

impl ScopePreset {
    /// The scopes, as Box's documentation lists them for the element.
    #[must_use]
    pub fn scopes(self) -> ScopeSet {
        let names: &[&str] = match self {
            Self::Explorer => &[
                "base_explorer",
                "item_preview",
                "item_download",
                "item_rename",
                "item_share",
                "item_delete",
                "item_upload",
            ],
            Self::Picker => &["base_picker", "item_share", "item_upload"],
            Self::Uploader => &["base_upload"],
            Self::Preview => &["base_preview", "item_download", "annotation_edit", "annotation_view_all"],
            Self::Sidebar => &["base_sidebar", "item_comment", "item_rename", "item_upload", "item_task"],
        };
        names.iter().map(|name| Scope(Arc::from(*name))).collect()
    }
}

/// Which kind of thing a resource is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// One file.
    File,
    /// A folder and all below it.
    Folder,
}

/// The one file or folder that a downscoped token is restricted to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// File or folder.
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// Box's id of it.
    #[schema(value_type = String, example = "12345")]
    pub id: BoxId,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ResourceType::File => "file",
            ResourceType::Folder => "folder",
        };
        write!(f, "{kind}:{}", self.id)
    }
}

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
    pub fn reaches_like_a_full_token(&self) -> bool {
        self.scopes.iter().any(Scope::reaches_like_a_full_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oauth_scopes_reach_like_a_full_token() {
        assert!(Scope::parse("root_readwrite").is_ok_and(|scope| scope.reaches_like_a_full_token()));
        for name in DOWNSCOPES {
            assert!(!Scope::parse(name).is_ok_and(|scope| scope.reaches_like_a_full_token()), "{name}");
        }
        for preset in [
            ScopePreset::Explorer,
            ScopePreset::Picker,
            ScopePreset::Uploader,
            ScopePreset::Preview,
            ScopePreset::Sidebar,
        ] {
            assert!(!preset.scopes().iter().any(Scope::reaches_like_a_full_token), "{preset:?}");
        }
    }
}
