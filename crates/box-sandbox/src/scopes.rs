//! The scopes that the sandbox knows, and what each lets a token do.
//!
//! Source: Box's pages on downscoping and on application scopes.

/// Every scope that an exchange may ask for.
pub(crate) const KNOWN: [&str; 30] = [
    "base_explorer",
    "base_picker",
    "base_preview",
    "base_sidebar",
    "base_upload",
    "item_delete",
    "item_download",
    "item_preview",
    "item_rename",
    "item_share",
    "item_upload",
    "item_comment",
    "item_task",
    "item_execute_integration",
    "item_read",
    "annotation_edit",
    "annotation_view_all",
    "annotation_view_self",
    "root_readonly",
    "root_readwrite",
    "manage_app_users",
    "manage_managed_users",
    "manage_groups",
    "manage_webhook",
    "manage_enterprise_properties",
    "manage_data_retention",
    "manage_legal_hold",
    "sign_requests.readwrite",
    "ai.readwrite",
    "gcm",
];

/// What a call does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Reads what is said of it, or lists it.
    Read,
    /// Shows what it looks like.
    Preview,
    /// Takes its bytes.
    Download,
    /// Puts a file or folder into it, or a new version upon it.
    Upload,
    /// Changes its name or description.
    Rename,
    /// Opens or closes a shared link.
    Share,
    /// Deletes it.
    Delete,
    /// Puts it into another folder.
    Move,
}

impl Deed {
    /// Whether it changes something.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::Preview | Self::Download)
    }

    /// The scopes of which each is enough for it.
    fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Read => &[
                "root_readonly",
                "root_readwrite",
                "base_explorer",
                "base_picker",
                "base_preview",
                "base_sidebar",
                "item_preview",
                "item_download",
                "item_read",
            ],
            Self::Preview => &["root_readonly", "root_readwrite", "base_preview", "item_preview"],
            Self::Download => &["root_readonly", "root_readwrite", "item_download"],
            Self::Upload => &["root_readwrite", "base_upload", "item_upload"],
            Self::Rename => &["root_readwrite", "item_rename"],
            Self::Share => &["root_readwrite", "item_share"],
            Self::Delete => &["root_readwrite", "item_delete"],
            Self::Move => &["root_readwrite"],
        }
    }
}

/// Whether a token with these scopes may do this to items that it reaches.
pub(crate) fn allow<'a>(scopes: impl IntoIterator<Item = &'a String>, deed: Deed) -> bool {
    scopes.into_iter().any(|scope| deed.scopes().contains(&scope.as_str()))
}

/// Whether a token with these scopes may act for its subject as a whole, not on items alone.
pub(crate) fn allow_identity<'a>(scopes: impl IntoIterator<Item = &'a String>) -> bool {
    scopes.into_iter().any(|scope| matches!(scope.as_str(), "root_readonly" | "root_readwrite"))
}
