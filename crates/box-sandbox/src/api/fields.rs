//! The JSON form of an item with the fields that a request selects.

use serde_json::{Value, json};

use super::context::ApiContext;
use super::listing::{ItemOrder, Paging, sorted_children};
use super::representations;
use crate::item_json::{self, MINI_FIELDS, REQUIRED_FIELDS, mini};
use crate::media_types::extension;
use crate::scopes::ItemAction;
use crate::world::{Item, ItemKind, ROOT};

/// The further fields of a single item, unless a request selects others.
const DEFAULT_FIELDS: [&str; 21] = [
    "sequence_id",
    "name",
    "sha1",
    "file_version",
    "description",
    "size",
    "path_collection",
    "created_at",
    "modified_at",
    "trashed_at",
    "purged_at",
    "content_created_at",
    "content_modified_at",
    "created_by",
    "modified_by",
    "owned_by",
    "shared_link",
    "folder_upload_email",
    "parent",
    "item_status",
    "item_collection",
];

impl ApiContext<'_> {
    /// Returns a single item, with the fields that the request selects.
    pub(super) fn item_json(&self, item: &Item) -> Value {
        self.with_selected_fields(item, &DEFAULT_FIELDS, true)
    }

    /// Returns an item in a list, with the fields that the request selects except for `item_collection`: a folder
    /// shows the items in it, but not the items in these.
    pub(super) fn entry_json(&self, item: &Item) -> Value {
        self.with_selected_fields(item, &MINI_FIELDS, false)
    }

    /// Returns the page of a folder's items that the request selects.
    pub(super) fn item_collection(&self, folder: &Item) -> Value {
        let page = Paging::of_request(self).unwrap_or(Paging::LARGEST);
        let order = ItemOrder::of_request(self);
        let children = sorted_children(self, folder, &order);
        let entries: Vec<Value> = page.entries(&children).map(|item| self.entry_json(item)).collect();
        json!({
            "total_count": children.len(), "entries": entries, "offset": page.offset, "limit": page.limit,
            "order": [
                { "by": "type", "direction": "ASC" },
                { "by": order.field, "direction": if order.descending { "DESC" } else { "ASC" } },
            ],
        })
    }

    fn with_selected_fields(&self, item: &Item, default: &[&str], with_collection: bool) -> Value {
        let selected = self.request.query("fields").unwrap_or_default().replace(' ', "");
        let names = if selected.is_empty() { default.to_vec() } else { selected.split(',').collect() };
        // The field of `metadata.scope.template` is `metadata`.
        let names = names.into_iter().map(|name| name.split('.').next().unwrap_or(name));
        let names = names.filter(|name| with_collection || *name != "item_collection");
        let all = REQUIRED_FIELDS.into_iter().chain(names);
        item_json::object(all.filter_map(|name| Some((name, self.field(item, name)?))))
    }

    fn field(&self, item: &Item, name: &str) -> Option<Value> {
        match (name, item.kind) {
            ("path_collection", _) => Some(self.path_collection(item)),
            ("parent", _) => Some(self.parent(item)),
            ("permissions", _) => Some(self.permissions(item)),
            ("size", _) => Some(json!(self.size(item))),
            ("item_collection", ItemKind::Folder) => Some(self.item_collection(item)),
            (_, ItemKind::File) => self.file_field(item, name).or_else(|| item_json::field(item, name)),
            (_, ItemKind::Folder) => item_json::field(item, name),
        }
    }

    fn path_collection(&self, item: &Item) -> Value {
        if item.id == ROOT {
            return json!({ "total_count": 0, "entries": [] });
        }
        let mut path = vec![mini(&Item::root())];
        path.extend(self.enterprise.items.visible_ancestors(item, &self.collaborator).into_iter().map(mini));
        json!({ "total_count": path.len(), "entries": path })
    }

    fn parent(&self, item: &Item) -> Value {
        if item.id == ROOT {
            return Value::Null;
        }
        let ancestors = self.enterprise.items.visible_ancestors(item, &self.collaborator);
        ancestors.last().map_or_else(|| mini(&Item::root()), |folder| mini(folder))
    }

    fn size(&self, item: &Item) -> u64 {
        let items = &self.enterprise.items;
        if item.id != ROOT {
            return items.size(item);
        }
        items.children(ROOT, &self.collaborator).into_iter().map(|item| items.size(item)).sum()
    }

    /// Returns what the token may do to an item. Pages ask for it to decide which buttons they show.
    fn permissions(&self, item: &Item) -> Value {
        let may = |action| json!(self.is_permitted(action, item));
        let mut permissions = json!({
            "can_download": may(ItemAction::Download),
            "can_upload": may(ItemAction::Upload),
            "can_rename": may(ItemAction::Rename),
            "can_delete": may(ItemAction::Delete),
            "can_share": may(ItemAction::Share),
            "can_set_share_access": may(ItemAction::Share),
            "can_invite_collaborator": false,
        });
        if item.kind == ItemKind::File {
            permissions["can_preview"] = may(ItemAction::Preview);
            for unsupported in [
                "can_comment",
                "can_annotate",
                "can_create_annotations",
                "can_view_annotations",
                "can_view_annotations_all",
                "can_view_annotations_self",
            ] {
                permissions[unsupported] = json!(false);
            }
        }
        permissions
    }

    fn file_field(&self, item: &Item, name: &str) -> Option<Value> {
        match name {
            "is_download_available" => Some(json!(self.is_permitted(ItemAction::Download, item))),
            "download_url" => Some(json!(representations::download_url(self, item))),
            "authenticated_download_url" => {
                Some(json!(format!("{}/2.0/files/{}/content", self.base_url(), item.id)))
            }
            "representations" => Some(json!({ "entries": representations::list(self, item) })),
            "watermark_info" => Some(json!({ "is_watermarked": false })),
            "version_number" => {
                Some(json!(item.version.as_ref().map_or(1, |version| version.number).to_string()))
            }
            "comment_count" => Some(json!(0)),
            "extension" => Some(json!(extension(&item.name))),
            "lock" | "metadata" | "expiring_embed_link" => Some(Value::Null),
            "content_created_at" => Some(item_json::timestamp(item.created.at)),
            _ => None,
        }
    }
}
