//! The problems with the settings, each with its origin.

use std::fmt;

/// All problems with the settings, displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    pub(super) problems: Vec<SettingsProblem>,
}

impl SettingsError {
    /// Returns the problems, first those of the file, then those of the environment.
    #[must_use]
    pub fn problems(&self) -> &[SettingsProblem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// One problem. It never repeats the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The file and line, or the variable of the environment.
    pub origin: String,
    /// The problem and its solution.
    pub detail: String,
}

impl SettingsProblem {
    pub(super) fn new(origin: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { origin: origin.into(), detail: detail.into() }
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.detail)
    }
}
