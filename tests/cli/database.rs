use crate::harness::run;

#[test]
fn a_schema_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("broker.db").display());
    let env = [("BTB_DATABASE__URL", url.as_str())];
    let first = run(&["migrate"], &env);
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    assert!(first.out.starts_with("the schema was made, at version "), "{}", first.out);
    let again = run(&["migrate", "--json"], &env);
    let told: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert!(told["from"] == told["to"] && told["to"].as_u64() > Some(0), "{told}");
}

#[test]
fn a_database_that_is_away_is_worth_another_try_and_its_password_is_not_told() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://broker:hunter2@{nobody}/broker");
    let ran = run(&["migrate"], &[("BTB_DATABASE__URL", &url)]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(!ran.err.contains("hunter2") && ran.err.lines().count() == 1, "{}", ran.err);
    assert!(ran.err.contains(&format!("nothing answers at {nobody}")), "{}", ran.err);
}

#[test]
fn a_folder_is_no_database_however_often_one_tries() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().display());
    let ran = run(&["migrate"], &[("BTB_DATABASE__URL", &url)]);
    assert!(ran.code == 1 && ran.err.contains("this is a folder; name a file in it"), "{}", ran.err);
}

#[test]
fn the_config_file_says_where_the_database_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("b.db");
    let config = folder.path().join("settings.toml");
    std::fs::write(&config, format!("[database]\nurl = \"sqlite:{}\"\n", database.display())).unwrap();
    let ran = run(&["migrate", "--config", config.to_str().unwrap()], &[]);
    assert!(ran.code == 0 && database.exists(), "{}", ran.err);
}

#[test]
fn the_first_admins_key_stands_alone_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (url, keys) = (format!("sqlite:{}", path("broker.db")), path("keys.json"));
    let env = [("BTB_DATABASE__URL", url.as_str()), ("BTB_KEYS__FILE", keys.as_str())];
    let create = ["callers", "create", "--admin", "--name", "ann"];

    let keyless = run(&create, &env);
    assert!(keyless.code == 1 && keyless.err.contains("keys generate"), "{}", keyless.err);
    assert_eq!(run(&["keys", "generate"], &env).code, 0);

    let made = run(&create, &env);
    assert_eq!(made.code, 0, "{}", made.err);
    let key = made.out.strip_suffix('\n').unwrap();
    assert!(key.starts_with("btb_") && key.len() > 60 && !key.contains(char::is_whitespace), "{key}");
    assert!(!made.err.contains(key));

    let again = run(&create, &env);
    assert!(again.code == 1 && again.out.is_empty() && again.err.contains("already"), "{}", again.err);
    let told = run(&["callers", "create", "--admin", "--name", "bob", "--json"], &env).out;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(
        told["key"].as_str().unwrap().contains(told["id"].as_str().unwrap().strip_prefix("key_").unwrap())
    );
}
