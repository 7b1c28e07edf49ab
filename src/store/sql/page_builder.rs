//! Filling a page of a list although some rows are left out of it.

use super::PageRequest;
use super::statement::SqlRow;

/// How many rows are read at once.
const AT_ONCE: usize = 256;

/// A page while it is filled, in the order of names.
pub(super) struct PageBuilder<T> {
    pub(super) items: Vec<T>,
    limit: usize,
    after: String,
    asked: usize,
    ended: bool,
}

impl<T> PageBuilder<T> {
    pub(super) fn new(page: &PageRequest) -> Self {
        let after = page.after.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        Self { items: Vec::new(), limit: page.limit, after, asked: 0, ended: page.limit == 0 }
    }

    /// Behind which name, and how many rows, to read next; `None` once the page is full or the list
    /// ends.
    pub(super) fn next(&mut self) -> Option<(String, i64)> {
        if self.ended {
            return None;
        }
        self.asked = (self.limit - self.items.len()).clamp(AT_ONCE.min(self.limit), AT_ONCE);
        Some((self.after.clone(), i64::try_from(self.asked).unwrap_or(i64::MAX)))
    }

    /// Takes what was read: the rows, and the items among them that belong on the page.
    pub(super) fn take(&mut self, rows: &[SqlRow], items: impl Iterator<Item = T>) {
        let room = self.limit - self.items.len();
        self.items.extend(items.take(room));
        // A row is passed by the name in its column, whether or not the row itself was refused.
        let last = rows.iter().rev().find_map(|row| row.get::<String>("name"));
        self.ended = rows.len() < self.asked || self.items.len() == self.limit || last.is_none();
        self.after = last.unwrap_or_default();
    }
}
