//! Box's own messages in a form that may be shown.

use std::fmt;

use zeroize::Zeroizing;

use crate::domain::printable::is_printable;

/// Box's message about a refusal, for people and never for decisions. The texts have at most 500 printable
/// characters, and contain none of the secrets that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamMessage {
    /// The HTTP status.
    pub status: u16,
    /// Box's error code.
    pub error: Option<String>,
    /// Box's description of it.
    pub error_description: Option<String>,
    /// Box's ID of the request, which its support asks for.
    pub request_id: Option<String>,
}

impl fmt::Display for UpstreamMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for (name, text) in [
            ("error", &self.error),
            ("error_description", &self.error_description),
            ("request_id", &self.request_id),
        ] {
            if let Some(text) = text {
                write!(f, ", {name} {text:?}")?;
            }
        }
        Ok(())
    }
}

/// The number of characters of a message that are kept.
const KEPT: usize = 500;

/// The secrets of one request, which a response might repeat.
#[derive(Default)]
pub(super) struct SentSecrets(Vec<Zeroizing<String>>);

impl SentSecrets {
    /// Adds a secret that is being sent.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if encoded != secret {
            self.0.push(Zeroizing::new(encoded));
        }
        self.0.push(Zeroizing::new(secret.to_owned()));
        // The longest first: a secret may be part of another one.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Removes control and invisible characters, then every secret that was sent, then cuts the text, in this
    /// order: no later step undoes an earlier one.
    pub(super) fn printable(&self, text: &str) -> String {
        let mut text: String = text.chars().filter(|&letter| is_printable(letter)).collect();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[redacted]");
            }
        }
        match text.char_indices().nth(KEPT) {
            Some((at, _)) => text[..at].to_owned(),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_box_repeats_of_our_secrets_is_redacted() {
        let mut sent = SentSecrets::default();
        sent.add("");
        sent.add("hunter2");
        sent.add("hunter2+more/=");
        for text in ["hunter2", "hunt\u{200b}er2", "hun\nter2", "hunter2+more/=", "hunter2%2Bmore%2F%3D"] {
            assert_eq!(sent.printable(&format!("you sent {text}!")), "you sent [redacted]!");
        }
    }

    #[test]
    fn a_secret_at_the_cut_leaves_no_piece_of_itself() {
        let mut sent = SentSecrets::default();
        sent.add("hunter2");
        let text = sent.printable(&format!("{}hunter2", "x".repeat(KEPT - 3)));
        assert_eq!(text.len(), KEPT);
        assert!(!text.contains("hun"));
        assert_eq!(sent.printable(&"ä".repeat(501)).chars().count(), KEPT);
    }
}
