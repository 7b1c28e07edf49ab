//! The broker's side of Box: minting, downscoping, revoking, and the three questions that the
//! broker asks with a token.
//!
//! A call is an `ask::Ask`; it is composed anew for each try (`assertion` signs), sent by
//! `transport` to the one configured origin, tried again where `diagnosis` says that this helps,
//! and read by `token_answer` or `client`. Nothing else in the broker knows what Box's bodies look
//! like.

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
