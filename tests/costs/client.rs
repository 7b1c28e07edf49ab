//! An HTTP client that adds next to nothing to the cost of the server it calls.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Returns a runtime of one thread. Server and client share it, so that a measurement of that thread covers both.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A client that sends one request again and again over one connection, and allocates nothing while it does.
pub(crate) struct Client {
    connection: TcpStream,
    request: String,
    answer: [u8; 4096],
}

impl Client {
    pub(crate) async fn connect(server: SocketAddr, request: String) -> Self {
        let connection = TcpStream::connect(server).await.unwrap();
        Self { connection, request, answer: [0; 4096] }
    }

    /// Sends the request and reads the answer to its end. Panics if the status is not 200.
    pub(crate) async fn call(&mut self) {
        let (request, mut sent) = (self.request.as_bytes(), 0);
        while sent < request.len() {
            self.connection.writable().await.unwrap();
            sent += zero_if_blocked(self.connection.try_write(&request[sent..]));
        }
        let mut read = 0;
        while !is_complete(&self.answer[..read]) {
            self.connection.readable().await.unwrap();
            read += zero_if_blocked(self.connection.try_read(&mut self.answer[read..]));
        }
        let answer = &self.answer[..read];
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    }
}

fn zero_if_blocked(result: io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        result => result.unwrap(),
    }
}

/// Reports whether the answer has arrived to its end. The last field of a token answer is an object, of a page's
/// answer a string.
fn is_complete(answer: &[u8]) -> bool {
    answer.ends_with(b"}}") || answer.ends_with(b"\"}")
}
