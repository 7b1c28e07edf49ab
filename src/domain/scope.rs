//! Box's scopes, and the distinction between downscoping scopes and those that give full access.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::InvalidValue;

/// One of Box's scopes, such as `item_preview` or `root_readwrite`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Scope(Arc<str>);

/// Box's scopes for downscoped tokens (developer.box.com, "Scopes", downscoping).
const DOWNSCOPING_SCOPES: [&str; 18] = [
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
    /// [`InvalidValue`] if it is not 1 to 64 lower-case letters, digits, `_`, `.` or `:`.
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

    /// Returns the scope's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true for every scope that is not one of Box's downscoping scopes: a token with an OAuth scope such as
    /// `root_readwrite` has the access of a full token.
    #[must_use]
    pub fn is_full_access(&self) -> bool {
        !DOWNSCOPING_SCOPES.contains(&&*self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A set of scopes, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(Arc<BTreeSet<Scope>>);

impl ScopeSet {
    /// Returns true if every scope of this set is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Returns the scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Returns true if the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of scopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if the set holds the scope `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope.as_str() == name)
    }

    /// Returns the scopes separated by spaces, as Box expects them in a form.
    #[must_use]
    pub fn space_separated(&self) -> String {
        self.0.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(Arc::new(scopes.into_iter().collect()))
    }
}

/// A named set of scopes, for one of Box's UI Elements.
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
    /// Returns the scopes that Box's documentation lists for the element.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oauth_scopes_give_full_access_and_downscoping_scopes_do_not() {
        assert!(Scope::parse("root_readwrite").is_ok_and(|scope| scope.is_full_access()));
        for name in DOWNSCOPING_SCOPES {
            assert!(!Scope::parse(name).is_ok_and(|scope| scope.is_full_access()), "{name}");
        }
        for preset in [
            ScopePreset::Explorer,
            ScopePreset::Picker,
            ScopePreset::Uploader,
            ScopePreset::Preview,
            ScopePreset::Sidebar,
        ] {
            assert!(!preset.scopes().iter().any(Scope::is_full_access), "{preset:?}");
        }
    }
}
