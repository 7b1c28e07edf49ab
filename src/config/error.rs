//! What is wrong with the settings, and where it stands.

use std::fmt;

/// Everything that is wrong with the settings, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    pub(super) problems: Vec<SettingsProblem>,
}

impl SettingsError {
    /// What is wrong, in the order of file and environment.
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

/// One thing that is wrong. It never repeats the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Where it stands: a file and line, or a variable of the environment.
    pub origin: String,
    /// What is wrong and what to do.
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
