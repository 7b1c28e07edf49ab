//! Types that exist for the OpenAPI document alone.

pub(crate) mod subject;
