//! The signals that stop a serving process.

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;

/// Returns a future that ends on SIGTERM or Ctrl-C. Signals are received from this call on, not only once the
/// future is polled.
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
