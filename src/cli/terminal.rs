//! Output to the terminal: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::Failure;
use crate::domain::printable::is_printable;

/// Writes a result and a line break to standard output.
///
/// # Errors
/// If standard output cannot be written: a script must not take silence for success.
pub(super) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    // One write: a reader may close the pipe once it has read the line that it wanted.
    out.write_all(format!("{text}\n").as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output cannot be written: {error}")))
}

/// Writes a remark to standard error, where it never mixes with a result.
pub(super) fn remark(text: impl Display) {
    // If standard error is closed too, nobody can be informed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a failure to standard error, one line for each problem.
pub(super) fn print_failure(failure: &Failure) {
    for line in failure.to_string().lines() {
        remark(format_args!("error: {line}"));
    }
}

/// Replaces every character of foreign text that could control the terminal or hide on it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if is_printable(character) { character } else { '\u{fffd}' }).collect()
}
