//! Validation of a config's JSON, which collects every problem.

use serde_json::{Map, Value};

use super::field::ConfigField;
use super::json::check_depth;
use super::{BoxConfig, ConfigProblem, EncodedKey, WHOLE_FILE_FIX};
use crate::domain::app::AuthMethod;
use crate::domain::id::{BoxId, ClientId};
use crate::domain::printable::is_printable;
use crate::secret::SecretString;

const NEW_KEY_FIX: &str = "Make a new keypair in Box's developer console and upload the file that is downloaded \
                           then, or register the app with auth `ccg` where it was made for client credentials.";

const NO_KEY_DETAIL: &str = "there is no complete key in this file. A config that was downloaded again from Box never \
                      holds one: Box shows a private key only when it is made. An app for client credentials \
                      has none and is registered with auth `ccg`";

/// Reads a whole config.
pub(super) fn read(file: &Value, auth: AuthMethod) -> Result<BoxConfig, Vec<ConfigProblem>> {
    if let Err(detail) = check_depth(file) {
        return Err(vec![ConfigProblem::new("", detail, WHOLE_FILE_FIX)]);
    }
    let mut reader = ConfigReader::default();
    let config = reader.file(file, auth);
    match config {
        Some(mut config) if reader.problems.is_empty() => {
            reader.ignored.truncate(BoxConfig::MAX_IGNORED);
            config.ignored = reader.ignored;
            Ok(config)
        }
        _ => Err(reader.problems),
    }
}

/// The state of a validation. A method that returns `None` for an invalid value has recorded the problem.
#[derive(Default)]
struct ConfigReader {
    problems: Vec<ConfigProblem>,
    ignored: Vec<String>,
}

/// An object of the file, with its JSON pointer.
#[derive(Clone, Copy)]
struct JsonObject<'a> {
    pointer: &'a str,
    fields: &'a Map<String, Value>,
}

impl ConfigReader {
    fn file(&mut self, file: &Value, auth: AuthMethod) -> Option<BoxConfig> {
        let Value::Object(fields) = file else {
            self.report(
                "",
                format!("a Box config is a JSON object; this is {}", json_type(file)),
                WHOLE_FILE_FIX,
            );
            return None;
        };
        let root = JsonObject { pointer: "", fields };
        let Some(settings) = non_null(fields, "boxAppSettings") else {
            self.report("/boxAppSettings", describe_file_without_settings(fields), WHOLE_FILE_FIX);
            return None;
        };
        self.ignore_all_but(root, &["boxAppSettings", "enterpriseID", "webhooks"]);
        let settings_pointer = "/boxAppSettings";
        let app = self.object(settings_pointer, settings).map(|fields| {
            let object = JsonObject { pointer: settings_pointer, fields };
            self.ignore_all_but(object, &["clientID", "clientSecret", "appAuth"]);
            let id = self.required(object, "clientID", ConfigField::ClientId);
            let secret = self.required(object, "clientSecret", ConfigField::ClientSecret);
            (id, secret, self.key(object, auth))
        });
        let enterprise_id = self.enterprise(root);
        let (webhook_primary, webhook_secondary) = self.webhooks(root);
        let (client_id, client_secret, key) = app?;
        Some(BoxConfig {
            client_id: ClientId::parse(client_id?).ok()?,
            client_secret: SecretString::new(client_secret?.to_owned()),
            enterprise_id,
            key,
            webhook_primary,
            webhook_secondary,
            ignored: Vec::new(),
        })
    }

    /// Reads `appAuth`, which client credentials do not use.
    fn key(&mut self, settings: JsonObject<'_>, auth: AuthMethod) -> Option<EncodedKey> {
        let pointer = format!("{}/appAuth", settings.pointer);
        let value = non_null(settings.fields, "appAuth");
        if auth == AuthMethod::Ccg {
            let is_used = |value: &Value| value.as_object().is_none_or(|parts| parts.values().any(has_value));
            if value.is_some_and(is_used) {
                self.ignored.push(pointer);
            }
            return None;
        }
        let Some(value) = value else {
            self.report(pointer, NO_KEY_DETAIL, NEW_KEY_FIX);
            return None;
        };
        let object = JsonObject { pointer: &pointer, fields: self.object(&pointer, value)? };
        self.ignore_all_but(object, &["publicKeyID", "privateKey", "passphrase"]);
        let before = self.problems.len();
        let id = self.optional(object, "publicKeyID", ConfigField::PublicKeyId);
        let private_key = self.optional(object, "privateKey", ConfigField::PrivateKey);
        let passphrase = self.optional(object, "passphrase", ConfigField::Passphrase).map(secret);
        match (id, private_key) {
            (Some(id), Some(private_key)) => Some(EncodedKey {
                public_key_id: id.to_owned(),
                private_key: secret(private_key),
                passphrase,
            }),
            // A part is present but invalid, which has been reported.
            _ if self.problems.len() > before => None,
            (None, None) => {
                self.report(pointer, NO_KEY_DETAIL, NEW_KEY_FIX);
                None
            }
            (id, _) => {
                let missing = if id.is_none() { "publicKeyID" } else { "privateKey" };
                self.report(
                    pointer,
                    format!("`{missing}` is missing or empty: {NO_KEY_DETAIL}"),
                    NEW_KEY_FIX,
                );
                None
            }
        }
    }

    fn enterprise(&mut self, root: JsonObject<'_>) -> Option<BoxId> {
        let Some(Value::Number(number)) = root.fields.get("enterpriseID") else {
            let text = self.optional(root, "enterpriseID", ConfigField::EnterpriseId)?;
            return BoxId::parse(text).ok();
        };
        // A fraction, a sign or an exponent fails the check as it would in a string.
        let digits = number.to_string();
        BoxId::parse(self.checked("/enterpriseID", ConfigField::EnterpriseId, &digits)?).ok()
    }

    fn webhooks(&mut self, root: JsonObject<'_>) -> (Option<SecretString>, Option<SecretString>) {
        let pointer = "/webhooks";
        let Some(value) = non_null(root.fields, "webhooks") else { return (None, None) };
        let Some(fields) = self.object(pointer, value) else { return (None, None) };
        let object = JsonObject { pointer, fields };
        self.ignore_all_but(object, &["primaryKey", "secondaryKey"]);
        let mut key = |name| self.optional(object, name, ConfigField::WebhookKey).map(secret);
        (key("primaryKey"), key("secondaryKey"))
    }

    /// Reads a text that must be present and not empty.
    fn required<'a>(&mut self, object: JsonObject<'a>, name: &str, field: ConfigField) -> Option<&'a str> {
        match non_null(object.fields, name) {
            Some(value) if has_value(value) => self.optional(object, name, field),
            value => {
                let other = object.fields.keys().find(|key| *key != name && key.eq_ignore_ascii_case(name));
                let detail = match (value, other) {
                    (Some(_), _) => {
                        format!("`{name}` is empty; copy it from the app's Configuration tab in Box")
                    }
                    (None, Some(other)) => format!("`{name}` is missing; `{other}` is spelled differently"),
                    (None, None) => format!("`{name}` is missing; Box's own files have it"),
                };
                self.report(format!("{}/{name}", object.pointer), detail, field.fix());
                None
            }
        }
    }

    /// Reads a text, if there is one that is not empty.
    fn optional<'a>(&mut self, object: JsonObject<'a>, name: &str, field: ConfigField) -> Option<&'a str> {
        let value = non_null(object.fields, name)?;
        let pointer = format!("{}/{name}", object.pointer);
        match value {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => self.checked(&pointer, field, text),
            _ => {
                let wanted = match field {
                    ConfigField::EnterpriseId => "digits, as a string or a whole number",
                    _ => "a string",
                };
                self.report(
                    pointer,
                    format!("`{name}` must be {wanted}; this is {}", json_type(value)),
                    field.fix(),
                );
                None
            }
        }
    }

    fn checked<'a>(&mut self, pointer: &str, field: ConfigField, text: &'a str) -> Option<&'a str> {
        field.check(text).map_err(|detail| self.report(pointer, detail, field.fix())).ok().map(|()| text)
    }

    fn object<'a>(&mut self, pointer: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        if !value.is_object() {
            self.report(
                pointer,
                format!("this must be a JSON object; it is {}", json_type(value)),
                WHOLE_FILE_FIX,
            );
        }
        value.as_object()
    }

    fn ignore_all_but(&mut self, object: JsonObject<'_>, known: &[&str]) {
        let unknown =
            object.fields.iter().filter(|(name, value)| !known.contains(&name.as_str()) && has_value(value));
        let room = BoxConfig::MAX_IGNORED.saturating_sub(self.ignored.len());
        self.ignored.extend(
            unknown.take(room).map(|(name, _)| format!("{}/{}", object.pointer, pointer_token(name))),
        );
    }

    fn report(&mut self, pointer: impl Into<String>, detail: impl Into<String>, fix: &'static str) {
        self.problems.push(ConfigProblem::new(pointer, detail, fix));
    }
}

/// Returns the field's value; `null` counts as absent.
fn non_null<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn has_value(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// Returns the problem with a file without `boxAppSettings`: usually it is a part of the right file.
fn describe_file_without_settings(fields: &Map<String, Value>) -> String {
    let has = |name: &str| fields.contains_key(name);
    if has("clientID") || has("clientSecret") || has("appAuth") {
        "this is what stands inside `boxAppSettings`; give the whole file, or put it into an object under that \
         name, beside `enterpriseID`"
            .to_owned()
    } else if has("publicKeyID") || has("privateKey") {
        "this is what stands inside `boxAppSettings.appAuth`; give the whole file".to_owned()
    } else if let Some(outer) = fields.iter().find(|(_, value)| value.get("boxAppSettings").is_some()) {
        format!(
            "`boxAppSettings` stands one level too deep; give what stands inside `{}` alone",
            pointer_token(outer.0)
        )
    } else {
        "`boxAppSettings` is missing: this is not the config file of Box's developer console (Configuration › \
         App Settings › Download as JSON)"
            .to_owned()
    }
}

/// Returns a name as a token of a JSON pointer (RFC 6901, section 3), cut if it is long.
fn pointer_token(name: &str) -> String {
    const LONGEST: usize = 64;
    let mut shown: String = name.chars().filter(|&character| is_printable(character)).take(LONGEST).collect();
    if name.chars().count() > LONGEST {
        shown.push('…');
    }
    shown.replace('~', "~0").replace('/', "~1")
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}
