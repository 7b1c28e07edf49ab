use serde_json::json;

use super::*;

const SECRETS: [&str; 5] =
    ["hush-client-secret", "hush-private-key", "hush-passphrase", "hush-primary", "hush-secondary"];

fn whole() -> Value {
    json!({
        "boxAppSettings": {
            "clientID": "client",
            "clientSecret": "hush-client-secret",
            "appAuth": {
                "publicKeyID": "k1", "privateKey": "hush-private-key", "passphrase": "hush-passphrase",
            },
        },
        "enterpriseID": "1001",
        "webhooks": { "primaryKey": "hush-primary", "secondaryKey": "hush-secondary" },
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut file = whole();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[name] = value;
    file
}

fn read_as(file: &Value, auth: AuthMethod) -> Result<BoxConfig, Vec<ConfigProblem>> {
    ConfigFile::from_text(file.to_string().as_bytes()).map_err(|problem| vec![problem])?.read(auth)
}

fn read(file: &Value) -> Result<BoxConfig, Vec<ConfigProblem>> {
    read_as(file, AuthMethod::Jwt)
}

#[track_caller]
fn pointers(file: &Value) -> Vec<String> {
    read(file).unwrap_err().into_iter().map(|problem| problem.pointer).collect()
}

#[track_caller]
fn whole_problem(bytes: &[u8]) -> String {
    let problem = ConfigFile::from_text(bytes).unwrap_err();
    assert_eq!(problem.pointer, "");
    problem.detail
}

#[test]
fn a_whole_file_is_read_to_its_last_field() {
    let config = read(&whole()).unwrap();
    assert_eq!(config.client_id.as_str(), "client");
    assert_eq!(config.client_secret.expose(), "hush-client-secret");
    assert_eq!(config.enterprise_id.unwrap().as_str(), "1001");
    let key = config.key.unwrap();
    assert_eq!((key.public_key_id.as_str(), key.private_key.expose()), ("k1", "hush-private-key"));
    assert_eq!(key.passphrase.unwrap().expose(), "hush-passphrase");
    assert_eq!(config.webhook_primary.unwrap().expose(), "hush-primary");
    assert_eq!(config.webhook_secondary.unwrap().expose(), "hush-secondary");
    assert!(config.ignored.is_empty());
}

#[test]
fn an_enterprise_is_digits_as_text_or_number() {
    for good in [json!("1001"), json!(1001), json!(u64::MAX)] {
        let config = read(&changed("/enterpriseID", good.clone())).unwrap();
        assert_eq!(config.enterprise_id.unwrap().as_str(), good.to_string().trim_matches('"'));
    }
    for none in [json!(null), json!("")] {
        assert_eq!(read(&changed("/enterpriseID", none)).unwrap().enterprise_id, None);
    }
    for bad in [
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!("1e3"),
        json!(" 1"),
        json!("١"),
        json!("01"),
        json!(true),
        json!(["1"]),
        json!("123456789012345678901"),
    ] {
        assert_eq!(pointers(&changed("/enterpriseID", bad)), ["/enterpriseID"]);
    }
}

#[test]
fn enterprise_0_is_a_free_account() {
    for zero in [json!("0"), json!(0), json!("00")] {
        let problems = read(&changed("/enterpriseID", zero)).unwrap_err();
        assert!(problems[0].detail.contains("free Box account"), "{problems:?}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let file = format!("\u{feff}\r\n{}\n", whole());
    assert!(ConfigFile::from_text(file.as_bytes()).unwrap().read(AuthMethod::Jwt).is_ok());
}

#[test]
fn a_file_without_a_key_serves_client_credentials_alone() {
    let empty = json!({ "publicKeyID": "", "privateKey": "", "passphrase": "" });
    for none in [json!(null), json!({}), empty] {
        let file = changed("/boxAppSettings/appAuth", none);
        let problems = read(&file).unwrap_err();
        assert_eq!(problems[0].pointer, "/boxAppSettings/appAuth");
        assert!(problems[0].detail.contains("`ccg`"), "{problems:?}");
        let config = read_as(&file, AuthMethod::Ccg).unwrap();
        assert_eq!((config.key, config.ignored), (None, vec![]));
    }
    for missing in ["publicKeyID", "privateKey"] {
        let pointer = format!("/boxAppSettings/appAuth/{missing}");
        let problems = read(&changed(&pointer, json!(""))).unwrap_err();
        assert_eq!(problems[0].pointer, "/boxAppSettings/appAuth");
        assert!(problems[0].detail.contains(missing), "{problems:?}");
    }
    let config = read_as(&whole(), AuthMethod::Ccg).unwrap();
    assert_eq!((config.key, config.ignored), (None, vec!["/boxAppSettings/appAuth".to_owned()]));
}

#[test]
fn an_empty_passphrase_is_none() {
    for none in [json!(null), json!("")] {
        let config = read(&changed("/boxAppSettings/appAuth/passphrase", none)).unwrap();
        assert_eq!(config.key.unwrap().passphrase, None);
    }
}

#[test]
fn a_value_of_another_type_is_told_with_its_place() {
    for pointer in [
        "/boxAppSettings",
        "/boxAppSettings/clientID",
        "/boxAppSettings/clientSecret",
        "/boxAppSettings/appAuth",
        "/boxAppSettings/appAuth/publicKeyID",
        "/boxAppSettings/appAuth/privateKey",
        "/boxAppSettings/appAuth/passphrase",
        "/enterpriseID",
        "/webhooks",
        "/webhooks/primaryKey",
        "/webhooks/secondaryKey",
    ] {
        assert_eq!(pointers(&changed(pointer, json!([1]))), [pointer]);
        assert_eq!(pointers(&changed(pointer, json!(true))), [pointer]);
    }
    for file in [json!([]), json!("x"), json!(1), json!(null)] {
        assert_eq!(pointers(&file), [""]);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let mut file = changed("/boxAppSettings/clientID", json!("no client!"));
    file["boxAppSettings"]["clientSecret"] = json!("");
    file["boxAppSettings"]["appAuth"]["publicKeyID"] = json!("a b");
    file["enterpriseID"] = json!("acme");
    file["webhooks"]["primaryKey"] = json!(7);
    assert_eq!(
        pointers(&file),
        [
            "/boxAppSettings/clientID",
            "/boxAppSettings/clientSecret",
            "/boxAppSettings/appAuth/publicKeyID",
            "/enterpriseID",
            "/webhooks/primaryKey",
        ]
    );
}

#[test]
fn a_part_of_the_file_is_recognised() {
    let whole = whole();
    for (part, says) in [
        (whole["boxAppSettings"].clone(), "inside `boxAppSettings`;"),
        (whole["boxAppSettings"]["appAuth"].clone(), "inside `boxAppSettings.appAuth`"),
        (json!({ "config": whole }), "one level too deep"),
        (json!({ "boxappsettings": {} }), "is missing"),
    ] {
        let problems = read(&part).unwrap_err();
        assert_eq!(problems[0].pointer, "/boxAppSettings");
        assert!(problems[0].detail.contains(says), "{problems:?}");
    }
    let mut file = whole;
    let settings = file["boxAppSettings"].as_object_mut().unwrap();
    let id = settings.remove("clientID").unwrap();
    settings.insert("clientId".to_owned(), id);
    let problems = read(&file).unwrap_err();
    assert!(problems[0].detail.contains("`clientId` is spelled differently"), "{problems:?}");
}

#[test]
fn fields_without_a_use_are_named_and_bounded() {
    let mut file = changed("/userID", json!("12"));
    file["boxAppSettings"]["a/b~c"] = json!({});
    file["boxAppSettings"]["appAuth"]["x"] = json!(false);
    file["webhooks"]["tertiaryKey"] = json!("y");
    file["nothing"] = json!("");
    let ignored = read(&file).unwrap().ignored;
    for pointer in
        ["/userID", "/boxAppSettings/a~1b~0c", "/boxAppSettings/appAuth/x", "/webhooks/tertiaryKey"]
    {
        assert!(ignored.contains(&pointer.to_owned()), "{ignored:?}");
    }
    assert_eq!(ignored.len(), 4);
    for n in 0..100 {
        file[format!("{n:0>100}")] = json!(1);
    }
    let ignored = read(&file).unwrap().ignored;
    assert_eq!(ignored.len(), BoxConfig::MAX_IGNORED);
    assert!(ignored.iter().all(|pointer| pointer.len() < 80), "{ignored:?}");
}

#[test]
fn each_problem_has_a_fix_of_its_own() {
    for (pointer, value, says) in [
        ("/enterpriseID", json!(0), "Account & Billing"),
        ("/boxAppSettings/appAuth", json!(null), "Make a new keypair"),
        ("/boxAppSettings/clientSecret", json!(""), "Client Secret"),
        ("/boxAppSettings", json!(null), "exactly as Box's developer console gave it"),
    ] {
        let problems = read(&changed(pointer, value)).unwrap_err();
        assert!(problems[0].fix.contains(says), "{problems:?}");
    }
}

#[test]
fn what_is_no_json_is_told_as_what_it_is() {
    for (bytes, says) in [
        (&b""[..], "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"-----BEGIN PRIVATE KEY-----\n", "PEM"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"{\"boxAppSettings\": {", "cut off"),
        (b"{boxAppSettings: 1}", "not JSON"),
        (b"{} {}", "not JSON"),
    ] {
        assert!(whole_problem(bytes).contains(says), "{says}: {}", whole_problem(bytes));
    }
    let deep = [vec![b'['; 33], vec![b']'; 33]].concat();
    assert!(whole_problem(&deep).contains("more than 32 deep"));
    assert!(whole_problem(&[b'['; 1000]).contains("more than 32 deep"));
    let mut nested = json!(1);
    for _ in 0..33 {
        nested = json!({ "a": nested });
    }
    let file: ConfigFile = serde_json::from_value(nested).unwrap();
    let problems = file.read(AuthMethod::Jwt).unwrap_err();
    assert!(problems.len() == 1 && problems[0].detail.contains("more than 32 deep"), "{problems:?}");
    let long = vec![b' '; ConfigFile::MAX_BYTES + 1];
    assert!(whole_problem(&long).contains("more than the 65536 bytes"));
}

#[test]
fn nothing_secret_stands_in_any_problem_or_debug_output() {
    let shown = format!("{:?}", read(&whole()).unwrap());
    let file = ConfigFile::from_text(whole().to_string().as_bytes()).unwrap();
    let mut texts = vec![shown, format!("{file:?}")];
    let long = "hush-".repeat(4000);
    for pointer in [
        "/boxAppSettings",
        "/boxAppSettings/clientID",
        "/boxAppSettings/clientSecret",
        "/boxAppSettings/appAuth",
        "/boxAppSettings/appAuth/publicKeyID",
        "/boxAppSettings/appAuth/privateKey",
        "/boxAppSettings/appAuth/passphrase",
        "/enterpriseID",
        "/webhooks",
        "/webhooks/primaryKey",
    ] {
        for value in [json!(["hush-list"]), json!("hush- with spaces"), json!(long)] {
            // A passphrase may hold spaces; a private key is looked into later.
            if let Err(problems) = read(&changed(pointer, value)) {
                texts.extend(problems.iter().map(|problem| format!("{problem} {problem:?}")));
            }
        }
    }
    let cut = whole().to_string();
    for end in (1..cut.len()).step_by(7) {
        texts.push(format!("{:?}", ConfigFile::from_text(&cut.as_bytes()[..end]).unwrap_err()));
    }
    assert!(texts.len() > 40);
    for text in texts {
        assert!(!text.contains("hush-"), "{text}");
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)));
    }
}
