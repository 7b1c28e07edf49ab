//! The rule for texts that people may choose: every character is visible and does not affect its neighbours.

/// Returns true for a visible character: not a control character, and not one with which Unicode breaks lines,
/// changes the direction of text or hides it.
#[must_use]
pub fn is_printable(letter: char) -> bool {
    let hides = matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(letter, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !hides
}

/// Returns true for 1 to `max_length` printable characters.
#[must_use]
pub fn is_printable_line(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.chars().count()) && text.chars().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_hide_or_reorder_text_are_not_printable() {
        for good in ["a", "Acme & S\u{f6}hne", "\u{65e5}\u{672c} \u{1f600}", &"x".repeat(12)] {
            assert!(is_printable_line(good, 12), "{good:?}");
        }
        for bad in [
            "",
            "0123456789abc",
            "\0",
            "a\nb",
            "\u{85}",
            "\u{202e}cod",
            "a\u{2028}b",
            "a\u{200b}b",
            "\u{feff}a",
            "\u{e0041}",
        ] {
            assert!(!is_printable_line(bad, 12), "{bad:?}");
        }
    }
}
