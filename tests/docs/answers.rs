//! Whether an answer is what a page shows.

use serde_json::Value;

/// Fields whose values are the same each time; of others only the type is compared.
const FIXED: [&str; 18] = [
    "type",
    "title",
    "status",
    "code",
    "retry",
    "scope",
    "state",
    "tenant",
    "token_type",
    "check",
    "outcome",
    "valid",
    "key",
    "allowed",
    "rule",
    "caller",
    "grant_index",
    "warnings",
];

/// The last JSON value in what a block printed; other lines may stand before it.
pub(crate) fn last_value(output: &str) -> Option<Value> {
    let starts = output.match_indices('{').map(|(start, _)| start);
    let starts = starts.filter(|start| *start == 0 || output[..*start].ends_with(['\n', '}']));
    let mut last = None;
    let mut end = 0;
    for start in starts.filter(|start| output.is_char_boundary(*start)) {
        if start < end {
            continue;
        }
        let mut values = serde_json::Deserializer::from_str(&output[start..]).into_iter::<Value>();
        if let Some(Ok(value)) = values.next() {
            end = start + values.byte_offset();
            last = Some(value);
        }
    }
    last
}

/// Checks that everything that `shown` has is in `answer`, or says what is not.
pub(crate) fn shows(answer: &Value, shown: &Value) -> Result<(), String> {
    compare("", answer, shown)
}

fn compare(field: &str, answer: &Value, shown: &Value) -> Result<(), String> {
    match (answer, shown) {
        (Value::Object(answer), Value::Object(shown)) => shown.iter().try_for_each(|(name, shown)| {
            let answer = answer.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
            compare(name, answer, shown)
        }),
        (Value::Array(answer), Value::Array(shown)) => shown.iter().try_for_each(|shown| {
            let found = answer.iter().any(|answer| compare(field, answer, shown).is_ok());
            found.then_some(()).ok_or_else(|| format!("`{field}` has nothing like {shown}"))
        }),
        _ if FIXED.contains(&field) => match answer == shown {
            true => Ok(()),
            false => Err(format!("`{field}` is {answer} and not {shown}")),
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => Ok(()),
        _ if answer == shown => Ok(()),
        _ => Err(format!("`{field}` is {answer}")),
    }
}

#[test]
fn an_answer_shows_what_a_page_shows_of_it() {
    let answer = serde_json::json!({"code": "not_found", "request_id": "a", "list": [{"state": "active"}, {"state": "locked"}]});
    let shown = |text: &str| shows(&answer, &serde_json::from_str(text).unwrap());
    assert_eq!(shown(r#"{"code": "not_found", "request_id": "b", "list": [{"state": "locked"}]}"#), Ok(()));
    assert!(shown(r#"{"code": "forbidden"}"#).is_err());
    assert!(shown(r#"{"request_id": 1}"#).is_err());
    assert!(shown(r#"{"list": [{"state": "deleted"}]}"#).is_err());
    assert!(shown(r#"{"more": 1}"#).is_err());
}

#[test]
fn the_last_value_stands_behind_whatever_else_was_printed() {
    assert_eq!(last_value("a line\n{\"a\":1}{\"b\":{\"c\":2}}\n"), Some(serde_json::json!({"b": {"c": 2}})));
    assert_eq!(last_value("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"), Some(serde_json::json!({"a": {"b": 1}})));
    assert_eq!(last_value("nothing"), None);
}
