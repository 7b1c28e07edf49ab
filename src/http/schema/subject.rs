//! A subject, as the OpenAPI document describes it: what it may be, and nothing beside it.

#![expect(dead_code, reason = "describes what `domain::subject` reads and writes")]

use serde::Serialize;

/// The subject that a token acts for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = Subject)]
pub(crate) enum SubjectSchema {
    /// The app's service account in the tenant's enterprise.
    Enterprise(EnterpriseSubject),
    /// One user of the enterprise.
    User(UserSubject),
}

/// The app's service account in the tenant's enterprise.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnterpriseSubject {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EnterpriseType,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnterpriseType {
    Enterprise,
}

/// One user of the enterprise.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSubject {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: UserType,
    /// Box's id of the user, in digits.
    id: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UserType {
    User,
}
