//! Limits on the rate of requests, as settings, callers and policies hold them.
//!
//! Counting requests is done by the module `auth`.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize};

/// The largest rate (per second) and the largest burst that a limit can have.
pub const MAX_RATE: u32 = 1_000_000;

/// A limit on requests: a rate per second, and a burst after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second.
    #[serde(deserialize_with = "count")]
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    pub per_second: NonZeroU32,
    /// Requests at once after a pause; if absent, as many as `per_second`.
    #[serde(default, deserialize_with = "some_count", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    pub burst: Option<NonZeroU32>,
}

impl RateLimit {
    /// Returns a limit whose burst equals its rate per second.
    #[must_use]
    pub fn without_burst(per_second: NonZeroU32) -> Self {
        Self { per_second, burst: None }
    }

    /// Returns a limit with this rate and burst; 0 counts as 1.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        const fn at_least_one(number: u32) -> NonZeroU32 {
            NonZeroU32::MIN.saturating_add(number.saturating_sub(1))
        }
        Self { per_second: at_least_one(per_second), burst: Some(at_least_one(burst)) }
    }

    /// Returns the number of requests that may come at once.
    #[must_use]
    pub fn burst_size(self) -> NonZeroU32 {
        self.burst.unwrap_or(self.per_second)
    }

    /// Returns the limit with the smaller rate and the smaller burst of the two.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            per_second: self.per_second.min(other.per_second),
            burst: Some(self.burst_size().min(other.burst_size())),
        }
    }
}

fn count<'de, D: Deserializer<'de>>(field: D) -> Result<NonZeroU32, D::Error> {
    let number = u64::deserialize(field)?;
    let fits = u32::try_from(number).ok().filter(|number| *number <= MAX_RATE).and_then(NonZeroU32::new);
    fits.ok_or_else(|| serde::de::Error::custom(format!("a limit is a whole number from 1 to {MAX_RATE}")))
}

fn some_count<'de, D: Deserializer<'de>>(field: D) -> Result<Option<NonZeroU32>, D::Error> {
    #[derive(Deserialize)]
    struct Count(#[serde(deserialize_with = "count")] NonZeroU32);

    Ok(Option::<Count>::deserialize(field)?.map(|Count(count)| count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::policy::Policy;

    #[test]
    fn a_limit_is_read_within_its_bounds_and_survives_its_document() {
        for text in [r#"{"per_second":1}"#, r#"{"per_second":1000000,"burst":7}"#] {
            let limit: RateLimit = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&limit).unwrap(), text);
        }
        let bad = ["{}", r#"{"per_second":0}"#, r#"{"per_second":1000001}"#, r#"{"per_second":1,"burst":0}"#];
        for text in bad {
            assert!(serde_json::from_str::<RateLimit>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_stored_without_limits_has_none() {
        let caller = r#"{"id":"cal_a","name":"a","kind":"service","grants":[],"keys":[],
            "created_at":"2026-01-02T03:04:05Z","version":3}"#;
        let caller: Caller = serde_json::from_str(caller).unwrap();
        let policy = r#"{"subjects":["enterprise"],"scopes":null,"full_tokens":false}"#;
        let policy: Policy = serde_json::from_str(policy).unwrap();
        assert_eq!((caller.rate_limit, policy.rate_limit), (None, None));
    }

    #[test]
    fn the_stricter_of_two_limits_is_the_smaller_in_both_numbers() {
        let limit = |per_second, burst| RateLimit {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst),
        };
        let both = limit(5, 0).stricter(limit(9, 2));
        assert_eq!((both.per_second.get(), both.burst_size().get()), (5, 2));
    }
}
