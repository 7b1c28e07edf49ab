//! Retries of changes that were overtaken.
//!
//! Rows carry a version, and a write succeeds only on the version that it read. A request that names a version
//! (`If-Match`) fails with [`RegistryError::Precondition`] instead, which is never retried.

use std::time::Duration;

use super::error::RegistryError;

/// The number of times that an overtaken change is attempted.
const MAX_ATTEMPTS: usize = 64;

/// The time for which an overtaken lock is attempted again.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a change, and makes it again whenever another change to the same row came first.
///
/// A request without `If-Match` means the row as it is, not as it was when the request began. So each attempt
/// reads the row and checks permissions anew, and the client does not see the conflict.
///
/// # Errors
/// Those of `change`; [`RegistryError::Overtaken`] after 64 attempts.
pub(super) async fn retry_on_conflict<T, F>(change: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    for _ in 1..MAX_ATTEMPTS {
        match change().await {
            Err(RegistryError::Overtaken) => {}
            result => return result,
        }
    }
    change().await
}

/// Does the same for a lock, limited by time instead of attempts.
///
/// Otherwise the party that is being locked out could prevent the lock by changing the row often enough.
///
/// # Errors
/// Those of `lock`; [`RegistryError::Overtaken`] after 10 seconds.
pub(super) async fn retry_lock<T, F>(lock: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let attempts = async {
        loop {
            match lock().await {
                Err(RegistryError::Overtaken) => {}
                result => return result,
            }
        }
    };
    tokio::time::timeout(LOCK_TIMEOUT, attempts).await.unwrap_or(Err(RegistryError::Overtaken))
}
