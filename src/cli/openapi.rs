//! `openapi`: prints the OpenAPI document.

use super::failure::Failure;
use super::terminal;

/// Print the OpenAPI 3.1 document of the HTTP API.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  box-token-broker openapi > openapi.json")]
pub(super) struct OpenApiArgs {}

pub(super) fn run() -> Result<(), Failure> {
    terminal::print(crate::http::openapi(None).trim_end())
}
