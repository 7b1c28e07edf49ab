//! The headers of uploads in parts.

use data_encoding::BASE64;

use crate::http::ErrorResponse;
use crate::state::BodyDigest;

/// Parses `Digest: sha=…` or `sha-256=…`, with the digest in base64 (RFC 3230).
pub(super) fn digest(header: Option<&str>) -> Result<BodyDigest, ErrorResponse> {
    let parse = || {
        let (algorithm, value) = header?.split_once('=')?;
        let bytes = BASE64.decode(value.trim().as_bytes()).ok()?;
        match algorithm.trim().to_ascii_lowercase().as_str() {
            "sha" | "sha-1" => bytes.try_into().ok().map(BodyDigest::Sha1),
            "sha-256" => bytes.try_into().ok().map(BodyDigest::Sha256),
            _ => None,
        }
    };
    parse().ok_or_else(|| ErrorResponse::bad_digest("'Digest' must be 'sha=' and the SHA-1 in base64"))
}

/// Parses `Content-Range: bytes first-last/total` (RFC 9110, section 14.4). Returns the three numbers.
pub(super) fn content_range(header: Option<&str>) -> Result<(u64, u64, u64), ErrorResponse> {
    let parse = || {
        let (range, total) = header?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (first <= last && last < u64::MAX).then_some((first, last, total.parse().ok()?))
    };
    parse().ok_or_else(|| ErrorResponse::bad_request("'Content-Range' must be 'bytes first-last/total'"))
}
