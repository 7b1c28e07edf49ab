//! Box's scopes and what each permits.
//!
//! This module owns the list of scopes (source: Box's documentation of downscoping and of application scopes). It
//! must not know tokens or requests.

/// All scopes that a token exchange may request.
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

/// An action on an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemAction {
    /// Reads its metadata, or lists its children.
    Read,
    /// Shows a preview.
    Preview,
    /// Downloads its content.
    Download,
    /// Creates a file or folder in it, or uploads a new version of it.
    Upload,
    /// Changes its name or description.
    Rename,
    /// Creates or removes a shared link.
    Share,
    /// Deletes it.
    Delete,
    /// Moves it to another folder.
    Move,
}

impl ItemAction {
    /// Reports whether the action changes something.
    pub(crate) fn is_write(self) -> bool {
        !matches!(self, Self::Read | Self::Preview | Self::Download)
    }

    /// Returns the scopes of which any single one permits the action.
    fn permitting_scopes(self) -> &'static [&'static str] {
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

/// Reports whether these scopes permit an action on items.
pub(crate) fn permit(scopes: &[String], action: ItemAction) -> bool {
    scopes.iter().any(|scope| action.permitting_scopes().contains(&scope.as_str()))
}

/// Reports whether these scopes cover the account as a whole, and not only single items.
pub(crate) fn cover_account(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| matches!(scope.as_str(), "root_readonly" | "root_readwrite"))
}
