//! The JSON form of an item, as far as it is the same for every token that may see the item.
//!
//! This module owns the names and formats of Box's item fields. It must not know requests or permissions.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::world::{Attribution, Item, ItemKind};

/// The fields that every form of an item has.
pub(crate) const REQUIRED_FIELDS: [&str; 3] = ["type", "id", "etag"];

/// The further fields of an item in a list, unless a request selects others.
pub(crate) const MINI_FIELDS: [&str; 4] = ["sequence_id", "name", "sha1", "file_version"];

/// Returns the short form of an item, as Box shows it next to other things.
pub(crate) fn mini(item: &Item) -> Value {
    let names = REQUIRED_FIELDS.iter().chain(&MINI_FIELDS);
    object(names.filter_map(|&name| Some((name, field(item, name)?))))
}

/// Returns a JSON object of these fields.
pub(crate) fn object<'a>(fields: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// Returns a time in Box's format, to the second.
pub(crate) fn timestamp(at: Timestamp) -> Value {
    json!(Timestamp::from_second(at.as_second()).unwrap_or(at).to_string())
}

/// Returns a field of an item; `None` if there is no such field, or if its value depends on the token.
pub(crate) fn field(item: &Item, name: &str) -> Option<Value> {
    let version = item.version.as_ref();
    Some(match name {
        "type" => json!(item.kind.as_str()),
        "id" => json!(item.id),
        "etag" | "sequence_id" => json!(item.etag()),
        "name" => json!(item.name),
        "description" => json!(item.description),
        "created_at" | "content_created_at" => timestamp(item.created.at),
        "modified_at" | "content_modified_at" => timestamp(item.modified.at),
        "created_by" | "owned_by" => author(&item.created),
        "modified_by" => author(&item.modified),
        "item_status" => json!("active"),
        "shared_link" => shared_link(item),
        "trashed_at" | "purged_at" | "classification" | "restored_from" => Value::Null,
        "tags" | "collections" => json!([]),
        "has_collaborations" => json!(!item.collaborators.is_empty()),
        "is_externally_owned" => json!(false),
        "allowed_shared_link_access_levels" => json!(["open", "company", "collaborators"]),
        "allowed_invitee_roles" => json!([]),
        "sha1" => json!(version?.content.sha1()),
        "file_version" => {
            let version = version?;
            json!({ "type": "file_version", "id": version.id, "sha1": version.content.sha1() })
        }
        "folder_upload_email" if item.kind == ItemKind::Folder => Value::Null,
        "can_non_owners_invite" if item.kind == ItemKind::Folder => json!(false),
        "sync_state" if item.kind == ItemKind::Folder => json!("not_synced"),
        _ => return None,
    })
}

fn author(Attribution { by, .. }: &Attribution) -> Value {
    json!({ "type": "user", "id": by.id, "name": by.name, "login": by.login })
}

fn shared_link(item: &Item) -> Value {
    let Some(url) = &item.shared_link else { return Value::Null };
    json!({
        "url": url, "access": "open", "effective_access": "open", "download_url": null, "vanity_url": null,
        "is_password_enabled": false, "unshared_at": null, "download_count": 0, "preview_count": 0,
        "effective_permission": "can_download",
        "permissions": { "can_download": true, "can_preview": true, "can_edit": false },
    })
}
