//! The choice of one value per setting, and the errors for unknown names.

use super::Settings;
use super::error::SettingsProblem;
use super::raw_settings::{self, RawSetting, SettingSource};
use super::setting_specs::{SETTINGS, SettingSpec, find_spec};
use super::value::RawValue;

/// A setting with the value that will be applied.
pub(super) struct ResolvedSetting {
    spec: &'static SettingSpec,
    raw: RawSetting,
    is_file_form: bool,
}

impl ResolvedSetting {
    /// Applies the value to `settings`.
    pub(super) fn apply(self, settings: &mut Settings, problems: &mut Vec<SettingsProblem>) {
        let value = if self.is_file_form {
            self.raw.value.text().and_then(raw_settings::read_secret)
        } else {
            Ok(self.raw.value)
        };
        if let Err(detail) = value.and_then(|value| (self.spec.apply)(settings, &value)) {
            problems.push(SettingsProblem::new(self.raw.origin, format!("{} {detail}", self.raw.name)));
        }
    }
}

/// Returns the last value of each setting; those of the environment come last.
pub(super) fn resolve(all: Vec<RawSetting>, problems: &mut Vec<SettingsProblem>) -> Vec<ResolvedSetting> {
    let mut resolved: Vec<ResolvedSetting> = Vec::new();
    for raw in all {
        let Some((spec, is_file_form)) = find_spec(&raw.name) else {
            problems.extend(unknown(&raw).map(|detail| SettingsProblem::new(&raw.origin, detail)));
            continue;
        };
        match resolved.iter_mut().find(|earlier| earlier.spec.name == spec.name) {
            Some(earlier) if earlier.is_file_form != is_file_form => problems.push(SettingsProblem::new(
                raw.origin,
                format!(
                    "{} is given beside {} ({}): leave one of them out",
                    raw.name, earlier.raw.name, earlier.raw.origin
                ),
            )),
            Some(earlier) => earlier.raw = raw,
            None => resolved.push(ResolvedSetting { spec, raw, is_file_form }),
        }
    }
    resolved
}

/// Returns the problem with a name that is no setting, or `None` for an empty section.
fn unknown(raw: &RawSetting) -> Option<String> {
    let is_section = SETTINGS.iter().any(|spec| spec.is_in(&raw.name));
    let name = &raw.name;
    match (is_section, &raw.value, raw.source) {
        (true, RawValue::Other("table"), _) => None,
        (true, ..) => Some(format!("{name} is a section: write `[{name}]` and its keys below")),
        (false, _, SettingSource::File) => {
            Some(format!("there is no setting {name}; the nearest one is {}", nearest(name)))
        }
        (false, _, SettingSource::Environment) => {
            Some(format!("no setting has this name; the nearest one is {}", variable(&nearest(name))))
        }
    }
}

/// Returns the name of the setting that is most similar to `name`.
fn nearest(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let near = strsim::normalized_damerau_levenshtein;
    let score = |known: &str| {
        let whole = near(&name, known);
        match (name.rsplit_once('.'), known.rsplit_once('.')) {
            // The right key in a wrong section.
            (Some((_, key)), Some((_, known_key))) if key == known_key => 0.7 + 0.3 * whole,
            // A key without its section.
            (None, Some((_, known_key))) => near(&name, known_key).max(whole),
            _ => whole,
        }
    };
    let nearest = SETTINGS.iter().flat_map(SettingSpec::names).max_by(|a, b| score(a).total_cmp(&score(b)));
    nearest.unwrap_or_default()
}

/// Returns the variable that sets `name`.
fn variable(name: &str) -> String {
    format!("BTB_{}", name.to_ascii_uppercase().replacen('.', "__", 1))
}
