//! The client of Box: minting, downscoping and revoking tokens, and the few questions that the broker asks with one.
//!
//! A call is a `request::BoxRequest`. It is prepared anew for each attempt (`assertion` signs), sent by
//! `transport` to the one configured origin, retried by `retry` if `diagnosis` says that this helps, and read by
//! `token_response` or `client`. Nothing else in the broker knows the form of Box's bodies.

mod assertion;
mod client;
mod clock_offset;
mod credentials;
mod diagnosis;
mod error;
mod request;
mod response;
mod restriction;
mod retry;
mod retry_after;
mod token_response;
mod transport;
mod upstream;

pub use assertion::{AssertionSigner, LocalSigner, SigningError};
pub use client::{BoxClient, ExchangeOutcome};
pub use credentials::{AppAuthentication, BoxCredentials};
pub use error::{BoxClientError, BoxError};
pub use token_response::{BoxObject, MintedToken, RestrictedObject};
pub(crate) use transport::in_words;
pub use upstream::UpstreamMessage;
