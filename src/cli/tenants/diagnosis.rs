//! A diagnosis, for people: a line for each check, and what to do where one failed.

use serde::Deserialize;

use crate::cli::failure::Failure;
use crate::cli::terminal::{self, plain};

/// The outcome of one check.
#[derive(Deserialize)]
pub(super) struct Check {
    check: String,
    outcome: String,
    code: Option<String>,
    detail: Option<String>,
    fix: Option<String>,
}

impl Check {
    /// True where this check failed.
    pub(super) fn failed(&self, check: &str) -> bool {
        self.check == check && self.outcome == "fail"
    }
}

/// Prints the checks.
pub(super) fn print(checks: &[Check]) -> Result<(), Failure> {
    for check in checks {
        let sign = match check.outcome.as_str() {
            "pass" => '✓',
            "fail" => '✗',
            _ => '–',
        };
        let code = check.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        let detail = check.detail.as_deref().unwrap_or(&check.outcome);
        terminal::print(plain(&format!("  {sign} {:<16} {detail}{code}", check.check)))?;
        if let Some(fix) = &check.fix {
            terminal::print(plain(&format!("    fix: {fix}")))?;
        }
    }
    Ok(())
}
