//! Pages of lists: what every list of the store is requested with, and what it returns.

use crate::domain::id::Name;

/// A request for one page of a list. The cursor of a list in the order of names is the last name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<Cursor = Name> {
    /// The page begins after this item; at the beginning of the list if there is none.
    pub after: Option<Cursor>,
    /// The maximum number of items.
    pub limit: usize,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, Cursor> {
    /// The items. A row that fails verification is not among them and does not end the list.
    pub items: Vec<T>,
    /// The number of rows that were left out because they failed verification.
    pub refused: usize,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<Cursor>,
}
