//! The sandbox's sockets: accepts, serves, resets on order, and closes in good order.

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

/// How long requests in flight may take once the sandbox stops.
const GRACE: Duration = Duration::from_secs(2);

/// Marks a response that must never be sent: the connection is reset instead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection is reset on order")]
pub(crate) struct Reset;

impl Reset {
    /// A response with the mark.
    pub(crate) fn response() -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Self);
        response
    }
}

/// Serves until `closing` is cancelled, then lets requests in flight end.
pub(crate) async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = closing.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), closing.clone()));
                }
                // Out of file descriptors, most likely: others may end meanwhile.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What does not end by then is cut off.
    drop(tokio::time::timeout(GRACE, all_ended).await);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router, closing: CancellationToken) {
    // Without it small answers would wait for the peer's delayed acknowledgement.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| Box::pin(answer(router.clone(), request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = closing.cancelled(), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner();
    if ended.is_err_and(|error| error.is_user()) {
        // A zero linger makes the close a reset.
        drop(stream.set_zero_linger());
    }
}

async fn answer(router: Router, request: hyper::Request<Incoming>) -> Result<Response, Reset> {
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if response.extensions().get::<Reset>().is_some() { Err(Reset) } else { Ok(response) }
}
