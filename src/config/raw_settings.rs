//! The raw settings of the file and the environment: names and values with their origins, not validated yet.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::error::SettingsProblem;
use super::value::RawValue;

/// The maximum length of a settings file or a secret's file, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;

/// A raw setting.
pub(super) struct RawSetting {
    /// `section.key`, as the operator wrote it.
    pub name: String,
    pub value: RawValue,
    pub source: SettingSource,
    /// The file and line or the variable, for messages.
    pub origin: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SettingSource {
    File,
    Environment,
}

/// Reads the variables named `BTB_<SECTION>__<KEY>`, in the order of their names.
pub(super) fn from_environment(env: impl Iterator<Item = (String, String)>) -> Vec<RawSetting> {
    let mut all: Vec<_> = env
        .filter_map(|(variable, value)| {
            let name = variable.strip_prefix("BTB_")?;
            let (section, key) = name.split_once("__")?;
            // In mixed case, two variables could mean one setting, so only capitals name a setting.
            let capitals = !name.bytes().any(|byte| byte.is_ascii_lowercase());
            let setting = || format!("{section}.{key}").to_ascii_lowercase();
            Some(RawSetting {
                name: if capitals { setting() } else { name.to_owned() },
                value: RawValue::Untyped(Zeroizing::new(value)),
                source: SettingSource::Environment,
                origin: variable,
            })
        })
        .collect();
    all.sort_by(|a, b| a.origin.cmp(&b.origin));
    all
}

/// Reads a TOML file.
pub(super) fn from_file(path: &Path, problems: &mut Vec<SettingsProblem>) -> Vec<RawSetting> {
    let text = match read(path) {
        Ok(text) => text,
        Err(detail) => {
            problems.push(SettingsProblem::new(path.display().to_string(), detail));
            return Vec::new();
        }
    };
    let line = |at: usize| format!("{} line {}", path.display(), 1 + text[..at].matches('\n').count());
    let (document, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        // The error's own text quotes the line, which may hold a password.
        let origin = line(error.span().map_or(0, |span| span.start.min(text.len())));
        problems.push(SettingsProblem::new(origin, format!("is not TOML: {}", error.message())));
    }
    let mut all = Vec::new();
    for (section, content) in document.get_ref() {
        let name = section.get_ref();
        match content.get_ref() {
            DeValue::Table(keys) if !keys.is_empty() => {
                for (key, value) in keys {
                    all.push((key.span().start, format!("{name}.{}", key.get_ref()), value));
                }
            }
            _ => all.push((section.span().start, name.to_string(), content)),
        }
    }
    // The parser's table loses the order of the file.
    all.sort_by_key(|(at, ..)| *at);
    let given = |(at, name, value): (usize, String, &Spanned<DeValue<'_>>)| RawSetting {
        name,
        value: RawValue::from_toml(value.get_ref()),
        source: SettingSource::File,
        origin: line(at),
    };
    all.into_iter().map(given).collect()
}

/// Returns the content of a secret's file without the final line break that editors add.
pub(super) fn read_secret(path: &str) -> Result<RawValue, String> {
    let text =
        Zeroizing::new(read(Path::new(path)).map_err(|detail| format!("names {path}, which {detail}"))?);
    Ok(RawValue::Text(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;

    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = String::new();
    let read = file.take(FILE_LIMIT + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(length) if length as u64 > FILE_LIMIT => Err(format!("is longer than {} KiB", FILE_LIMIT / 1024)),
        Ok(_) => Ok(text),
    }
}
