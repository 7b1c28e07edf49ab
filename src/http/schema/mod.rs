//! Types that exist for the OpenAPI document alone.

pub(crate) mod credentials;
pub(crate) mod patches;
pub(crate) mod policy;
pub(crate) mod subject;
