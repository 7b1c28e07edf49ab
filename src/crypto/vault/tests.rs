//! Untrusted storage: altered, moved or inserted content is refused.

use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::crypto::WrappedKey;
use crate::entropy::SystemEntropy;

mod key_service;

const PLACE: AadContext<'static> =
    AadContext { table: "tenants", row: "ten_1", column: "secrets", version: 7 };

/// Every place that differs from `PLACE` in one part, and one where a boundary is moved.
const ELSEWHERE: [AadContext<'static>; 6] = [
    AadContext { table: "apps", ..PLACE },
    AadContext { row: "ten_2", ..PLACE },
    AadContext { column: "webhook", ..PLACE },
    AadContext { version: 6, ..PLACE },
    AadContext { version: 8, ..PLACE },
    AadContext { table: "tenantst", row: "en_1", ..PLACE },
];

fn vault(keys: &KeySet) -> Vault {
    Vault::local(keys, Arc::new(SystemEntropy)).unwrap()
}

fn generated() -> KeySet {
    KeySet::generate(&SystemEntropy)
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

/// The set after a change to its document.
fn changed(keys: &KeySet, change: impl FnOnce(&mut Value)) -> KeySet {
    let mut document: Value = serde_json::from_slice(keys.to_json().expose()).unwrap();
    change(&mut document);
    KeySet::parse(&serde_json::to_vec(&document).unwrap()).unwrap()
}

/// The set with each kind's key retired and a new one active.
fn rotated(keys: &KeySet) -> KeySet {
    let new: Value = serde_json::from_slice(generated().to_json().expose()).unwrap();
    changed(keys, |document| {
        for kind in KeyKind::ALL.map(KeyKind::as_str) {
            document[kind][0]["state"] = json!("retired");
            document[kind].as_array_mut().unwrap().push(new[kind][0].clone());
        }
    })
}

fn key_id(keys: &KeySet, kind: KeyKind) -> String {
    keys.active(kind).unwrap().id.clone()
}

/// Each copy of `bytes` with one bit flipped, and the byte it is in.
fn flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, copy)
    })
}

#[tokio::test]
async fn what_was_sealed_opens_at_its_place() {
    let vault = vault(&generated());
    for text in ["", "x", &"long ".repeat(20_000)] {
        let sealed = vault.seal(&PLACE, &secret(text)).await.unwrap();
        assert_eq!(vault.open(&PLACE, &sealed).await, Ok(secret(text)));
    }
}

#[tokio::test]
async fn a_seal_moved_to_another_table_row_column_or_version_is_refused() {
    let vault = vault(&generated());
    let sealed = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    for place in ELSEWHERE {
        assert_eq!(vault.open(&place, &sealed).await, Err(CryptoError::Refused), "{place:?}");
    }
}

#[tokio::test]
async fn a_seal_with_any_single_bit_flipped_is_refused() {
    let keys = generated();
    let vault = vault(&keys);
    let sealed = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    let key_ref = 2..2 + key_id(&keys, KeyKind::Encryption).len();
    for (index, copy) in flipped(&sealed) {
        match vault.open(&PLACE, &copy).await {
            Err(CryptoError::Refused) => {}
            // A reference that could be a key's, but is none here.
            Err(CryptoError::KeyUnavailable { .. }) if key_ref.contains(&index) => {}
            other => panic!("byte {index}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_seal_that_is_cut_off_or_continued_is_refused() {
    let vault = vault(&generated());
    let sealed = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    for length in 0..sealed.len() {
        let cut = vault.open(&PLACE, &sealed[..length]).await;
        assert_eq!(cut, Err(CryptoError::Refused), "{length}");
    }
    for more in [&b"\0"[..], b"more", &sealed] {
        let continued = [&sealed, more].concat();
        assert_eq!(vault.open(&PLACE, &continued).await, Err(CryptoError::Refused));
    }
}

#[tokio::test]
async fn a_seal_that_names_another_key_is_refused() {
    let keys = generated();
    let both = rotated(&keys);
    let mut sealed = vault(&keys).seal(&PLACE, &secret("plain")).await.unwrap();
    let other = key_id(&both, KeyKind::Encryption);
    sealed[2..2 + other.len()].copy_from_slice(other.as_bytes());
    assert_eq!(vault(&both).open(&PLACE, &sealed).await, Err(CryptoError::Refused));
}

#[tokio::test]
async fn parts_of_two_seals_of_one_place_do_not_mix() {
    let vault = vault(&generated());
    let one = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    let two = vault.seal(&PLACE, &secret("plain")).await.unwrap();
    for boundary in 1..one.len() {
        let mixed = [&one[..boundary], &two[boundary..]].concat();
        if mixed != one && mixed != two {
            assert_eq!(vault.open(&PLACE, &mixed).await, Err(CryptoError::Refused), "{boundary}");
        }
    }
}

#[tokio::test]
async fn two_seals_of_one_plaintext_share_no_key_nonce_or_ciphertext() {
    let vault = vault(&generated());
    let one = vault.seal(&PLACE, &secret("the same plaintext")).await.unwrap();
    let two = vault.seal(&PLACE, &secret("the same plaintext")).await.unwrap();
    let (one, two) = (Envelope::parse(&one).unwrap(), Envelope::parse(&two).unwrap());
    // The salt and the sealed key; the nonce and the ciphertext.
    for (one, two) in [(one.wrapped, two.wrapped), (one.sealed, two.sealed)] {
        assert!(one.chunks(12).zip(two.chunks(12)).all(|(one, two)| one != two));
    }
}

#[tokio::test]
async fn retired_keys_still_open_verify_and_match_but_make_nothing() {
    let keys = generated();
    let old = vault(&keys);
    let sealed = old.seal(&PLACE, &secret("plain")).await.unwrap();
    let (mac, peppered) = (old.authenticate(&PLACE, b"row"), old.hash_with_pepper(b"text"));

    let both = rotated(&keys);
    let new = vault(&both);
    assert_eq!(new.open(&PLACE, &sealed).await, Ok(secret("plain")));
    assert_eq!(new.verify(&PLACE, b"row", &mac), Ok(()));
    assert_eq!(new.verify_peppered(&peppered.pepper, &peppered.digest, b"text"), Ok(true));

    let sealed = new.seal(&PLACE, &secret("plain")).await.unwrap();
    let key_ref = Envelope::parse(&sealed).unwrap().key_ref.to_owned();
    assert_eq!(key_ref, key_id(&both, KeyKind::Encryption));
    assert_eq!(new.authenticate(&PLACE, b"row").key, key_id(&both, KeyKind::Row));
    assert_eq!(new.hash_with_pepper(b"text").pepper, key_id(&both, KeyKind::Pepper));
}

#[tokio::test]
async fn a_key_that_is_gone_is_named_and_nothing_else_suffers() {
    let keys = generated();
    let old = vault(&keys);
    let sealed = old.seal(&PLACE, &secret("plain")).await.unwrap();
    let (mac, peppered) = (old.authenticate(&PLACE, b"row"), old.hash_with_pepper(b"text"));
    let gone = |kind| CryptoError::KeyUnavailable { id: key_id(&keys, kind) };

    let new = vault(&generated());
    assert_eq!(new.open(&PLACE, &sealed).await, Err(gone(KeyKind::Encryption)));
    assert_eq!(new.verify(&PLACE, b"row", &mac), Err(gone(KeyKind::Row)));
    let matched = new.verify_peppered(&peppered.pepper, &peppered.digest, b"text");
    assert_eq!(matched, Err(gone(KeyKind::Pepper)));
    let sealed = new.seal(&PLACE, &secret("other")).await.unwrap();
    assert_eq!(new.open(&PLACE, &sealed).await, Ok(secret("other")));
}

#[test]
fn a_key_name_that_could_be_none_is_not_repeated() {
    let vault = vault(&generated());
    for key in ["", "line\nbreak", "ä", &"a".repeat(256)] {
        let mac = RowMac { key: key.to_owned(), mac: vec![0; 32] };
        assert_eq!(vault.verify(&PLACE, b"row", &mac), Err(CryptoError::Refused));
        assert_eq!(vault.verify_peppered(key, &[0; 32], b"text"), Err(CryptoError::Refused));
    }
}

#[test]
fn a_vault_needs_an_active_key_of_each_kind() {
    let keys = generated();
    for kind in KeyKind::ALL {
        for keys_left in [json!([]), json!("retired")] {
            let without = changed(&keys, |document| match keys_left {
                Value::Array(_) => document[kind.as_str()] = keys_left,
                _ => document[kind.as_str()][0]["state"] = keys_left,
            });
            let made = Vault::local(&without, Arc::new(SystemEntropy)).map(drop);
            assert_eq!(made, Err(KeySetError::NoActiveKey { kind }));
        }
    }
}

#[test]
fn a_row_mac_holds_for_its_row_alone() {
    let vault = vault(&generated());
    let mac = vault.authenticate(&PLACE, b"content");
    assert_eq!(vault.verify(&PLACE, b"content", &mac), Ok(()));
    for place in ELSEWHERE {
        assert_eq!(vault.verify(&place, b"content", &mac), Err(CryptoError::Refused), "{place:?}");
    }
    for content in [&b""[..], b"content\0", b"conten"] {
        assert_eq!(vault.verify(&PLACE, content, &mac), Err(CryptoError::Refused));
    }
    for (_, content) in flipped(b"content") {
        assert_eq!(vault.verify(&PLACE, &content, &mac), Err(CryptoError::Refused));
    }
}

#[test]
fn a_row_mac_with_any_change_is_refused() {
    let keys = generated();
    let both = rotated(&keys);
    let mac = vault(&keys).authenticate(&PLACE, b"content");
    let vault = vault(&both);
    let refused = |mac: RowMac| assert_eq!(vault.verify(&PLACE, b"content", &mac), Err(CryptoError::Refused));
    flipped(&mac.mac).for_each(|(_, copy)| refused(RowMac { mac: copy, ..mac.clone() }));
    (0..32).for_each(|length| refused(RowMac { mac: mac.mac[..length].to_vec(), ..mac.clone() }));
    refused(RowMac { mac: [&mac.mac[..], b"\0"].concat(), ..mac.clone() });
    refused(RowMac { key: key_id(&both, KeyKind::Row), ..mac.clone() });
}

#[test]
fn a_peppered_text_matches_itself_alone() {
    let vault = vault(&generated());
    let PepperedHash { pepper, digest } = vault.hash_with_pepper(b"btb_key");
    let matches = |digest: &[u8], text: &[u8]| vault.verify_peppered(&pepper, digest, text).unwrap();
    assert!(matches(&digest, b"btb_key"));
    assert!(!matches(&digest, b"btb_kez") && !matches(&digest, b"") && !matches(&[], b"btb_key"));
    assert!(!matches(&digest[..31], b"btb_key"));
    assert!(flipped(&digest).all(|(_, copy)| !matches(&copy, b"btb_key")));
    assert_ne!(digest, super::super::sha256(b"btb_key"));
}

#[test]
fn nothing_that_is_shown_of_a_vault_is_a_key() {
    let keys = generated();
    let shown = format!("{:?}", vault(&keys));
    let json = keys.to_json();
    let document: Value = serde_json::from_slice(json.expose()).unwrap();
    for kind in KeyKind::ALL {
        assert!(!shown.contains(document[kind.as_str()][0]["key"].as_str().unwrap()));
        let bytes = keys.active(kind).unwrap().secret.expose();
        assert!(!shown.contains(&hex::encode(bytes)) && !shown.contains(&format!("{bytes:?}")));
    }
}

/// Fills with ones, then with twos, and so on.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// The expected bytes were computed apart from this program, from the documented formats alone: what
/// an earlier release stored must stay readable.
#[tokio::test]
async fn the_stored_forms_never_change() {
    let key = |id: &str, letter: &str| {
        let key = data_encoding::BASE64.encode(letter.repeat(32).as_bytes());
        json!([{"id": id, "key": key, "state": "active"}])
    };
    let document = json!({
        "version": 1, "encryption": key("e1", "E"), "row": key("r1", "R"), "pepper": key("p1", "P"),
        "session": key("s1", "S"), "audit": key("a1", "A"),
    });
    let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
    let vault = Vault::local(&keys, Arc::new(Counting::default())).unwrap();
    let sealed = "01026531005c02020202020202020202020202020202020202020202020202020202020202020303030303030303\
         0303030399ef82c890a0bc2ecf7f64c5bc64224eee72fe5bff225752fb2aa10c7715ef68d2fa32d8738697205d4c\
         17fe3f6186020404040404040404040404049fcd3a29f7570050d1d88b9a4af0fc4d5fe06677a3";
    assert_eq!(hex::encode(vault.seal(&PLACE, &secret("plain")).await.unwrap()), sealed);
    let RowMac { key, mac } = vault.authenticate(&PLACE, b"content");
    let expected = "e2a6e0139299a884119b207279ed6de15a6531adbc131d6d7ad4cab84c7fae66";
    assert_eq!((key.as_str(), hex::encode(mac).as_str()), ("r1", expected));
    let PepperedHash { pepper, digest } = vault.hash_with_pepper(b"text");
    let expected = "c7221618a5437924eb8eeb978786914eb199d9f8bdb813606f390874d507c4c7";
    assert_eq!((pepper.as_str(), hex::encode(digest).as_str()), ("p1", expected));
    let expected = "btbs_uSVCd8fM_aB3_bBRpHYvOzo47WwaY4jR83YVgreWPa453M2935vq5KS2Vw48IK";
    assert_eq!(vault.session_signer().sign("aB3", b"content").expose(), expected);
}
