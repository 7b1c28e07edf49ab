//! The HTTP client with which commands call a running broker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::secret::SecretString;

use super::failure::{Exit, Failure};
use super::problem;

/// The longest time that a command waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes; the broker sends none that is longer.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The arguments that name the broker and the key.
#[derive(Debug, clap::Args)]
pub(super) struct BrokerArgs {
    /// URL of the broker.
    #[arg(long, env = "BTB_URL", default_value = "http://127.0.0.1:8080", value_parser = base)]
    url: Url,
    /// File that contains the API key. Default: the key in BTB_KEY, or the file named in BTB_KEY_FILE.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print the broker's whole answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// The client of one broker.
#[derive(Debug)]
pub(super) struct BrokerClient {
    client: Client,
    base: Url,
    key: SecretString,
}

/// The answer to a request that succeeded.
pub(super) struct BrokerResponse {
    pub status: StatusCode,
    pub body: SecretString,
}

impl BrokerResponse {
    /// Parses the body.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.body.expose()).map_err(|error| {
            Failure::failed(format!("the answer is not what this version of the command expects: {error}"))
        })
    }
}

impl BrokerArgs {
    /// Returns the client of the broker that these arguments name.
    pub(super) fn connect(&self) -> Result<BrokerClient, Failure> {
        BrokerClient::at(self.url.clone(), self.key()?)
    }

    /// Returns true if requests travel unencrypted to another machine.
    pub(super) fn is_in_the_clear(&self) -> bool {
        let loopback = match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.url.scheme() == "http" && !loopback
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the key comes in the environment alone: arguments show in `ps`"
    )]
    fn key(&self) -> Result<SecretString, Failure> {
        let file = match (&self.key_file, std::env::var("BTB_KEY"), std::env::var_os("BTB_KEY_FILE")) {
            (Some(file), ..) => file.clone(),
            (None, Ok(key), _) if !key.trim().is_empty() => {
                return Ok(SecretString::new(key.trim().to_owned()));
            }
            (None, _, Some(file)) if !file.is_empty() => PathBuf::from(file),
            _ => {
                return Err(Failure::usage(
                    "no API key: set BTB_KEY to one, or BTB_KEY_FILE or --key-file to a file that holds it \
                     (`box-token-broker callers create --admin --name NAME` makes the first one)",
                ));
            }
        };
        key_in(&file)
    }
}

fn key_in(file: &Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(file).map(SecretString::new).map_err(|error| {
        Failure::usage(format!("the key file {} cannot be read: {error}", file.display()))
    })?;
    match text.expose().trim() {
        "" => Err(Failure::usage(format!("the key file {} is empty", file.display()))),
        key => Ok(SecretString::new(key.to_owned())),
    }
}

fn base(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("{error}: write a URL such as http://127.0.0.1:8080"))?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if fits { Ok(url) } else { Err("write an http or https URL without user, query or fragment".to_owned()) }
}

impl BrokerClient {
    /// Creates the client of the broker at `base`, called with `key`.
    pub(super) fn at(base: Url, key: SecretString) -> Result<Self, Failure> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent(concat!("box-token-broker/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::failed(format!("no HTTP client can be made: {error}")))?;
        Ok(Self { client, base, key })
    }

    /// Sends a GET request to these path segments.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<BrokerResponse, Failure> {
        self.send(self.request(Method::GET, path, query)).await
    }

    /// Sends a POST request with a JSON body to these path segments.
    pub(super) async fn post(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &Value,
    ) -> Result<BrokerResponse, Failure> {
        self.send(self.request(Method::POST, path, query).json(body)).await
    }

    /// Returns a request with the key, not yet sent, for the resource at these path segments.
    pub(super) fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        // An http URL always has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url).bearer_auth(self.key.expose())
    }

    /// Sends a request and reads the whole answer, at most `BODY_LIMIT` bytes. Any status but success is a failure.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<BrokerResponse, Failure> {
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(Failure::failed("the answer is too long to be the broker's: check BTB_URL"));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(problem::failure(status, &body));
        }
        let body = String::from_utf8(body)
            .map_err(|_| Failure::failed("the answer is not text, so not the broker's: check BTB_URL"))?;
        Ok(BrokerResponse { status, body: SecretString::new(body) })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::usage("the API key holds characters that no key has: check BTB_KEY or its file");
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
        let base = self.base.as_str().trim_end_matches('/');
        Failure::new(
            Exit::RetryLater,
            format!(
                "no broker answers at {base} ({reason}): start one with `serve`, or set BTB_URL to where it is"
            ),
        )
    }
}

/// Checks a tenant's name or id.
pub(super) fn tenant(text: &str) -> Result<String, String> {
    use crate::domain::id::{Name, TenantId};

    match (Name::parse(text), TenantId::parse(text)) {
        (Err(problem), Err(_)) => Err(format!("{problem}; an id begins with `ten_`")),
        _ => Ok(text.to_owned()),
    }
}

/// Checks a Box id.
pub(super) fn box_id(text: &str) -> Result<String, String> {
    crate::domain::id::BoxId::parse(text)
        .map(|id| id.as_str().to_owned())
        .map_err(|problem| problem.to_string())
}
