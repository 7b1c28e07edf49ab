//! The place of a value in the store, as bytes to which a seal or a MAC is bound.

/// One column of one version of one row. Opening and verifying take the place where the content was found; it must
/// equal the place for which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AadContext<'a> {
    /// The table's name.
    pub table: &'a str,
    /// The row's immutable id.
    pub row: &'a str,
    /// The column's name; for a MAC, the name of what it covers.
    pub column: &'a str,
    /// The row's version, which increases with each change.
    pub version: i64,
}

impl AadContext<'_> {
    /// Passes to `take` the bytes for the `format` (with its version), this place, the `key` and the `content`. Each
    /// part is preceded by its length, so that different parts never yield the same bytes.
    pub(super) fn bind(&self, format: &str, key: &str, content: &[u8], mut take: impl FnMut(&[u8])) {
        let version = self.version.to_be_bytes();
        let parts = [format, self.table, self.row, self.column].map(str::as_bytes);
        for part in parts.into_iter().chain([&version, key.as_bytes(), content]) {
            take(&(part.len() as u64).to_be_bytes());
            take(part);
        }
    }

    /// Returns the same bytes without content, as associated data.
    pub(super) fn associated_data(&self, format: &str, key: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(192);
        self.bind(format, key, &[], |part| bytes.extend_from_slice(part));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parts = ([String; 5], i64, Vec<u8>);

    fn bytes(([format, table, row, column, key], version, content): &Parts) -> Vec<u8> {
        let mut bytes = Vec::new();
        let place = AadContext { table, row, column, version: *version };
        place.bind(format, key, content, |part| bytes.extend_from_slice(part));
        bytes
    }

    /// Few letters, delimiters and bytes that look like lengths, so that collisions would be found quickly.
    fn parts() -> impl Strategy<Value = Parts> {
        let text = || "[ab\0\x01\x02,:/|\"]{0,3}";
        let texts = [text(), text(), text(), text(), text()];
        (texts, -1_i64..3, prop::collection::vec(0_u8..4, 0..10))
    }

    proptest! {
        #[test]
        fn two_places_have_the_same_bytes_only_when_they_are_the_same(left in parts(), right in parts()) {
            prop_assert_eq!(bytes(&left) == bytes(&right), left == right);
        }

        #[test]
        fn no_delimiter_or_length_moves_a_boundary(
            original in parts(), from in 0_usize..5, to in 0_usize..5, at in 0_usize..4
        ) {
            // The end of one text is moved to the beginning of another: all letters stay the same.
            let mut moved = original.clone();
            let split = at.min(moved.0[from].len());
            let tail = moved.0[from].split_off(split);
            moved.0[to].insert_str(0, &tail);
            prop_assert_eq!(bytes(&moved) == bytes(&original), moved == original);
        }

        #[test]
        fn a_part_that_imitates_lengths_stays_one_part(original in parts(), other in parts()) {
            let mut nested = original.clone();
            nested.2 = bytes(&other);
            let mut joined = bytes(&original);
            joined.extend(bytes(&other));
            prop_assert_ne!(bytes(&nested), joined);
        }
    }
}
