//! How items are shown: whole, short, or with the fields that the call asks for.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::context::View;
use crate::download::extension;
use crate::scopes::Deed;
use crate::world::enterprise::BORN;
use crate::world::item_tree::{Item, ItemKind, Person, ROOT};

/// What is always there.
const ALWAYS: [&str; 3] = ["type", "id", "etag"];

/// What an item in a list has, where nothing else is asked for.
const MINI: [&str; 4] = ["sequence_id", "name", "sha1", "file_version"];

/// What an item by itself has, where nothing else is asked for.
const WHOLE: [&str; 21] = [
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

/// The root folder as an item.
pub(crate) fn root() -> Item {
    let nobody = Person { id: String::new(), name: String::new(), login: String::new() };
    Item::new(ItemKind::Folder, ROOT.to_owned(), "All Files".to_owned(), nobody, BORN)
}

/// The item as Box shows it beside others.
pub(crate) fn mini(item: &Item) -> Value {
    let named = ALWAYS.iter().chain(&MINI);
    object(named.filter_map(|&field| Some((field, plain(item, field)?))))
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(fields.map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>())
}

/// A moment as Box writes it, to the second.
pub(crate) fn moment(at: Timestamp) -> Value {
    json!(Timestamp::from_second(at.as_second()).unwrap_or(at).to_string())
}

impl View<'_> {
    /// An item by itself, with the fields that the call asks for.
    pub(crate) fn whole(&self, item: &Item) -> Value {
        let asked = self.asked();
        self.with(item, asked.as_deref().map_or(WHOLE.to_vec(), |asked| asked.split(',').collect()))
    }

    /// An item in a list. `fields` are those of the entries too, except for what lies in them, which
    /// would go down for ever.
    pub(crate) fn listed(&self, item: &Item) -> Value {
        let asked = self.asked();
        let mut named = asked.as_deref().map_or(MINI.to_vec(), |asked| asked.split(',').collect());
        named.retain(|field| *field != "item_collection");
        self.with(item, named)
    }

    fn asked(&self) -> Option<String> {
        let asked = self.call.query("fields")?.replace(' ', "");
        (!asked.is_empty()).then_some(asked)
    }

    fn with(&self, item: &Item, named: Vec<&str>) -> Value {
        // Of `metadata.scope.template` the first part is the field.
        let named = named.into_iter().map(|field| field.split('.').next().unwrap_or(field));
        object(ALWAYS.into_iter().chain(named).filter_map(|field| Some((field, self.field(item, field)?))))
    }

    fn field(&self, item: &Item, field: &str) -> Option<Value> {
        match item.kind {
            _ if field == "path_collection" => Some(self.path(item)),
            _ if field == "parent" => Some(self.parent(item)),
            _ if field == "permissions" => Some(self.permissions(item)),
            _ if field == "size" => Some(json!(self.weight(item))),
            ItemKind::Folder if field == "item_collection" => Some(self.inside(item)),
            ItemKind::File => self.file_field(item, field).or_else(|| plain(item, field)),
            ItemKind::Folder => plain(item, field),
        }
    }

    fn path(&self, item: &Item) -> Value {
        if item.id == ROOT {
            return json!({ "total_count": 0, "entries": [] });
        }
        let mut path = vec![mini(&root())];
        path.extend(self.enterprise.tree.above(item, &self.member).into_iter().map(mini));
        json!({ "total_count": path.len(), "entries": path })
    }

    fn parent(&self, item: &Item) -> Value {
        if item.id == ROOT {
            return Value::Null;
        }
        let above = self.enterprise.tree.above(item, &self.member);
        above.last().map_or_else(|| mini(&root()), |folder| mini(folder))
    }

    fn weight(&self, item: &Item) -> u64 {
        if item.id != ROOT {
            return self.enterprise.tree.weight(item);
        }
        let top = self.enterprise.tree.children(ROOT, &self.member);
        top.into_iter().map(|item| self.enterprise.tree.weight(item)).sum()
    }

    /// What the token may do to the item, as pages ask before they show a button.
    fn permissions(&self, item: &Item) -> Value {
        let may = |deed| json!(self.may(deed, item));
        let mut permissions = json!({
            "can_download": may(Deed::Download),
            "can_upload": may(Deed::Upload),
            "can_rename": may(Deed::Rename),
            "can_delete": may(Deed::Delete),
            "can_share": may(Deed::Share),
            "can_set_share_access": may(Deed::Share),
            "can_invite_collaborator": false,
        });
        if item.kind == ItemKind::File {
            permissions["can_preview"] = may(Deed::Preview);
            for none in [
                "can_comment",
                "can_annotate",
                "can_create_annotations",
                "can_view_annotations",
                "can_view_annotations_all",
                "can_view_annotations_self",
            ] {
                permissions[none] = json!(false);
            }
        }
        permissions
    }

    fn file_field(&self, item: &Item, field: &str) -> Option<Value> {
        let downloadable = self.may(Deed::Download, item);
        match field {
            "is_download_available" => Some(json!(downloadable)),
            "download_url" => Some(self.ticket_url(item).map_or(Value::Null, Value::from)),
            "authenticated_download_url" => {
                Some(json!(format!("{}/2.0/files/{}/content", self.base(), item.id)))
            }
            "representations" => Some(self.representations(item)),
            "watermark_info" => Some(json!({ "is_watermarked": false })),
            "version_number" => {
                Some(json!(item.version.as_ref().map_or(1, |version| version.number).to_string()))
            }
            "comment_count" => Some(json!(0)),
            "extension" => Some(json!(extension(&item.name))),
            "lock" | "metadata" | "expiring_embed_link" => Some(Value::Null),
            "content_created_at" => Some(moment(item.created_at)),
            _ => None,
        }
    }
}

/// What is shown of an item to everybody who may see it.
fn plain(item: &Item, field: &str) -> Option<Value> {
    let version = item.version.as_ref();
    Some(match field {
        "type" => json!(item.kind.as_str()),
        "id" => json!(item.id),
        "etag" | "sequence_id" => json!(item.etag()),
        "name" => json!(item.name),
        "description" => json!(item.description),
        "created_at" | "content_created_at" => moment(item.created_at),
        "modified_at" | "content_modified_at" => moment(item.modified_at),
        "created_by" | "owned_by" => by(&item.created_by),
        "modified_by" => by(&item.modified_by),
        "item_status" => json!("active"),
        "shared_link" => shared_link(item),
        "trashed_at" | "purged_at" | "classification" | "restored_from" => Value::Null,
        "tags" | "collections" => json!([]),
        "has_collaborations" => json!(!item.members.is_empty()),
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

fn by(person: &Person) -> Value {
    json!({ "type": "user", "id": person.id, "name": person.name, "login": person.login })
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
