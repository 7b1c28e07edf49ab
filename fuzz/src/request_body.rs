//! Bodies, forms and queries of the API. The first line of the input is `body`, `form` or `query` and the name of the
//! operation; what it reads follows.

use std::collections::BTreeMap;

use box_token_broker::http::request_parsers::{
    RejectedInput, bodies, forms, queries, read_body, read_form, read_query,
};
use serde_json::Value;

/// What an operation takes is JSON of one reading, and what it refuses is refused as a client's fault,
/// in a document of a bounded length that names where.
pub fn run(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (line, rest) = (&input[..end], &input[end + 1..]);
    let Ok(line) = std::str::from_utf8(line) else { return };
    match line.split_once(' ') {
        Some(("body", operation)) => body(operation, rest),
        Some(("form", operation)) => form(operation, rest),
        Some(("query", operation)) => query(operation, rest),
        _ => {}
    }
}

fn body(operation: &str, bytes: &[u8]) {
    match read_body(operation, bytes) {
        None => assert!(!bodies().any(|name| name == operation)),
        Some(Err(refused)) => check_refused(&refused, bytes.len()),
        Some(Ok(())) => {
            let mut bytes = bytes.to_vec();
            blank_marks(&mut bytes);
            let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { panic!("taken, and no JSON") };
            assert!(value.is_object(), "every body is an object");
            let again = value.to_string();
            // Texts are told apart by what they say, not by how they are escaped or indented.
            assert!(matches!(read_body(operation, again.as_bytes()), Some(Ok(()))), "{again}");
        }
    }
}

/// A form that is taken has one reading, in whichever way its bytes are escaped.
fn form(operation: &str, bytes: &[u8]) {
    match read_form(operation, bytes) {
        None => assert!(!forms().any(|name| name == operation)),
        Some(Err(refused)) => check_refused(&refused, bytes.len()),
        Some(Ok(())) => {
            let pairs: Vec<_> = url::form_urlencoded::parse(bytes).into_owned().collect();
            let again = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            assert!(matches!(read_form(operation, again.as_bytes()), Some(Ok(()))), "{again}");
        }
    }
}

fn query(operation: &str, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read_query(operation, text) {
        None => assert!(!queries().any(|name| name == operation)),
        Some(Err(refused)) => check_refused(&refused, bytes.len()),
        Some(Ok(())) => {
            let pairs: Vec<_> = url::form_urlencoded::parse(bytes).into_owned().collect();
            let names: BTreeMap<_, _> = pairs.iter().cloned().collect();
            assert_eq!(names.len(), pairs.len(), "a parameter stands once");
            let again = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            assert!(matches!(read_query(operation, &again), Some(Ok(()))), "{again}");
        }
    }
}

fn check_refused(refused: &RejectedInput, length: usize) {
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    let Ok(document) = serde_json::from_slice::<Value>(&refused.document) else { panic!("no document") };
    assert_eq!(document["status"], refused.status);
    assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
    for error in document["errors"].as_array().into_iter().flatten() {
        let pointer = error["pointer"].as_str().unwrap_or("?");
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{document}");
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
    }
    // Names of fields are told, each once or twice, escaped.
    assert!(refused.document.len() <= 8 * 1024 + 16 * length, "{} for {length}", refused.document.len());
}

/// A byte order mark outside of texts says nothing.
fn blank_marks(bytes: &mut [u8]) {
    let (mut in_text, mut at) = (false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            0xef if !in_text && bytes[at..].starts_with(b"\xef\xbb\xbf") => bytes[at..at + 3].fill(b' '),
            _ => {}
        }
        at += 1;
    }
}
