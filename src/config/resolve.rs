//! Of all that was given, what counts, and what is no setting at all.

use super::Settings;
use super::error::SettingsProblem;
use super::raw_settings::{self, RawSetting, SettingSource};
use super::setting_specs::{SETTINGS, SettingSpec, find};
use super::value::RawValue;

/// A setting as it will be applied.
pub(super) struct ResolvedSetting {
    entry: &'static SettingSpec,
    given: RawSetting,
    by_file: bool,
}

impl ResolvedSetting {
    /// Puts the value into `settings`.
    pub(super) fn apply(self, settings: &mut Settings, problems: &mut Vec<SettingsProblem>) {
        let value = if self.by_file {
            self.given.value.text().and_then(raw_settings::read_secret)
        } else {
            Ok(self.given.value)
        };
        if let Err(detail) = value.and_then(|value| (self.entry.set)(settings, &value)) {
            problems.push(SettingsProblem::new(self.given.origin, format!("{} {detail}", self.given.name)));
        }
    }
}

/// Of all that was given, what counts: the last of each setting, as the environment comes last.
pub(super) fn effective(all: Vec<RawSetting>, problems: &mut Vec<SettingsProblem>) -> Vec<ResolvedSetting> {
    let mut chosen: Vec<ResolvedSetting> = Vec::new();
    for given in all {
        let Some((entry, by_file)) = find(&given.name) else {
            problems.extend(unknown(&given).map(|detail| SettingsProblem::new(&given.origin, detail)));
            continue;
        };
        match chosen.iter_mut().find(|one| one.entry.name == entry.name) {
            Some(earlier) if earlier.by_file != by_file => problems.push(SettingsProblem::new(
                given.origin,
                format!(
                    "{} is given beside {} ({}): leave one of them out",
                    given.name, earlier.given.name, earlier.given.origin
                ),
            )),
            Some(earlier) => earlier.given = given,
            None => chosen.push(ResolvedSetting { entry, given, by_file }),
        }
    }
    chosen
}

/// What to say of a name that is no setting; nothing where it is an empty section.
fn unknown(given: &RawSetting) -> Option<String> {
    let is_section = SETTINGS.iter().any(|entry| entry.is_in(&given.name));
    let name = &given.name;
    match (is_section, &given.value, given.source) {
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

/// The setting whose name is nearest to `name`.
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

/// The variable that sets `name`.
fn variable(name: &str) -> String {
    format!("BTB_{}", name.to_ascii_uppercase().replacen('.', "__", 1))
}
