//! The files and folders that tokens can be restricted to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::BoxId;

/// The kind of a resource.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// One file.
    File,
    /// A folder and everything below it.
    Folder,
}

/// A file or folder that a downscoped token is restricted to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The kind: file or folder.
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// Box's id of the file or folder.
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
