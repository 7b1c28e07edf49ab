//! The OpenAPI document: the one that is checked in, and complete in what every operation must say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use box_token_broker::http::openapi;
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&openapi(None)).unwrap()
}

/// Every operation: its method, its path, and what the document says of it.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), path.clone(), operation));
        }
    }
    all
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let checked_in = std::fs::read_to_string(&path).unwrap();
    let hint = "it changed: box-token-broker openapi > openapi/openapi.json";
    assert!(openapi(None) == checked_in, "{}: {hint}", path.display());
}

#[test]
fn every_operation_says_who_may_and_how_it_can_fail() {
    let document = document();
    let permissions: BTreeSet<String> = box_token_broker::domain::grant::Permission::ALL
        .iter()
        .map(|permission| serde_json::to_value(permission).unwrap().as_str().unwrap().to_owned())
        .collect();
    let mut ids = BTreeSet::new();
    let operations = operations(&document);
    assert!(operations.len() >= 20, "{}", operations.len());
    for (method, path, operation) in operations {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: its id is another's too");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let speaks_box = path.starts_with("/oauth2/");
        let access = &operation["x-access"];
        let group = access["group"].as_str().unwrap();
        let credential = match group {
            "browser" => serde_json::json!([{ "browser_session": [] }]),
            _ if speaks_box => serde_json::json!([{}, { "client": [] }]),
            _ => serde_json::json!([{ "api_key": [] }]),
        };
        assert_eq!(operation["security"], credential, "{name}");
        assert!(["service", "admin", "browser"].contains(&group), "{name}");
        match access.get("permission").unwrap() {
            Value::Null => {
                assert!(group == "browser" || path == "/v1/whoami", "{name} needs a permission");
            }
            permission => assert!(permissions.contains(permission.as_str().unwrap()), "{name}"),
        }
        let (kind, schema) = match speaks_box {
            true => ("application/json", "BoxError"),
            false => ("application/problem+json", "Problem"),
        };
        let problem = &operation["responses"]["default"]["content"][kind]["schema"];
        assert_eq!(problem["$ref"], format!("#/components/schemas/{schema}"), "{name}");
    }
}

#[test]
fn every_request_schema_refuses_unknown_fields() {
    /// Follows a schema into all that it is made of, and tells the objects that take any field.
    fn open(
        document: &Value,
        schema: &Value,
        place: &str,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<String>,
    ) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if seen.insert(reference.to_owned()) {
                let target = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
                open(document, target, reference, seen, found);
            }
            return;
        }
        let fields = schema.get("properties").and_then(Value::as_object);
        if fields.is_some() && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            found.push(place.to_owned());
        }
        for (name, field) in fields.into_iter().flatten() {
            open(document, field, &format!("{place}/{name}"), seen, found);
        }
        for part in
            ["oneOf", "anyOf", "allOf"].iter().filter_map(|name| schema.get(*name)?.as_array()).flatten()
        {
            open(document, part, place, seen, found);
        }
        if let Some(items) = schema.get("items") {
            open(document, items, place, seen, found);
        }
    }
    let document = document();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (method, path, operation) in operations(&document) {
        // OAuth wants unknown fields of forms ignored (RFC 6749, section 3.2).
        let contents = operation["requestBody"]["content"].as_object();
        let others = contents.into_iter().flatten().filter(|(kind, _)| !kind.ends_with("form-urlencoded"));
        for (_, content) in others {
            open(&document, &content["schema"], &format!("{method} {path}"), &mut seen, &mut found);
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, all: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                all.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, all));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, all)),
            _ => {}
        }
    }
    let document = document();
    let mut all = BTreeSet::new();
    references(&document, &mut all);
    assert!(all.len() > 10);
    for reference in all {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}

#[test]
fn a_public_url_stands_in_the_document_as_its_server() {
    let url = url::Url::parse("https://broker.example.com").unwrap();
    let document: Value = serde_json::from_str(&openapi(Some(&url))).unwrap();
    assert_eq!(document["servers"], serde_json::json!([{ "url": "https://broker.example.com" }]));
}
