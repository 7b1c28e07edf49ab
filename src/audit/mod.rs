//! The tamper-evident audit: its hash chains, checkpoints, verification and reports.
//!
//! It owns the format of the audit and the rules by which alterations are detected. It must not do I/O: `store` saves
//! and reads the records.
//!
//! Each process writes chains of its own, new ones every day. The MAC of a record covers the record before it, so that
//! no record can be altered, moved or removed from the middle of a chain. A signed [`Checkpoint`] states where each
//! chain ends, so that nothing can be cut off before that end. Whole days can be dropped, because no chain continues on
//! the next day.

mod chain;
mod checkpoint;
mod export_line;
mod integrity_error;
mod tally;
mod usage_report;
mod verifier;

use jiff::Timestamp;

pub use chain::{Chain, ChainLink, ChainTip, verify_link};
pub use checkpoint::{Checkpoint, CheckpointHead, DayRange, DroppedRange, ExportManifest, SignedCheckpoint};
pub use export_line::{CheckpointLine, ExportLine, RecordLine, find_checkpoint_in_line};
pub use integrity_error::IntegrityError;
pub use tally::{Countable, Tally};
pub use usage_report::UsageReport;
pub use verifier::{ChainVerifier, CheckpointClaims, VerificationSummary};

const SECONDS_A_DAY: i64 = 24 * 3600;

/// A day, as the number of days since 1970-01-01 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Day(pub i64);

impl Day {
    /// Returns the day of a moment.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(SECONDS_A_DAY))
    }

    /// Returns the moment at which the day begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(SECONDS_A_DAY)).unwrap_or(Timestamp::MAX)
    }

    /// Returns the day that is so many days later, or earlier if negative.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Parses a date such as `2026-01-31`.
    ///
    /// # Errors
    /// If the text is not a date.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        let date: jiff::civil::Date = text.parse()?;
        Ok(Self::of(jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0))?))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", jiff::tz::TimeZone::UTC.to_datetime(self.start()).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_matches_the_calendar() {
        let noon: Timestamp = "2026-02-28T12:00:00Z".parse().unwrap();
        let day = Day::of(noon);
        assert_eq!(day.to_string(), "2026-02-28");
        assert_eq!(Day::parse("2026-02-28").unwrap(), day);
        assert_eq!(day.plus_days(1).to_string(), "2026-03-01");
        assert_eq!(Day::of("1969-12-31T23:59:59Z".parse().unwrap()), Day(-1));
        assert!(Day::parse("2026-02-30").is_err() && Day::parse("today").is_err());
    }
}
