//! How a process that serves is told to stop.

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;

/// Ends when somebody wants the process to stop, by Ctrl-C or as a service. Signals are received
/// from now on, not only once this is waited for.
pub(super) fn stop() -> Result<impl Future<Output = ()>, Failure> {
    let received =
        |kind| signal(kind).map_err(|error| Failure::failed(format!("signals cannot be received: {error}")));
    let (mut terminate, mut interrupt) =
        (received(SignalKind::terminate())?, received(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
