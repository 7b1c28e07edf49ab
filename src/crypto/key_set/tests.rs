use serde_json::{Value, json};

use super::*;
use crate::entropy::SystemEntropy;

fn generated() -> Value {
    serde_json::from_slice(KeySet::generate(&SystemEntropy).to_json().expose()).unwrap()
}

fn parse(document: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(&serde_json::to_vec(document).unwrap())
}

/// The error of a generated set after one change.
fn refused(change: impl FnOnce(&mut Value)) -> KeySetError {
    let mut document = generated();
    change(&mut document);
    parse(&document).unwrap_err()
}

#[test]
fn a_generated_set_has_one_active_key_of_each_kind_and_reads_back() {
    let keys = KeySet::generate(&SystemEntropy);
    let status = keys.status();
    assert_eq!(status.iter().map(|key| key.kind).collect::<Vec<_>>(), KeyKind::ALL);
    assert!(status.iter().all(|key| key.state == KeyState::Active));
    assert_eq!(KeySet::parse(keys.to_json().expose()), Ok(keys.clone()));
    assert_ne!(KeySet::generate(&SystemEntropy), keys);
}

#[test]
fn the_document_has_exactly_the_agreed_form() {
    let json = KeySet::generate(&SystemEntropy).to_json();
    let text = std::str::from_utf8(json.expose()).unwrap();
    assert!(text.starts_with("{\n  \"version\": 1,\n  \"encryption\": [\n") && text.ends_with("}\n"));
    let mut document = generated();
    for kind in KeyKind::ALL {
        let entry = document[kind.as_str()][0].as_object_mut().unwrap();
        assert_eq!(entry.keys().collect::<Vec<_>>(), ["id", "key", "state"]);
        assert_eq!(entry["state"], "active");
        document[kind.as_str()] = json!([]);
    }
    let empty = json!({"version": 1, "encryption": [], "row": [], "pepper": [], "session": [], "audit": []});
    assert_eq!(document, empty);
}

#[test]
fn retired_keys_are_read_and_kept() {
    let mut document = generated();
    let mut old = generated()["row"][0].clone();
    old["id"] = json!("old");
    old["state"] = json!("retired");
    document["row"].as_array_mut().unwrap().insert(0, old);
    let keys = parse(&document).unwrap();
    assert_eq!(keys.retired(KeyKind::Row).map(|key| key.id.as_str()).collect::<Vec<_>>(), ["old"]);
    assert_ne!(keys.active(KeyKind::Row).unwrap().id, "old");
    assert_eq!(KeySet::parse(keys.to_json().expose()), Ok(keys));
}

#[test]
fn another_version_is_refused_whatever_its_form() {
    assert_eq!(refused(|set| set["version"] = json!(2)), KeySetError::Version);
    assert_eq!(KeySet::parse(br#"{"version": 2, "keys": {}}"#), Err(KeySetError::Version));
}

#[test]
fn errors_of_form_name_their_place() {
    let shape = |pointer: &str| KeySetError::InvalidField { pointer: pointer.to_owned() };
    assert_eq!(refused(|set| set["version"] = json!("1")), shape("/version"));
    assert_eq!(refused(|set| set["extra"] = json!(1)), shape(""));
    assert_eq!(refused(|set| drop(set.as_object_mut().unwrap().remove("audit"))), shape(""));
    assert_eq!(refused(|set| set["row"] = json!({})), shape("/row"));
    assert_eq!(refused(|set| set["row"][0]["created"] = json!(1)), shape("/row/0"));
    assert_eq!(refused(|set| set["pepper"][0]["key"] = json!(5)), shape("/pepper/0/key"));
    assert_eq!(refused(|set| set["pepper"][0]["state"] = json!("old")), shape("/pepper/0/state"));
    assert_eq!(KeySet::parse(b"[]"), Err(shape("")));
    let twice = br#"{"version": 1, "row": [], "row": []}"#;
    assert!(matches!(KeySet::parse(twice), Err(KeySetError::InvalidField { .. })));
    assert!(shape("/row/0").to_string().contains(" field at `/row/0`; "));
    assert!(shape("").to_string().contains(" field at its top; "));
}

#[test]
fn a_text_that_is_no_json_names_line_and_column() {
    let error = KeySetError::Syntax { line: 2, column: 1 };
    assert_eq!(KeySet::parse(b"{\"version\": 1,\n}"), Err(error));
    let trailing = [KeySet::generate(&SystemEntropy).to_json().expose(), b"{}"].concat();
    assert!(matches!(KeySet::parse(&trailing), Err(KeySetError::Syntax { .. })));
    assert!(matches!(KeySet::parse(b""), Err(KeySetError::Syntax { .. })));
}

#[test]
fn a_key_is_32_bytes_in_base64() {
    let pointer = || "/session/0/key".to_owned();
    let bad = ["", "AAAA", &"A".repeat(44), &format!("{}=", "A".repeat(42)), &"!".repeat(44)];
    for key in bad.map(str::to_owned) {
        assert_eq!(
            refused(|set| set["session"][0]["key"] = json!(key)),
            KeySetError::InvalidKey { pointer: pointer() },
            "{key}"
        );
    }
}

#[test]
fn an_id_is_short_and_plain() {
    let long = "a".repeat(65);
    for id in ["", "a b", "a\n", "ä", "a/b", &long] {
        let error = refused(|set| set["audit"][0]["id"] = json!(id));
        assert_eq!(error, KeySetError::InvalidId { pointer: "/audit/0/id".to_owned() }, "{id:?}");
    }
}

#[test]
fn no_id_and_no_key_stands_twice_even_across_kinds() {
    let error = refused(|set| set["row"][0]["id"] = set["encryption"][0]["id"].clone());
    assert_eq!(error, KeySetError::RepeatedId { pointer: "/row/0/id".to_owned() });
    let error = refused(|set| set["audit"][0]["key"] = set["pepper"][0]["key"].clone());
    assert_eq!(error, KeySetError::RepeatedKey { pointer: "/audit/0/key".to_owned() });
}

#[test]
fn a_kind_has_at_most_one_active_key() {
    let second = generated()["row"][0].clone();
    let error = refused(|set| set["row"].as_array_mut().unwrap().push(second));
    assert_eq!(error, KeySetError::TwoActiveKeys { pointer: "/row/1/state".to_owned() });
}

#[test]
fn a_kind_without_an_active_key_says_so() {
    let mut document = generated();
    document["row"][0]["state"] = json!("retired");
    let error = parse(&document).unwrap().active(KeyKind::Row).unwrap_err();
    assert_eq!(error, KeySetError::NoActiveKey { kind: KeyKind::Row });
}

#[test]
fn neither_errors_nor_debug_repeat_a_key() {
    let document = generated();
    let secret = document["row"][0]["key"].as_str().unwrap().to_owned();
    let slips: [&dyn Fn(&mut Value); 6] = [
        &|set| set["row"][0]["state"] = json!(secret),
        &|set| set["row"][0][&secret] = json!(1),
        &|set| set[&secret] = json!([]),
        &|set| set["row"][0]["id"] = json!(secret),
        &|set| set["version"] = json!(secret),
        &|set| set["row"][0]["key"] = json!(format!("{secret}A")),
    ];
    for slip in slips {
        let mut document = document.clone();
        slip(&mut document);
        let error = parse(&document).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&secret[..12]), "{error:?}");
    }
    assert!(!format!("{:?}", parse(&document).unwrap()).contains(&secret[..12]));
}
