//! Box's config file, as the command line reads it from disk and as the API finds it in a body.

use box_token_broker::domain::app::AuthMethod;
use box_token_broker::domain::box_config::{BoxConfig, ConfigField, ConfigFile, ConfigProblem};
use box_token_broker::registry::strict_json;

/// What is accepted is within every bound, both ways of reading agree, and every problem has its place.
pub fn run(input: &[u8]) {
    for auth in [AuthMethod::Jwt, AuthMethod::Ccg] {
        let from_file = ConfigFile::from_text(input);
        let of_file = from_file.clone().map_err(|problem| vec![problem]).and_then(|file| file.read(auth));
        match &of_file {
            Ok(config) => check(config, auth),
            Err(problems) => check_problems(problems),
        }
        let mut body = serde_json::Deserializer::from_slice(input);
        if let Ok(file) = strict_json::decode::<ConfigFile, _>(&mut body)
            && from_file.is_ok()
        {
            assert_eq!(file.read(auth), of_file, "a body says what the file says");
        }
        if let Ok(file) = from_file {
            let text = file.into_document().to_string();
            // Written otherwise, a file near the longest may be too long.
            if text.len() <= ConfigFile::MAX_BYTES {
                let again = ConfigFile::from_text(text.as_bytes()).map_err(|problem| vec![problem]);
                assert_eq!(places(&again.and_then(|file| file.read(auth))), places(&of_file));
            }
        }
    }
}

/// What was read, or where something is wrong. What is wrong with a number beyond 64 bits depends on how
/// many digits it is written with.
fn places(read: &Result<BoxConfig, Vec<ConfigProblem>>) -> Result<&BoxConfig, Vec<&str>> {
    read.as_ref().map_err(|problems| problems.iter().map(|problem| &*problem.pointer).collect())
}

fn check(config: &BoxConfig, auth: AuthMethod) {
    let BoxConfig { client_secret, enterprise_id, key, webhook_primary, webhook_secondary, .. } = config;
    let mut texts = vec![
        (ConfigField::ClientId, config.client_id.as_str()),
        (ConfigField::ClientSecret, client_secret.expose()),
    ];
    texts.extend(enterprise_id.as_ref().map(|id| (ConfigField::EnterpriseId, id.as_str())));
    let webhooks = [webhook_primary, webhook_secondary];
    texts.extend(webhooks.into_iter().flatten().map(|key| (ConfigField::WebhookKey, key.expose())));
    if let Some(key) = key {
        texts.push((ConfigField::PublicKeyId, &key.public_key_id));
        texts.push((ConfigField::PrivateKey, key.private_key.expose()));
        texts
            .extend(key.passphrase.as_ref().map(|passphrase| (ConfigField::Passphrase, passphrase.expose())));
    }
    for (field, text) in texts {
        assert!(
            !text.is_empty() && text.len() <= field.max_bytes() && field.check(text).is_ok(),
            "{field:?}"
        );
    }
    assert_eq!(key.is_some(), auth == AuthMethod::Jwt);
    assert!(config.ignored.len() <= BoxConfig::MAX_IGNORED);
    config.ignored.iter().for_each(|pointer| check_pointer(pointer));
}

fn check_problems(problems: &[ConfigProblem]) {
    // As many as there are fields in the file, each said once.
    assert!((1..=12).contains(&problems.len()), "{problems:?}");
    for ConfigProblem { pointer, detail, fix } in problems {
        check_pointer(pointer);
        assert!(!detail.is_empty() && detail.len() < 1200 && !fix.is_empty(), "{detail}");
        assert!(!detail.contains(char::is_control), "{detail:?}");
    }
}

/// RFC 6901, section 3; nothing that moves a terminal.
fn check_pointer(pointer: &str) {
    assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer:?}");
    assert!(pointer.len() < 600 && !pointer.contains(char::is_control), "{pointer:?}");
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    assert!(escaped, "{pointer:?}");
}
