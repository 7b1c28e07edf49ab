//! What goes to the terminal: results to standard output, the rest to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::Failure;
use crate::domain::printable::is_printable;

/// Writes a result and a line break to standard output.
///
/// # Errors
/// Where nobody can receive it: a script must not take silence for success.
pub(super) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    // In one piece: whoever reads up to the line that they want may be gone before the rest of it.
    out.write_all(format!("{text}\n").as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output cannot be written: {error}")))
}

/// Writes a remark to standard error, where it never mixes with a result.
pub(super) fn remark(text: impl Display) {
    // Where even standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a failure to standard error, a line for each thing that is wrong.
pub(super) fn complain(failure: &Failure) {
    for line in failure.to_string().lines() {
        remark(format_args!("error: {line}"));
    }
}

/// Text from elsewhere without the characters by which it could draw on the terminal or hide there.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if is_printable(character) { character } else { '\u{fffd}' }).collect()
}
