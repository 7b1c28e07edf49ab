//! The accept loop and the connections.

use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The time that requests in flight have to finish once the sandbox stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A marker for a response that is never sent: the connection is reset instead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a fault resets the connection")]
pub(crate) struct ConnectionReset;

impl ConnectionReset {
    /// Returns a response with the marker.
    pub(crate) fn response() -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Self);
        response
    }
}

/// Serves connections until `shutdown` is cancelled, then lets requests in flight finish.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone(), shutdown.clone()));
                }
                // Most likely the process has no file descriptor left: other connections may end meanwhile.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // Whatever is left after the timeout is cut off.
    drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, all_ended).await);
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    // Otherwise small responses would wait for the peer's delayed acknowledgement.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| Box::pin(respond(router.clone(), request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut shutting_down = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = shutdown.cancelled(), if !shutting_down => {
                shutting_down = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner();
    if ended.is_err_and(|error| error.is_user()) {
        // With a linger of zero, closing the socket resets the connection.
        drop(stream.set_zero_linger());
    }
}

async fn respond(router: Router, request: hyper::Request<Incoming>) -> Result<Response, ConnectionReset> {
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if response.extensions().get::<ConnectionReset>().is_some() { Err(ConnectionReset) } else { Ok(response) }
}
