//! Calls that mint at Box are not broken off where the caller hangs up: a token that was minted
//! would be left alive, and written down nowhere.

use tokio_util::task::TaskTracker;

use crate::http::error::ApiError;
use crate::registry::RegistryError;

/// Runs the work as one of `tasks` and waits for it.
pub(crate) async fn run_detached<T: Send + 'static>(
    tasks: TaskTracker,
    work: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tasks.spawn(work).await {
        Ok(done) => done.map_err(ApiError::from),
        Err(_) => Err(ApiError::Panicked),
    }
}
