//! A server that answers with whatever bytes a test wants, one request to a connection.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) struct Stub {
    url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Stub {
    /// Answers the `n`th request, counted from 0, with the bytes of `answer(n, request)`.
    pub(crate) async fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let request = read(&mut stream).await;
                    let bytes = answer(n, &request);
                    // The test may be over.
                    drop(seen.send(request));
                    // The client hangs up on what it does not want to read to its end.
                    drop(stream.write_all(&bytes).await);
                });
            }
        });
        Self { url, requests }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next request, head and body, once it is there.
    pub(crate) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// How many requests were made that nobody asked for yet.
    pub(crate) fn left(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().to_owned())
            });
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

/// An HTTP answer with more header lines.
pub(crate) fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into()
}

/// The answer to a grant.
pub(crate) fn token(text: &str) -> Vec<u8> {
    let body = serde_json::json!({ "access_token": text, "token_type": "bearer", "expires_in": 3600 });
    http(200, "", &body.to_string())
}

/// The token endpoint's refusal.
pub(crate) fn refusal(headers: &str, error: &str, description: &str) -> Vec<u8> {
    let body = serde_json::json!({ "error": error, "error_description": description });
    http(400, headers, &body.to_string())
}

/// A field of the form in a request.
pub(crate) fn field(request: &str, name: &str) -> Option<String> {
    let body = request.split_once("\r\n\r\n")?.1;
    let mut fields = url::form_urlencoded::parse(body.as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}
