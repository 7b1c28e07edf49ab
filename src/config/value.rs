//! Parsing of one setting's raw value into its type. Error messages continue the setting's name:
//! "tokens.min_ttl …".

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::domain::rate_limit::MAX_RATE;
use crate::secret::SecretString;

/// The raw value of a setting. It may be a secret, so it is never shown.
pub(super) enum RawValue {
    /// From the environment, which has texts alone: parsed by the type of the setting.
    Untyped(Zeroizing<String>),
    /// A TOML string, or the content of a `…_file`.
    Text(Zeroizing<String>),
    /// A TOML integer; `None` if it does not fit.
    Integer(Option<i64>),
    /// A TOML array as JSON; `None` if JSON cannot express it.
    List(Option<serde_json::Value>),
    /// Any other TOML value, by the name of its type.
    Other(&'static str),
}

impl RawValue {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(Zeroizing::new(text.to_string())),
            DeValue::Integer(number) => {
                Self::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            list @ DeValue::Array(_) => Self::List(as_json(list)),
            other => Self::Other(other.type_str()),
        }
    }

    /// Reads a list of tables: `[[section.key]]` in the file; JSON or one line of TOML in the environment.
    pub(super) fn tables<T: DeserializeOwned>(&self) -> Result<Vec<T>, String> {
        let rule = "must be a list of tables: in the file each behind a `[[…]]` line of its own, in the environment a \
                    JSON array of objects";
        let list = match self {
            Self::List(list) => list.clone(),
            Self::Untyped(text) => serde_json::from_str(text).ok().or_else(|| in_line(text)),
            Self::Text(_) | Self::Integer(_) | Self::Other(_) => None,
        };
        let list = list.filter(serde_json::Value::is_array).ok_or(rule)?;
        serde_path_to_error::deserialize(list).map_err(|error| {
            let place = error.path().to_string();
            format!("is not what it should be at {place}: {}", error.into_inner())
        })
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Untyped(text) | Self::Text(text) if text.is_empty() => {
                Err("is empty: leave it out for the default".to_owned())
            }
            Self::Untyped(text) | Self::Text(text) => Ok(text),
            Self::Integer(_) => Err("must be a string in quotes, not an integer".to_owned()),
            Self::List(_) => Err("must be a string in quotes, not an array".to_owned()),
            Self::Other(kind) => Err(format!("must be a string in quotes, not a {kind}")),
        }
    }

    /// Reads a whole number of `unit` from `least` to `most`.
    pub(super) fn number(&self, unit: &str, least: u64, most: u64) -> Result<u64, String> {
        let given = match self {
            Self::Untyped(text) => text.parse().ok(),
            Self::Integer(number) => number.and_then(|number| u64::try_from(number).ok()),
            Self::Text(_) | Self::List(_) | Self::Other(_) => None,
        };
        given
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("must be a whole number of {unit} from {least} to {most}, without quotes"))
    }

    pub(super) fn seconds(&self, least: u64, most: u64) -> Result<Duration, String> {
        self.number("seconds", least, most).map(Duration::from_secs)
    }

    pub(super) fn count(&self, unit: &str, most: u32) -> Result<usize, String> {
        let number = self.number(unit, 1, u64::from(most))?;
        usize::try_from(number).map_err(|_| format!("is too large: at most {most}"))
    }

    /// Reads a number of requests per second.
    pub(super) fn rate(&self) -> Result<NonZeroU32, String> {
        let number = self.number("requests a second", 1, u64::from(MAX_RATE))?;
        let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
        number.ok_or_else(|| format!("is too large: at most {MAX_RATE}"))
    }

    /// Reads several texts: an array, or one text with commas.
    pub(super) fn texts(&self) -> Result<Vec<&str>, String> {
        match self {
            Self::List(Some(serde_json::Value::Array(items))) => items.iter().map(text_in_list).collect(),
            Self::Untyped(_) | Self::Text(_) => Ok(self.text()?.split(',').map(str::trim).collect()),
            Self::List(_) | Self::Integer(_) | Self::Other(_) => {
                Err("must be an array of strings, or one string with commas".to_owned())
            }
        }
    }

    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.text()?.parse().map_err(|_| {
            "must be an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`".to_owned()
        })
    }

    pub(super) fn path(&self) -> Result<PathBuf, String> {
        self.text().map(PathBuf::from)
    }

    /// Reads one of several words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("must be {}", words.join(" or "))
        })
    }

    /// Reads an https origin, or an http origin on a loopback host.
    pub(super) fn protected_origin(&self) -> Result<Url, String> {
        let url = self.origin()?;
        if url.scheme() == "https" || is_loopback(&url) {
            Ok(url)
        } else {
            Err("must be https: keys and tokens go there; http is for loopback addresses alone".to_owned())
        }
    }

    /// Reads an origin: `http` or `https`, a host and optionally a port.
    pub(super) fn origin(&self) -> Result<Url, String> {
        let rule = "must be an origin, such as `https://api.example.com`: scheme, host, perhaps a port, \
                    without user, path, query or fragment";
        let url = Url::parse(self.text()?).map_err(|_| rule.to_owned())?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if bare { Ok(url) } else { Err(rule.to_owned()) }
    }

    /// Reads a proxy's URL, which may hold a password.
    pub(super) fn proxy(&self) -> Result<SecretString, String> {
        let text = self.text()?;
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(SecretString::new(text.to_owned()))
            }
            _ => Err("must be a URL such as `http://proxy.example.com:3128`".to_owned()),
        }
    }

    /// Reads a log level, or `target=level` parts separated by commas.
    pub(super) fn log_level(&self) -> Result<String, String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let text = self.text()?;
        let fits = text.split(',').all(|part| {
            let (target, level) = part.rsplit_once('=').unwrap_or(("all", part));
            let in_target = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
            LEVELS.contains(&level) && !target.is_empty() && target.bytes().all(in_target)
        });
        if fits {
            Ok(text.to_owned())
        } else {
            Err(format!("must be one of {}, or levels by target such as `info,sqlx=warn`", LEVELS.join(", ")))
        }
    }
}

/// Parses a text as the value of a TOML key.
fn in_line(text: &str) -> Option<serde_json::Value> {
    let text = format!("value = {text}");
    let document = DeTable::parse(&text).ok()?;
    as_json(document.get_ref().get("value")?.get_ref())
}

/// Converts a TOML value to JSON; no setting has dates or floats.
fn as_json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()?.into()),
        DeValue::Boolean(flag) => Some((*flag).into()),
        DeValue::Array(values) => values.iter().map(|value| as_json(value.get_ref())).collect(),
        DeValue::Table(keys) => {
            let field = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Some((key.get_ref().to_string(), as_json(value.get_ref())?))
            };
            keys.iter().map(field).collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => None,
    }
}

/// Returns the text of an array's item.
fn text_in_list(item: &serde_json::Value) -> Result<&str, String> {
    let text = item.as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| "must hold strings alone, none of them empty".to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
