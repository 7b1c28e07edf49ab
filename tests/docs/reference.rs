//! The reference pages say what the code does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use box_token_broker::config::markdown_rows;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::box_refusal::BoxRefusal;
use box_token_broker::domain::grant::Permission;
use box_token_broker::domain::policy::Policy;
use box_token_broker::domain::scope::ScopePreset;
use serde_json::Value;

use crate::generated::check;
use crate::page::{read, root};

fn openapi() -> Value {
    serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap()
}

/// The cells of the table's rows behind the heading `heading` of `page`.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, behind) =
        text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{page}: {heading}"));
    let rows = behind.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// The first column of a table, without the marks of code.
fn names(table: &[Vec<String>]) -> BTreeSet<String> {
    table.iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

/// The texts in backquotes.
fn codes(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn settings_are_those_of_the_code() {
    let table = format!("| setting | default | meaning |\n|---|---|---|\n{}", markdown_rows());
    check("docs/reference/settings.md", "settings", &table);
}

#[test]
fn refusals_by_box_are_those_of_the_code() {
    let mut rows = "| code | detail | fix |\n|---|---|---|\n".to_owned();
    for refusal in BoxRefusal::ALL {
        writeln!(rows, "| `{}` | {} | {} |", refusal.code(), refusal.detail(), refusal.fix()).unwrap();
    }
    check("docs/reference/errors.md", "refusals", &rows);
}

#[test]
fn error_codes_are_those_of_the_code() {
    let sources = sources(&root().join("src"));
    let made: BTreeSet<String> =
        self::sources(&root().join("src/http")).iter().flat_map(|source| codes_of_problems(source)).collect();
    assert!(made.len() > 20, "the codes were not found in the sources: {made:?}");
    let rows = table("docs/reference/errors.md", "Codes");
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| codes(&row[2])).collect();
    let missing: Vec<_> = made.difference(&listed).collect();
    assert!(missing.is_empty(), "codes that are not listed: {missing:?}");
    for code in &listed {
        let literal = format!("\"{code}\"");
        assert!(sources.iter().any(|source| source.contains(&literal)), "{code} is nowhere in the code");
    }
}

/// The codes with which a source makes problems: the first text behind `Problem::new(`.
fn codes_of_problems(source: &str) -> Vec<String> {
    let calls = source.split("Problem::new(").skip(1);
    let first = calls.filter_map(|call| call.split([';', '}']).next()?.split('"').nth(1));
    first.filter(|text| !text.contains(' ') && !text.is_empty()).map(str::to_owned).collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = help(&[]);
    for row in table("docs/reference/errors.md", "Exit codes of the commands") {
        assert!(help.contains(&format!("\n  {}  ", row[0])), "exit code {}", row[0]);
    }
}

#[test]
fn commands_are_those_of_the_program() {
    let mut page = String::new();
    describe(&[], &mut page);
    check("docs/reference/cli.md", "commands", &page);
}

/// Writes a section for each command below `path`.
fn describe(path: &[&str], page: &mut String) {
    let overview = help(path);
    let commands =
        overview.split_once("\nCommands:\n").map_or("", |(_, list)| list.split("\n\n").next().unwrap());
    let starts = commands.lines().filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = starts.filter_map(|line| line.split_whitespace().next()).collect();
    for name in names.into_iter().filter(|name| *name != "help") {
        let command = [path, &[name]].concat();
        let text = help(&command);
        if text.contains("\nCommands:\n") {
            describe(&command, page);
        } else {
            writeln!(page, "## {}\n\n```text\n{}\n```\n", command.join(" "), text.trim()).unwrap();
        }
    }
}

fn help(path: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_box-token-broker"));
    let output = command.args(path).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{path:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn operations_are_those_of_the_openapi_document() {
    let document = openapi();
    let mut by_tag: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let access = &operation["x-access"];
            let permission =
                access["permission"].as_str().map_or("–".to_owned(), |name| format!("`{name}`"));
            let summary = operation["summary"].as_str().unwrap().trim_end_matches('.');
            let audit = access["audit"].as_str().unwrap();
            let row =
                format!("| `{} {path}` | {summary} | {permission} | `{audit}` |\n", method.to_uppercase());
            let tag = operation["tags"][0].as_str().unwrap().to_owned();
            match by_tag.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, rows)) => rows.push_str(&row),
                None => by_tag.push((tag, row)),
            }
        }
    }
    by_tag.sort();
    let section = |(tag, rows): &(String, String)| {
        format!(
            "## {tag}\n\n| operation | what it does | permission | audit action |\n|---|---|---|---|\n{rows}"
        )
    };
    let sections: Vec<String> = by_tag.iter().map(section).collect();
    check("docs/reference/api.md", "operations", &sections.join("\n"));
}

#[test]
fn permissions_are_those_of_the_code() {
    let listed = names(&table("docs/reference/access.md", "Permissions"));
    let known = Permission::ALL.map(|permission| spelled(&permission));
    assert_eq!(listed, BTreeSet::from(known));
}

fn spelled<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn fields_of_grants_and_policies_are_those_of_the_code() {
    let schemas = &openapi()["components"]["schemas"];
    let properties = |schema: &str| -> BTreeSet<String> {
        schemas[schema]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&table("docs/reference/access.md", "Grants")), properties("GrantSpec"));
    let policy = table("docs/reference/access.md", "Tenant policy");
    assert_eq!(names(&policy), properties("Policy"));
    let defaults = serde_json::to_value(Policy::default()).unwrap();
    for row in policy {
        let default =
            defaults.get(row[0].trim_matches('`')).map_or("–".to_owned(), |value| format!("`{value}`"));
        assert_eq!(row[1], default, "{}", row[0]);
    }
}

#[test]
fn presets_are_those_of_the_code() {
    let rows = table("docs/reference/access.md", "Presets");
    let all = [
        ScopePreset::Explorer,
        ScopePreset::Picker,
        ScopePreset::Uploader,
        ScopePreset::Preview,
        ScopePreset::Sidebar,
    ];
    assert_eq!(names(&rows), BTreeSet::from(all.map(|preset| spelled(&preset))));
    for (row, preset) in rows.iter().zip(all) {
        let scopes: Vec<String> =
            serde_json::from_value(serde_json::to_value(preset.scopes()).unwrap()).unwrap();
        assert_eq!(codes(&row[1]), scopes.into_iter().collect(), "{}", row[0]);
    }
}

#[test]
fn audit_fields_are_those_of_the_openapi_document() {
    let schema = &openapi()["components"]["schemas"]["AuditRecord"];
    let mut rows = "| field | meaning |\n|---|---|\n".to_owned();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let described = [&field["description"], &field["oneOf"][0]["description"]];
        let text = described.into_iter().find_map(Value::as_str).unwrap();
        writeln!(rows, "| `{name}` | {} |", text.replace('\n', " ")).unwrap();
    }
    check("docs/reference/audit-records.md", "audit-fields", &rows);
}

#[test]
fn audit_actions_are_those_of_the_code() {
    let listed = names(&table("docs/reference/audit-records.md", "Actions"));
    for name in &listed {
        assert!(AuditAction::parse(name).is_some(), "{name} is no action");
    }
    let source = read("src/domain/audit_event/action.rs");
    let known = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    let known: BTreeSet<String> = known.filter(|name| name.contains('.')).map(str::to_owned).collect();
    assert_eq!(listed, known);
}

#[test]
fn bounds_of_fields_are_those_of_the_openapi_document() {
    let document = openapi();
    let mut rows = "| schema | field | bounds |\n|---|---|---|\n".to_owned();
    for (schema, content) in document["components"]["schemas"].as_object().unwrap() {
        for (field, content) in content["properties"].as_object().into_iter().flatten() {
            if let Some(bounds) = bounds(content) {
                writeln!(rows, "| `{schema}` | `{field}` | {bounds} |").unwrap();
            }
        }
    }
    check("docs/reference/limits.md", "bounds", &rows);
}

/// The bounds of a field in words, if it has an upper one.
fn bounds(field: &Value) -> Option<String> {
    let kinds = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    ];
    let (least, most, unit) = kinds.into_iter().find(|(_, most, _)| field.get(most).is_some())?;
    let most = &field[most];
    match field.get(least).filter(|least| least.as_u64() != Some(0)) {
        Some(least) => Some(format!("{least} to {most}{unit}")),
        None => Some(format!("at most {most}{unit}")),
    }
}
