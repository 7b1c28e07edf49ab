//! Accepts connections, with a limit on their number and on their time, and lets requests finish on a stop.

mod write_timeout;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::extract::peer_address::PeerAddress;
use crate::http::server::write_timeout::WriteTimeout;

/// The time that a request's head may take to arrive, including the silence before it.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The time for which a client may leave a response unread, counted from the last byte that it read.
const UNREAD_TIME: Duration = Duration::from_secs(10);
/// The time that requests have to finish once the process stops.
const FAREWELL: Duration = Duration::from_secs(15);
/// The pause after the listener failed to accept, for example because file descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stopping`, then lets the open requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    stopping: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_headers(64);
    let (graceful, open) = (GracefulShutdown::new(), TaskTracker::new());
    loop {
        // Whoever has no place yet waits in the kernel's queue, and costs nothing here.
        let place = tokio::select! {
            place = Arc::clone(&connections).acquire_owned() => place,
            () = stopping.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_peers(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                let _ = tokio::time::timeout(PAUSE, stopping.cancelled()).await;
                continue;
            }
        };
        let connection = connection(&builder, stream, peer.ip(), router.clone());
        let connection = graceful.watch(connection);
        open.spawn(async move {
            // A peer that goes away in the middle is nobody's failure.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.close();
    let farewell = async {
        graceful.shutdown().await;
        open.wait().await;
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("requests were cut off that did not finish in time");
    }
}

fn connection(
    builder: &http1::Builder,
    stream: TcpStream,
    peer: IpAddr,
    router: Router,
) -> http1::Connection<TokioIo<WriteTimeout<TcpStream>>, PeerService> {
    // Answers are short: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(WriteTimeout::new(stream, UNREAD_TIME));
    builder.serve_connection(stream, PeerService { router, peer })
}

/// The router as one connection sees it: each request knows the address at the other end.
#[derive(Debug)]
struct PeerService {
    router: Router,
    peer: IpAddr,
}

impl Service<Request<Incoming>> for PeerService {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(PeerAddress(self.peer));
        // A router is always ready.
        tower::Service::call(&mut self.router.clone(), request)
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
