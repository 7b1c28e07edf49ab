//! One attempt over the wire: to one origin, without redirects, bounded in time and size.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Method, Proxy, redirect, retry};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::error::{BoxClientError, BoxError};
use super::request::PreparedRequest;
use super::response::BoxResponse;
use super::upstream::SentSecrets;
use crate::config::BoxSettings;

/// The HTTP client of Box's origin.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    api_url: Url,
    timeout: Duration,
}

/// The longest response that is read, in bytes. Box's responses have a few hundred; an error page may have some
/// thousand.
const MAX_BODY: usize = 64 * 1024;

/// The time to connect, short enough to leave time for a second attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why there is no response.
pub(super) enum TransportError {
    /// The connection could not be made, or broke: it is unknown whether Box acted.
    Connection(String),
    /// The time of one attempt passed.
    TimedOut(Duration),
    /// The response is not HTTP.
    NotHttp,
}

impl From<TransportError> for BoxError {
    fn from(lost: TransportError) -> Self {
        match lost {
            TransportError::Connection(reason) => {
                Self::unavailable(format!("the connection failed: {reason}"))
            }
            TransportError::TimedOut(time) => Self::unavailable(format!("no answer within {time:?}")),
            TransportError::NotHttp => Self::unavailable("what answers does not speak HTTP"),
        }
    }
}

impl Transport {
    /// Creates the transport from the settings.
    ///
    /// # Errors
    /// If the address is not one that secrets may be sent to, or a file or the proxy cannot be used.
    pub(super) fn new(settings: &BoxSettings) -> Result<Self, BoxClientError> {
        let api_url = origin(&settings.api_url)?;
        if settings.timeout.is_zero() {
            return Err(BoxClientError::Timeout);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("box-token-broker/", env!("CARGO_PKG_VERSION")))
            // A 307 would carry the assertion and the secret to another host.
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            // The library's retries would send an assertion twice; `retry` makes a new one each time.
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout));
        if let Some(proxy) = &settings.proxy {
            // For https only: http is for loopback and must not leave the machine through a proxy.
            let proxy = Proxy::https(proxy.expose()).map_err(|_| BoxClientError::Proxy)?;
            builder = builder.proxy(proxy);
        }
        let roots = certificates(settings)?;
        builder = if api_url.scheme() == "https" {
            builder.tls_certs_merge(roots)
        } else {
            // Without TLS the machine's certificate authorities are not needed, and it may have none.
            builder.tls_certs_only(roots)
        };
        let http = builder.build().map_err(|error| BoxClientError::Tls(in_words(error.without_url())))?;
        Ok(Self { http, api_url, timeout: settings.timeout })
    }

    /// Sends the request once and reads the response completely.
    pub(super) async fn send(&self, request: &PreparedRequest) -> Result<BoxResponse, TransportError> {
        let lost = |error| lost(error, &request.sent);
        let exchange = async {
            let mut response = self.build(request).send().await.map_err(lost)?;
            let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
            let mut fits = true;
            while fits && let Some(chunk) = response.chunk().await.map_err(lost)? {
                fits = body.len() + chunk.len() <= MAX_BODY;
                if fits {
                    body.extend_from_slice(&chunk);
                }
            }
            let headers = std::mem::take(response.headers_mut());
            Ok(BoxResponse { status: response.status().as_u16(), headers, body: fits.then_some(body) })
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(TransportError::TimedOut(self.timeout)))
    }

    fn build(&self, request: &PreparedRequest) -> reqwest::RequestBuilder {
        let mut url = self.api_url.clone();
        url.set_path(&format!("{}{}", self.api_url.path(), request.path));
        url.set_query(request.query);
        let method = if request.form.is_some() { Method::POST } else { Method::GET };
        let mut builder = self.http.request(method, url).header(ACCEPT_ENCODING, "identity");
        if let Some(form) = &request.form {
            let form = Zeroizing::new(form.as_bytes().to_vec());
            builder = builder
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Bytes::from_owner(form));
        }
        if let Some(bearer) = &request.bearer {
            builder = builder.header(AUTHORIZATION, bearer_header(bearer.expose()));
        }
        match &request.as_user {
            Some(user) => builder.header("as-user", user.as_str()),
            None => builder,
        }
    }
}

fn bearer_header(token: &str) -> HeaderValue {
    let text = Zeroizing::new(format!("Bearer {token}"));
    // A token that fits into no header is not Box's; Box refuses the empty one.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}

/// Returns the address below which everything is sent: a path that ends in `/`, no query, no credentials.
fn origin(api_url: &Url) -> Result<Url, BoxClientError> {
    let loopback = match api_url.host() {
        Some(Host::Ipv4(address)) => Ipv4Addr::is_loopback(&address),
        Some(Host::Ipv6(address)) => Ipv6Addr::is_loopback(&address),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match api_url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err(BoxClientError::ApiUrl("must be https, or http on loopback")),
    }
    if !api_url.username().is_empty() || api_url.password().is_some() {
        return Err(BoxClientError::ApiUrl("must not hold a user name or password"));
    }
    if api_url.query().is_some() || api_url.fragment().is_some() {
        return Err(BoxClientError::ApiUrl("must not hold a query or fragment"));
    }
    let mut origin = api_url.clone();
    if !origin.path().ends_with('/') {
        origin.set_path(&format!("{}/", api_url.path()));
    }
    Ok(origin)
}

/// Reads the certificate authorities of `box.ca_file`.
fn certificates(settings: &BoxSettings) -> Result<Vec<Certificate>, BoxClientError> {
    let Some(path) = &settings.ca_file else { return Ok(Vec::new()) };
    let unusable = |reason: String| BoxClientError::CaFile { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let roots = Certificate::from_pem_bundle(&pem)
        .map_err(|error| unusable(format!("is not PEM: {}", in_words(error))))?;
    if roots.is_empty() { Err(unusable("holds no certificate in PEM".to_owned())) } else { Ok(roots) }
}

/// Separates failures that a retry may mend. Every text leaves out the URL and what was sent.
fn lost(error: reqwest::Error, sent: &SentSecrets) -> TransportError {
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if current.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return TransportError::NotHttp;
        }
        cause = current.source();
    }
    TransportError::Connection(sent.printable(&in_words(error)))
}

/// Returns an error and its causes in one line.
pub(crate) fn in_words(error: impl Error + 'static) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let text = current.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = current.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_https_or_to_loopback_alone() {
        for (given, taken) in [
            ("https://api.box.com", "https://api.box.com/"),
            ("https://proxy.example/box", "https://proxy.example/box/"),
            ("http://127.8.9.1:81", "http://127.8.9.1:81/"),
            ("http://[::1]:81/", "http://[::1]:81/"),
            ("http://localhost:81", "http://localhost:81/"),
        ] {
            let origin = origin(&Url::parse(given).unwrap()).unwrap();
            assert_eq!(origin.as_str(), taken);
        }
        for refused in [
            "http://api.box.com",
            "http://10.0.0.1",
            "http://[::ffff:127.0.0.1]",
            "http://[::ffff:10.0.0.1]",
            "http://localhost.example",
            "http://localhost@api.box.com",
            "https://user:secret@api.box.com",
            "https://api.box.com/?a=b",
            "https://api.box.com/#x",
            "ftp://127.0.0.1",
            "unix:/run/box.sock",
        ] {
            assert!(origin(&Url::parse(refused).unwrap()).is_err(), "{refused}");
        }
    }
}
