//! The signatures on Box's webhook deliveries (developer.box.com, "Signature verification").
//!
//! It reads the headers and checks the age. Computing the HMAC with an app's keys is left to the caller.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};

/// The maximum age of a delivery, from Box's documentation.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(10);
/// The maximum time by which a delivery's timestamp may be ahead of the broker's clock. Clocks differ, but a later
/// timestamp would let a delivery be replayed for longer.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(10);

const VERSION_HEADER: &str = "box-signature-version";
const ALGORITHM_HEADER: &str = "box-signature-algorithm";
const TIMESTAMP_HEADER: &str = "box-delivery-timestamp";
const PRIMARY_HEADER: &str = "box-signature-primary";
const SECONDARY_HEADER: &str = "box-signature-secondary";

/// One of the two keys with which an app signs its webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKeySlot {
    /// The key of `BOX-SIGNATURE-PRIMARY`.
    Primary,
    /// The key of `BOX-SIGNATURE-SECONDARY`.
    Secondary,
}

/// The reason why a delivery is not accepted as Box's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejection {
    /// The app has no webhook key.
    #[error(
        "No webhook signature key is stored for this tenant's app. Generate the keys in Box's developer console \
         (Webhooks, Manage signature keys), download the app's config file again, and put it to \
         `/v1/tenants/{{tenant}}/credentials`, or to the shared app's."
    )]
    NoKeys,
    /// The version is missing or unknown.
    #[error("`BOX-SIGNATURE-VERSION` is missing or not 1.")]
    Version,
    /// The algorithm is missing or unknown.
    #[error("`BOX-SIGNATURE-ALGORITHM` is missing or not HmacSHA256.")]
    Algorithm,
    /// The timestamp is missing or malformed.
    #[error("`BOX-DELIVERY-TIMESTAMP` is missing or no time as RFC 3339 writes it.")]
    InvalidTimestamp,
    /// The timestamp is too far in the past.
    #[error("The delivery is older than 10 minutes.")]
    TooOld,
    /// The timestamp is too far in the future.
    #[error("The delivery is dated more than 10 minutes ahead of the broker's clock.")]
    TooFarAhead,
    /// There is no well-formed signature.
    #[error("`BOX-SIGNATURE-PRIMARY` and `BOX-SIGNATURE-SECONDARY` are missing or not base64 of 32 bytes.")]
    Unsigned,
    /// No signature matches the stored keys and the body.
    #[error(
        "No signature is that of the stored keys over these bytes. Send the body exactly as it came; where the keys \
         were changed in Box, put the app's new config file to the broker."
    )]
    Signature,
}

/// The headers of a delivery whose signatures have yet to be verified.
#[derive(Debug)]
pub struct WebhookDelivery<'a> {
    /// `BOX-DELIVERY-TIMESTAMP` as received; the signature covers the body followed by it.
    pub timestamp: &'a str,
    signatures: Vec<(WebhookKeySlot, Vec<u8>)>,
}

impl<'a> WebhookDelivery<'a> {
    /// Reads the headers of a delivery, whose names are in lower case, and checks its age.
    ///
    /// # Errors
    /// [`WebhookRejection`] if it cannot be a current delivery, whatever its signatures.
    pub fn read(headers: &'a BTreeMap<String, String>, now: Timestamp) -> Result<Self, WebhookRejection> {
        let header = |name: &str| headers.get(name).map(String::as_str);
        if header(VERSION_HEADER) != Some("1") {
            return Err(WebhookRejection::Version);
        }
        if header(ALGORITHM_HEADER) != Some("HmacSHA256") {
            return Err(WebhookRejection::Algorithm);
        }
        let timestamp = header(TIMESTAMP_HEADER).ok_or(WebhookRejection::InvalidTimestamp)?;
        check_age(parse_rfc3339(timestamp).ok_or(WebhookRejection::InvalidTimestamp)?, now)?;
        let signatures: Vec<_> =
            [(WebhookKeySlot::Primary, PRIMARY_HEADER), (WebhookKeySlot::Secondary, SECONDARY_HEADER)]
                .into_iter()
                .filter_map(|(key, name)| Some((key, decode_signature(header(name)?)?)))
                .collect();
        if signatures.is_empty() {
            Err(WebhookRejection::Unsigned)
        } else {
            Ok(Self { timestamp, signatures })
        }
    }

    /// Returns the first key for which `is_valid` accepts the signature.
    ///
    /// # Errors
    /// [`WebhookRejection::Signature`] if it accepts none.
    pub fn verify(
        &self,
        is_valid: impl Fn(WebhookKeySlot, &[u8]) -> bool,
    ) -> Result<WebhookKeySlot, WebhookRejection> {
        let mut signatures = self.signatures.iter();
        let found = signatures.find(|(key, signature)| is_valid(*key, signature));
        found.map(|(key, _)| *key).ok_or(WebhookRejection::Signature)
    }
}

/// Parses a timestamp in the form of RFC 3339; the parser of the time crate alone would accept further forms.
fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let looks_like = |text: &[u8], form: &[u8]| {
        text.len() == form.len()
            && text.iter().zip(form).all(|(byte, as_in)| match as_in {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte.eq_ignore_ascii_case(other),
            })
    };
    let (time, rest) = text.as_bytes().split_at_checked(b"0000-00-00T00:00:00".len())?;
    let zone = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &rest[digits..]
        }
    };
    let is_one =
        looks_like(time, b"0000-00-00T00:00:00") && (looks_like(zone, b"Z") || looks_like(zone, b"+00:00"));
    if is_one { text.parse().ok() } else { None }
}

fn check_age(at: Timestamp, now: Timestamp) -> Result<(), WebhookRejection> {
    let age = now.duration_since(at);
    match age {
        _ if age > MAX_AGE => Err(WebhookRejection::TooOld),
        _ if age < -MAX_AHEAD => Err(WebhookRejection::TooFarAhead),
        _ => Ok(()),
    }
}

/// Decodes an HMAC-SHA-256 from base64.
fn decode_signature(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2020-01-01T00:00:00-07:00";

    fn headers() -> BTreeMap<String, String> {
        let signature = BASE64.encode(&[7; 32]);
        [
            (VERSION_HEADER, "1"),
            (ALGORITHM_HEADER, "HmacSHA256"),
            (TIMESTAMP_HEADER, AT),
            (PRIMARY_HEADER, &*signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn rejection(headers: &BTreeMap<String, String>, seconds: i64) -> Option<WebhookRejection> {
        let sent: Timestamp = AT.parse().unwrap();
        WebhookDelivery::read(headers, sent + SignedDuration::from_secs(seconds)).err()
    }

    #[test]
    fn a_delivery_is_accepted_for_ten_minutes_either_way() {
        for (seconds, expected) in [
            (0, None),
            (600, None),
            (601, Some(WebhookRejection::TooOld)),
            (-600, None),
            (-601, Some(WebhookRejection::TooFarAhead)),
            (1_000_000_000, Some(WebhookRejection::TooOld)),
        ] {
            assert_eq!(rejection(&headers(), seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_missing_or_wrong_header_is_rejected_with_its_reason() {
        for (name, value, expected) in [
            (VERSION_HEADER, "2", WebhookRejection::Version),
            (VERSION_HEADER, "", WebhookRejection::Version),
            (ALGORITHM_HEADER, "HmacSHA1", WebhookRejection::Algorithm),
            (ALGORITHM_HEADER, "hmacsha256", WebhookRejection::Algorithm),
            (TIMESTAMP_HEADER, "yesterday", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00:00", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "1577862000", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00:00-07:00[-07:00]", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "+002020-01-01T00:00:00-07:00", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "20200101T000000-0700", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00:00-07", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00-07:00", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00:00,5-07:00", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-01-01T00:00:00.-07:00", WebhookRejection::InvalidTimestamp),
            (TIMESTAMP_HEADER, "2020-13-01T00:00:00-07:00", WebhookRejection::InvalidTimestamp),
            (PRIMARY_HEADER, "AAAA", WebhookRejection::Unsigned),
            (PRIMARY_HEADER, "!", WebhookRejection::Unsigned),
        ] {
            let mut changed = headers();
            changed.insert(name.to_owned(), value.to_owned());
            assert_eq!(rejection(&changed, 0), Some(expected), "{name}: {value}");
            changed.remove(name);
            assert_eq!(rejection(&changed, 0), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_timestamp_is_read_only_in_the_form_of_rfc_3339() {
        let sent: Timestamp = AT.parse().unwrap();
        for text in [AT, "2020-01-01T07:00:00Z", "2020-01-01t07:00:00z", "2020-01-01T07:00:00.000Z"] {
            assert_eq!(parse_rfc3339(text), Some(sent), "{text}");
        }
        for text in ["", "2020-01-01", "2020-01-01T07:00:00\u{e9}", "\u{e9}020-01-01T07:00:00Z"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
