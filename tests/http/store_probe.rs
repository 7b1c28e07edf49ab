//! What stands in the database.

use crate::harness::Harness;

/// The tables that a registration writes into. That of tokens is left out, as they come and go by
/// themselves, and of the events those that tell of tokens which are no tenant's, and what is counted
/// first and written some time later: refusals and releases.
const TABLES: [&str; 4] = [
    "tenants",
    "apps",
    "credentials",
    "audit WHERE outcome = 'done' AND action <> 'token.release'
     AND (tenant_id IS NOT NULL OR fingerprint IS NULL)",
];

/// How many rows each of them has.
pub(crate) async fn rows(harness: &Harness) -> [usize; 4] {
    let mut rows = [0; 4];
    for (count, table) in rows.iter_mut().zip(TABLES) {
        *count = harness.hand().reads(&format!("SELECT 'row' FROM {table}")).await.len();
    }
    rows
}
