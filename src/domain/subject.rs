//! The Box account that a token acts for: the app's service account or one user.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{BoxId, InvalidValue};

/// The Box account that a token acts for.
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
    /// The subject for the service account.
    pub const ENTERPRISE: Self = Self::Enterprise {};

    /// Reads the form that `Display` writes.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is neither `enterprise` nor `user:` and an id.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text.strip_prefix("user:") {
            Some(id) => BoxId::parse(id).map(|id| Self::User { id }),
            None if text == "enterprise" => Ok(Self::ENTERPRISE),
            None => Err(InvalidValue("a subject is `enterprise`, or `user:` and a Box user id")),
        }
    }
}

/// The JSON form of a subject, read as a plain object so that errors name the field.
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
