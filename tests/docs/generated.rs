//! The parts of pages that come from the code.

use std::fs;

use crate::page::{read, root};

/// Checks that the part `name` of `page` is `expected`, or writes it if `BTB_UPDATE_DOCS` is set.
pub(crate) fn check(page: &str, name: &str, expected: &str) {
    let text = read(page);
    let start = format!("<!-- generated: {name} -->\n");
    let (before, rest) =
        text.split_once(&start).unwrap_or_else(|| panic!("{page} has no part `{name}` that is generated"));
    let (part, after) = rest.split_once("<!-- end -->").unwrap();
    let expected = format!("\n{}\n\n", expected.trim());
    if part == expected {
        return;
    }
    if std::env::var_os("BTB_UPDATE_DOCS").is_some() {
        let updated = format!("{before}{start}{expected}<!-- end -->{after}");
        fs::write(root().join(page), updated).unwrap();
        return;
    }
    let line = part.lines().zip(expected.lines()).find(|(there, wanted)| there != wanted);
    panic!(
        "{page}: `{name}` is not what the code says, first at {line:?}; write it anew with \
         `BTB_UPDATE_DOCS=1 cargo test --test docs`"
    );
}
