//! Pages of lists, and the order of the items in a folder.

use std::cmp::Ordering;
use std::sync::Arc;

use super::context::ApiContext;
use crate::http::ErrorResponse;
use crate::world::{Item, ItemKind, ItemTree};

/// The largest number of entries of a page.
const MAX_LIMIT: usize = 1000;

/// The number of entries of a page if the request does not say.
const DEFAULT_LIMIT: usize = 100;

/// The part of a list that a request selects.
#[derive(Clone, Copy)]
pub(super) struct Paging {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Paging {
    /// The first page of the largest size.
    pub(super) const LARGEST: Self = Self { offset: 0, limit: MAX_LIMIT };

    /// Reads `offset` and `limit` of a request.
    pub(super) fn of_request(context: &ApiContext<'_>) -> Result<Self, ErrorResponse> {
        let limit = query_number(context, "limit", DEFAULT_LIMIT)?;
        if limit == 0 {
            return Err(ErrorResponse::bad_request("'limit' must be at least 1"));
        }
        Ok(Self { offset: query_number(context, "offset", 0)?, limit: limit.min(MAX_LIMIT) })
    }

    /// Returns the entries of the page.
    pub(super) fn entries<T>(self, all: &[T]) -> impl Iterator<Item = &T> {
        all.iter().skip(self.offset).take(self.limit)
    }
}

/// Returns a number of the query, or the default if it is missing.
pub(super) fn query_number(
    context: &ApiContext<'_>,
    name: &str,
    default: usize,
) -> Result<usize, ErrorResponse> {
    let Some(text) = context.request.query(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    text.parse().map_err(|_| ErrorResponse::bad_request(format!("'{name}' must be a whole number")))
}

/// The order of a folder's items: folders first, and then by the field that the request selects.
pub(super) struct ItemOrder {
    pub(super) field: String,
    pub(super) descending: bool,
}

impl ItemOrder {
    /// Reads `sort` and `direction` of a request.
    pub(super) fn of_request(context: &ApiContext<'_>) -> Self {
        let field = context.request.query("sort").filter(|field| !field.is_empty());
        let direction = context.request.query("direction");
        Self {
            field: field.unwrap_or_else(|| "name".to_owned()),
            descending: direction.is_some_and(|direction| direction.eq_ignore_ascii_case("desc")),
        }
    }

    fn compare(&self, items: &ItemTree, one: &Item, other: &Item) -> Ordering {
        let by_name = || one.name.to_lowercase().cmp(&other.name.to_lowercase());
        let order = match self.field.as_str() {
            "id" => one.id.cmp(&other.id),
            "date" | "modified_at" => one.modified.at.cmp(&other.modified.at).then_with(by_name),
            "size" => items.size(one).cmp(&items.size(other)).then_with(by_name),
            _ => by_name(),
        };
        let by_kind = (one.kind == ItemKind::File).cmp(&(other.kind == ItemKind::File));
        by_kind.then(if self.descending { order.reverse() } else { order })
    }
}

/// Returns the items in a folder that the actor sees.
pub(super) fn sorted_children(context: &ApiContext<'_>, folder: &Item, order: &ItemOrder) -> Vec<Arc<Item>> {
    let items = &context.enterprise.items;
    let mut children: Vec<Arc<Item>> =
        items.children(&folder.id, &context.collaborator).into_iter().cloned().collect();
    children.sort_by(|one, other| order.compare(items, one, other));
    children
}
