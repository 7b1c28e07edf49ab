//! The time that a call to the database may take.

use std::time::Duration;

use super::{Result, StoreError};

/// How long a call may take. The drivers know no such bound: a server that froze would hold its
/// clients for as long as it is frozen.
const BUDGET: Duration = Duration::from_secs(2);

/// Gives a call up at the end of its budget, and with it the connection it was on.
pub(super) async fn bounded<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(BUDGET, call).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", BUDGET.as_secs()))),
    }
}
