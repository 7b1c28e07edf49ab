//! Lists in the order of names: a page is filled even if rows have to be left out of it.

use super::SqlStore;
use super::authenticated_row::{StoredDocument, verify_rows};
use super::statement::SqlRow;
use crate::store::{PageRequest, Result};

/// The number of rows that are read at once.
const BATCH: usize = 256;

impl SqlStore {
    /// Lists the documents that `filter` accepts. The parameters of the statement are the name after which to
    /// begin and the number of rows.
    pub(super) async fn list_by_name<D: StoredDocument>(
        &self,
        sql: &'static str,
        page: &PageRequest,
        filter: impl Fn(&D) -> bool,
    ) -> Result<Vec<D>> {
        let mut connection = self.engine.reader().await?;
        let mut builder = PageBuilder::new(page);
        while let Some((after, limit)) = builder.next() {
            let rows = connection.fetch_all(sql, &[(&after).into(), limit.into()]).await?;
            builder.add(&rows, verify_rows(&self.vault, &rows).filter(&filter));
        }
        Ok(builder.items)
    }
}

/// A page while it is being filled.
struct PageBuilder<T> {
    items: Vec<T>,
    limit: usize,
    after: String,
    requested: usize,
    is_complete: bool,
}

impl<T> PageBuilder<T> {
    fn new(page: &PageRequest) -> Self {
        let after = page.after.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        Self { items: Vec::new(), limit: page.limit, after, requested: 0, is_complete: page.limit == 0 }
    }

    /// Returns the name after which to read on, and the number of rows; `None` once the page is full or the
    /// list ends.
    fn next(&mut self) -> Option<(String, i64)> {
        if self.is_complete {
            return None;
        }
        self.requested = (self.limit - self.items.len()).clamp(BATCH.min(self.limit), BATCH);
        Some((self.after.clone(), i64::try_from(self.requested).unwrap_or(i64::MAX)))
    }

    /// Adds the rows that were read, and the items among them that belong on the page.
    fn add(&mut self, rows: &[SqlRow], items: impl Iterator<Item = T>) {
        let room = self.limit - self.items.len();
        self.items.extend(items.take(room));
        // The name column decides where to read on, even if the row itself was refused.
        let last = rows.iter().rev().find_map(|row| row.get::<String>("name"));
        self.is_complete = rows.len() < self.requested || self.items.len() == self.limit || last.is_none();
        self.after = last.unwrap_or_default();
    }
}
