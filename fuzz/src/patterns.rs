//! Patterns: those of trusts over what a token says, those of grants over subjects, and the origins of
//! web pages. The first line of the input is the kind and the pattern, the rest is the value.

use box_token_broker::domain::grant::SubjectPattern;
use box_token_broker::domain::origin::Origin;
use box_token_broker::domain::subject::Subject;
use box_token_broker::domain::trust::ClaimPattern;

/// The longest value, in bytes, that the slow rule is tried on as well.
const LONGEST: usize = 2048;

/// A pattern matches what the rule says, told as slowly as can be, and nothing else.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((line, value)) = text.split_once('\n') else { return };
    match line.split_once(' ') {
        Some(("trust", pattern)) => trust(pattern, value),
        Some(("subject", pattern)) => subject(pattern, value.trim_end()),
        Some(("origin", text)) => origin(text),
        _ => {}
    }
}

fn trust(text: &str, value: &str) {
    let Ok(pattern) = ClaimPattern::parse(text) else { return };
    assert!((1..=512).contains(&text.chars().count()) && !text.contains(char::is_control));
    assert_eq!(pattern.as_str(), text);
    assert_eq!(serde_json::from_value(serde_json::json!(text)).ok().as_ref(), Some(&pattern));
    let matches = pattern.matches(value);
    if value.len() <= LONGEST {
        assert_eq!(matches, is_matched(text, value), "{text} {value}");
    }
    // A star is as good as any text without a separator, and no text is a star.
    if !text.contains('*') {
        assert_eq!(matches, text == value);
    }
    if !value.contains('*') && text.chars().count() < 512 && matches {
        let ends = [format!("*{text}"), format!("{text}*")];
        for wider in ends.iter().filter_map(|text| ClaimPattern::parse(text).ok()) {
            assert!(wider.matches(value), "{wider} {value}");
        }
    }
}

/// Which beginnings of the value each beginning of the pattern matches, letter by letter.
fn is_matched(pattern: &str, value: &str) -> bool {
    let value: Vec<char> = value.chars().collect();
    let mut reached = vec![false; value.len() + 1];
    reached[0] = true;
    for wanted in pattern.chars() {
        let mut next = vec![false; value.len() + 1];
        for place in 0..=value.len() {
            let before = place.checked_sub(1).map(|before| (value[before], before));
            next[place] = match (wanted, before) {
                ('*', Some((letter, before))) => {
                    reached[place] || (next[before] && !matches!(letter, '/' | ':'))
                }
                ('*', None) => reached[place],
                (wanted, Some((letter, before))) => wanted == letter && reached[before],
                (_, None) => false,
            };
        }
        reached = next;
    }
    reached[value.len()]
}

fn subject(text: &str, value: &str) {
    let Ok(pattern) = SubjectPattern::parse(text) else { return };
    assert_eq!(pattern.to_string(), text);
    let Ok(subject) = Subject::parse(value) else { return };
    let same = text == value || (text == "user:*" && value.starts_with("user:"));
    assert_eq!(pattern.allows(&subject), same, "{text} {value}");
}

fn origin(text: &str) {
    let Ok(origin) = Origin::parse(text) else { return };
    assert_eq!(origin.as_str(), text);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { panic!("{text} has no scheme of a page") };
    assert!(!rest.is_empty() && rest.is_ascii() && !rest.contains(['/', '?', '#', '@', '*', ' ']), "{text}");
    assert_eq!(text.to_lowercase(), text);
}
