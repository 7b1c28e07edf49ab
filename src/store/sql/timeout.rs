//! The time limit of a call to the database.

use std::time::Duration;

use crate::store::{Result, StoreError};

/// The time that a call may take. The drivers have no such limit: a frozen server would block its clients for
/// as long as it is frozen.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a call; at the end of its time it is dropped, and the connection that it used is closed.
///
/// # Errors
/// Those of the call, or `Unavailable` if it takes too long.
pub(super) async fn with_timeout<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", CALL_TIMEOUT.as_secs()))),
    }
}
