//! API keys. The input is a key as somebody presents it, and also the randomness for one that is made.

use box_token_broker::auth::api_key::{generate, id_of};
use box_token_broker::domain::id::KeyId;

use super::key_set::Repeated;

/// Who presents a text has a key of this form only by its checksum.
pub fn run(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(id) = id_of(text)
    {
        assert_eq!(text.split('_').collect::<Vec<_>>()[..2], ["btb", id.public_part()]);
        assert_eq!(text.len(), "btb__".len() + id.public_part().len() + 49);
        no_neighbour_passes(text);
    }
    let entropy = Repeated(input);
    let id = KeyId::generate(&entropy);
    let key = generate(&id, &entropy);
    assert_eq!(id_of(key.expose()), Some(id));
    no_neighbour_passes(key.expose());
}

/// A key with one letter changed, missing or doubled is no key.
fn no_neighbour_passes(key: &str) {
    for place in 0..key.len() {
        let (before, rest) = key.split_at(place);
        let behind = &rest[1..];
        let other = if rest.starts_with('x') { 'y' } else { 'x' };
        for neighbour in [format!("{before}{other}{behind}"), format!("{before}{behind}")] {
            assert_eq!(id_of(&neighbour), None, "{neighbour}");
        }
    }
    for longer in [format!("{key}x"), format!(" {key}"), format!("{key}\n")] {
        assert_eq!(id_of(&longer), None, "{longer:?}");
    }
}
