//! One page of a list that is ordered by name.

use crate::domain::id::Name;

/// One page of a list, and the position of the next one.
#[derive(Debug)]
pub struct ListPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// The name after which the next page begins; `None` on the last page.
    pub next: Option<Name>,
}
