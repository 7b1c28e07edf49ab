//! Work that goes on when the client hangs up. A call that mints at Box would otherwise leave a token alive that is
//! recorded nowhere.

use tokio_util::task::TaskTracker;

use crate::http::error::ApiError;
use crate::registry::RegistryError;

/// Runs the work as one of `tasks`, and returns its result.
pub(crate) async fn run_detached<T: Send + 'static>(
    tasks: TaskTracker,
    work: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tasks.spawn(work).await {
        Ok(done) => done.map_err(ApiError::from),
        Err(_) => Err(ApiError::Panicked),
    }
}
