//! A diagnosis as text: a line for each check, and the fix of each failed one.

use serde::Deserialize;

use crate::cli::failure::Failure;
use crate::cli::terminal::{self, plain};

/// The outcome of one check.
#[derive(Deserialize)]
pub(super) struct CheckLine {
    check: String,
    outcome: String,
    code: Option<String>,
    detail: Option<String>,
    fix: Option<String>,
}

impl CheckLine {
    /// Returns true if this is the named check and it failed.
    pub(super) fn failed(&self, check: &str) -> bool {
        self.check == check && self.outcome == "fail"
    }
}

/// Prints the checks.
pub(super) fn print(checks: &[CheckLine]) -> Result<(), Failure> {
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
