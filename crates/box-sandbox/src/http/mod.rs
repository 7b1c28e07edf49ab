//! HTTP as Box speaks it: connections, requests, responses, errors and CORS.
//!
//! This module owns everything about the wire that is the same for the token endpoint, the API and downloads. It
//! must not know what any single call does.

pub(crate) mod connection;
pub(crate) mod cors;
mod error;
mod form;
mod matching;
mod range;
mod request;
mod response;

pub(crate) use error::ErrorResponse;
pub(crate) use form::FormFields;
pub(crate) use matching::{path_matches, value_matches};
pub(crate) use range::RangeRequest;
pub(crate) use request::{RequestSummary, SandboxRequest, loggable};
pub(crate) use response::{FileSlice, SandboxResponse, add_common_headers, json_response};
