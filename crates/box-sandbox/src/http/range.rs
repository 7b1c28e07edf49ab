//! The `Range` header (RFC 9110, section 14.2).

use std::ops::Range;

/// The meaning of a `Range` header for a file of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeRequest {
    /// These bytes.
    Bytes(Range<u64>),
    /// Bytes beyond the end of the file.
    Unsatisfiable,
    /// The whole file: there is no header, or it has another unit, several ranges or a syntax error.
    Whole,
}

impl RangeRequest {
    /// Parses the header of a request for a file of `size` bytes.
    pub(crate) fn parse(header: Option<&str>, size: u64) -> Self {
        let bytes = header.and_then(|header| header.strip_prefix("bytes="));
        let Some((first, last)) = bytes.and_then(|range| range.split_once('-')) else { return Self::Whole };
        let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
            (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
            (Err(_), Ok(last)) if first.trim().is_empty() => size.saturating_sub(last)..size,
            _ => return Self::Whole,
        };
        if range.is_empty() { Self::Unsatisfiable } else { Self::Bytes(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_header_is_parsed_as_rfc_9110_says() {
        for (header, expected) in [
            ("bytes=0-3", RangeRequest::Bytes(0..4)),
            ("bytes=8-", RangeRequest::Bytes(8..10)),
            ("bytes=-4", RangeRequest::Bytes(6..10)),
            ("bytes=-40", RangeRequest::Bytes(0..10)),
            ("bytes=5-99", RangeRequest::Bytes(5..10)),
            ("bytes=10-", RangeRequest::Unsatisfiable),
            ("bytes=-0", RangeRequest::Unsatisfiable),
            ("bytes=4-3", RangeRequest::Whole),
            ("bytes=0-1,3-4", RangeRequest::Whole),
            ("lines=0-1", RangeRequest::Whole),
            ("bytes=x-1", RangeRequest::Whole),
        ] {
            assert_eq!(RangeRequest::parse(Some(header), 10), expected, "{header}");
        }
    }
}
