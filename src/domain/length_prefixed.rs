//! The encoding of a list of fields in which each field is preceded by its length.
//!
//! No two lists have the same encoding, and no delimiter inside a field can move a boundary. Stored keys and MACs
//! depend on these bytes, so they must never change.

/// Builds an encoding field by field.
pub(super) struct LengthPrefixed(Vec<u8>);

impl LengthPrefixed {
    /// Returns an empty encoding with room for this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends a field: its length in eight bytes (big-endian), then its bytes.
    pub(super) fn push(&mut self, field: &[u8]) {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
    }

    /// Appends a number in eight bytes (big-endian).
    pub(super) fn push_number(&mut self, number: i64) {
        self.push(&number.to_be_bytes());
    }

    /// Appends each text as a field.
    pub(super) fn push_texts<const N: usize>(&mut self, texts: [&str; N]) {
        texts.iter().for_each(|text| self.push(text.as_bytes()));
    }

    /// Appends the number of texts, then each of them as a field.
    pub(super) fn push_list(&mut self, texts: impl Iterator<Item = String>) {
        let texts: Vec<String> = texts.collect();
        self.push(&(texts.len() as u64).to_be_bytes());
        texts.iter().for_each(|text| self.push(text.as_bytes()));
    }

    /// Returns the encoding.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
