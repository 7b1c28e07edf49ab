//! The scopes that the sandbox knows and which of them let a token read an item.
//!
//! Source: Box's pages on downscoping and on application scopes.

/// Every scope that an exchange may ask for.
pub(super) const KNOWN: [&str; 30] = [
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

const READING: [&str; 9] = [
    "root_readonly",
    "root_readwrite",
    "base_explorer",
    "base_picker",
    "base_preview",
    "base_sidebar",
    "item_preview",
    "item_download",
    "item_read",
];

/// Whether a token with these scopes may read items and list folders.
pub(super) fn allow_reading<'a>(scopes: impl IntoIterator<Item = &'a String>) -> bool {
    scopes.into_iter().any(|scope| READING.contains(&scope.as_str()))
}

/// Whether a token with these scopes may act for its subject as a whole, not on items alone.
pub(super) fn allow_identity<'a>(scopes: impl IntoIterator<Item = &'a String>) -> bool {
    scopes.into_iter().any(|scope| matches!(scope.as_str(), "root_readonly" | "root_readwrite"))
}
