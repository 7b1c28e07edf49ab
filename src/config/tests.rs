//! Loading of settings from a file and the environment.

use std::io::Write;

use super::*;

mod issuers;

fn load(file: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut written = tempfile::Builder::new().prefix("settings").tempfile().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(written.path()), env)
}

/// The problems, without the temporary file's directory and name.
fn problems(file: &str, env: &[(&str, &str)]) -> Vec<String> {
    let error = load(file, env).unwrap_err();
    let short = |problem: &SettingsProblem| {
        let origin = problem
            .origin
            .rsplit_once(" line ")
            .map_or_else(|| problem.origin.clone(), |(_, number)| format!("line {number}"));
        format!("{origin}: {}", problem.detail)
    };
    error.problems().iter().map(short).collect()
}

#[test]
fn settings_without_input_are_the_documented_defaults() {
    let settings = Settings::load(None, std::iter::empty()).unwrap();
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.http.operations_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.box_api.api_url.as_str(), "https://api.box.com/");
    assert_eq!(settings.tokens.cache_max_bytes, 64 * 1024 * 1024);
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn every_key_is_read_from_the_file_and_from_the_environment() {
    let file = r#"
        [http]
        listen = "0.0.0.0:1"
        admin_listen = "[::1]:2"
        operations_listen = "127.0.0.1:3"
        public_url = "https://broker.example.com"
        trusted_proxies = ["10.0.0.0/8", "fd00::7"]
        [database]
        url = "postgres://u:p@h/d"
        [box]
        api_url = "http://localhost:4"
        timeout = 1
        proxy = "http://u:p@proxy:5"
        ca_file = "ca.pem"
        restricted_to = "warn"
        [keys]
        source = "file"
        file = "k.json"
        [tokens]
        min_ttl = 6
        refresh_margin = 7
        cache_max_bytes = 1_048_577
        [tenants]
        purge_after = 8
        [auth]
        max_policy_age = 9
        [[auth.oidc]]
        issuer = "https://issuer.example/a"
        [[auth.oidc]]
        issuer = "https://10.0.0.1"
        jwks_url = "https://10.0.0.2/keys"
        allow_private = true
        [[auth.trusts]]
        caller = "job"
        issuer = "https://issuer.example/a"
        audience = "broker"
        subject = "repo:acme/*:main"
        claims = { "/kubernetes.io/namespace" = "prod" }
        [limits]
        mints_in_flight = 10
        connections = 11
        unauthenticated_per_peer = 12
        requests_per_caller = 13
        requests_per_tenant = 14
        [log]
        format = "json"
        level = "warn,box_token_broker::broker=trace"
    "#;
    let env = [
        ("BTB_HTTP__LISTEN", "0.0.0.0:1"),
        ("BTB_HTTP__ADMIN_LISTEN", "[::1]:2"),
        ("BTB_HTTP__OPERATIONS_LISTEN", "127.0.0.1:3"),
        ("BTB_HTTP__PUBLIC_URL", "https://broker.example.com"),
        ("BTB_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, fd00::7"),
        ("BTB_DATABASE__URL", "postgres://u:p@h/d"),
        ("BTB_BOX__API_URL", "http://localhost:4"),
        ("BTB_BOX__TIMEOUT", "1"),
        ("BTB_BOX__PROXY", "http://u:p@proxy:5"),
        ("BTB_BOX__CA_FILE", "ca.pem"),
        ("BTB_BOX__RESTRICTED_TO", "warn"),
        ("BTB_KEYS__SOURCE", "file"),
        ("BTB_KEYS__FILE", "k.json"),
        ("BTB_TOKENS__MIN_TTL", "6"),
        ("BTB_TOKENS__REFRESH_MARGIN", "7"),
        ("BTB_TOKENS__CACHE_MAX_BYTES", "1048577"),
        ("BTB_TENANTS__PURGE_AFTER", "8"),
        ("BTB_AUTH__MAX_POLICY_AGE", "9"),
        (
            "BTB_AUTH__OIDC",
            r#"[{"issuer":"https://issuer.example/a"},
                {"issuer":"https://10.0.0.1","jwks_url":"https://10.0.0.2/keys","allow_private":true}]"#,
        ),
        (
            "BTB_AUTH__TRUSTS",
            r#"[{caller = "job", issuer = "https://issuer.example/a", audience = "broker",
                 subject = "repo:acme/*:main", claims = {"/kubernetes.io/namespace" = "prod"}}]"#,
        ),
        ("BTB_LIMITS__MINTS_IN_FLIGHT", "10"),
        ("BTB_LIMITS__CONNECTIONS", "11"),
        ("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "12"),
        ("BTB_LIMITS__REQUESTS_PER_CALLER", "13"),
        ("BTB_LIMITS__REQUESTS_PER_TENANT", "14"),
        ("BTB_LOG__FORMAT", "json"),
        ("BTB_LOG__LEVEL", "warn,box_token_broker::broker=trace"),
    ];
    let from_file = load(file, &[]).unwrap();
    let from_env = load("", &env).unwrap();
    assert_eq!(format!("{from_file:?}"), format!("{from_env:?}"));
    let text = format!("{from_env:?}");
    for number in
        ["0.0.0.0:1,", "[::1]:2", "127.0.0.1:3", "timeout: 1s", "min_ttl: 6s", "Some(7s)", "1048577"]
    {
        assert!(text.contains(number), "{number} in {text}");
    }
    for words in ["reach: Public", "reach: Private", "repo:acme/*:main", "/kubernetes.io/namespace"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    for number in ["purge_after: 8s", "max_policy_age: 9s", "flight: 10", "connections: 11", "Json", "Warn"] {
        assert!(text.contains(number), "{number} in {text}");
    }
    for number in ["[10.0.0.0/8, fd00::7/128]", "per_peer: 12", "caller: Some(13)", "tenant: Some(14)"] {
        assert!(text.contains(number), "{number} in {text}");
    }
    assert!(matches!(&from_env.database, DatabaseUrl::Postgres(url) if url.expose() == "postgres://u:p@h/d"));
    assert_eq!(from_env.box_api.proxy.unwrap().expose(), "http://u:p@proxy:5");
    assert!(!text.contains("u:p@"), "secrets stay out of the debug text: {text}");
}

#[test]
fn the_environment_wins_and_other_variables_are_ignored() {
    let env = [("BTB_TOKENS__MIN_TTL", "60"), ("BTB_URL", "x"), ("BTB_KEY", "y"), ("TOKENS__MIN_TTL", "z")];
    assert_eq!(load("[tokens]\nmin_ttl = 30", &env).unwrap().tokens.min_ttl.as_secs(), 60);
}

#[test]
fn all_problems_are_reported_at_once_with_their_origins() {
    let file = "[http]\nlisen = \"127.0.0.1:1\"\n[tokens]\nmin_ttl = 3001\ncache_max_bytes = \"1\"\n\
                [box]\ntimeout = 0\napi_url = \"http://api.box.com\"\n[otlp]\nendpoint = \"http://x\"\n";
    let env = [("BTB_HTTP__LISTN", "127.0.0.1:1"), ("BTB_LOG__FORMAT", "xml")];
    assert_eq!(
        problems(file, &env),
        [
            "line 2: there is no setting http.lisen; the nearest one is http.listen",
            "line 10: there is no setting otlp.endpoint; the nearest one is http.admin_listen",
            "BTB_HTTP__LISTN: no setting has this name; the nearest one is BTB_HTTP__LISTEN",
            "line 4: tokens.min_ttl must be a whole number of seconds from 1 to 3000, without quotes",
            "line 5: tokens.cache_max_bytes must be a whole number of bytes from 1048576 to 1099511627776, \
             without quotes",
            "line 7: box.timeout must be a whole number of seconds from 1 to 5, without quotes",
            "line 8: box.api_url must be https: keys and tokens go there; http is for loopback addresses alone",
            "BTB_LOG__FORMAT: log.format must be `pretty` or `json`",
        ]
    );
}

#[test]
fn a_misplaced_key_is_reported_with_the_nearest_setting() {
    assert_eq!(
        problems("listen = \"a\"", &[]),
        ["line 1: there is no setting listen; the nearest one is http.listen"]
    );
    assert_eq!(
        problems("[tokens]\ntimeout = 3", &[]),
        ["line 2: there is no setting tokens.timeout; the nearest one is box.timeout"]
    );
    assert_eq!(problems("http = 3", &[]), ["line 1: http is a section: write `[http]` and its keys below"]);
    assert_eq!(problems("[hhtp]", &[]).len(), 1);
    assert!(load("[http]", &[]).is_ok());
    assert_eq!(
        problems("", &[("BTB_http__listen", "127.0.0.1:1")]),
        ["BTB_http__listen: no setting has this name; the nearest one is BTB_HTTP__LISTEN"]
    );
}

#[test]
fn durations_are_whole_seconds() {
    for value in ["4.5", "\"4\"", "\"4s\"", "-4", "99999999999999999999", "true"] {
        let problems = problems(&format!("[box]\ntimeout = {value}"), &[]);
        assert_eq!(problems.len(), 1, "{value}: {problems:?}");
        assert!(problems[0].starts_with("line 2: "), "{problems:?}");
    }
}

#[test]
fn a_secret_may_be_in_a_file_but_not_in_both_forms() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    secret.write_all(b"postgres://u:hunter2@h/d\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let settings = load("", &[("BTB_DATABASE__URL_FILE", path)]).unwrap();
    assert!(
        matches!(&settings.database, DatabaseUrl::Postgres(url) if url.expose() == "postgres://u:hunter2@h/d")
    );
    assert_eq!(problems("[http]\nlisten_file = \"x\"", &[]).len(), 1, "only secrets have the form");

    let both = load("[database]\nurl = \"postgres://u:hunter2@h/d\"", &[("BTB_DATABASE__URL_FILE", path)]);
    let told = both.unwrap_err().to_string();
    assert!(
        told.contains("BTB_DATABASE__URL_FILE: database.url_file is given beside database.url"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");

    let absent = problems("", &[("BTB_BOX__PROXY_FILE", "/nonexistent/proxy")]);
    assert!(
        absent[0].contains("box.proxy_file names /nonexistent/proxy, which cannot be read"),
        "{absent:?}"
    );
}

#[test]
fn no_error_repeats_a_secret() {
    for file in [
        "[database]\nurl = \"postgres://u:hunter2@h/d",
        "[database]\nurl = \"mysql://u:hunter2@h/d\"",
        "[box]\nproxy = \"socks5://u:hunter2@h\"",
        "[database]\nurl = postgres://u:hunter2@h/d",
    ] {
        let told = load(file, &[]).unwrap_err().to_string();
        assert!(!told.contains("hunter2") && told.contains(" line 2: "), "{told}");
    }
}

#[test]
fn box_is_reached_over_https_or_on_loopback() {
    for good in ["https://api.box.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        assert!(load("", &[("BTB_BOX__API_URL", good)]).is_ok(), "{good}");
    }
    for bad in [
        "http://api.box.com",
        "http://127.0.0.1.evil.example",
        "https://u:p@api.box.com",
        "https://api.box.com/2.0",
        "https://api.box.com?x",
        "ftp://localhost",
        "api.box.com",
        "",
    ] {
        assert!(load("", &[("BTB_BOX__API_URL", bad)]).is_err(), "{bad}");
    }
}

#[test]
fn trusted_proxies_are_networks_and_never_all_addresses() {
    let told = |value: &str| problems(&format!("[http]\ntrusted_proxies = {value}\n"), &[]).remove(0);
    for (value, wrong) in [
        ("[\"10.0.0.0/33\"]", "must be addresses or networks such as"),
        ("\"10.0.0.1,proxy.example.com\"", "must be addresses or networks such as"),
        ("[\"10.0.0.1/8\"]", "names 10.0.0.1/8, which begins in the middle: write 10.0.0.0/8"),
        ("\"0.0.0.0/0\"", "names 0.0.0.0/0, which is everybody"),
        ("\"::/0\"", "names ::/0, which is everybody"),
        ("\"::ffff:10.0.0.0/104\"", "write it as IPv4"),
        ("[10]", "must hold strings alone, none of them empty"),
        ("[\"\"]", "must hold strings alone, none of them empty"),
        ("10", "must be an array of strings, or one string with commas"),
        ("\"\"", "is empty: leave it out for the default"),
    ] {
        let told = told(value);
        assert!(told.starts_with("line 2: http.trusted_proxies ") && told.contains(wrong), "{value}: {told}");
    }
    let many = vec!["\"10.0.0.1\""; 101].join(",");
    assert!(told(&format!("[{many}]")).contains("names more than 100 networks"));
    let none = load("[http]\ntrusted_proxies = []\n", &[]).unwrap();
    assert!(none.http.trusted_proxies.is_empty());
}

#[test]
fn rates_are_whole_numbers_within_bounds() {
    for key in ["unauthenticated_per_peer", "requests_per_caller", "requests_per_tenant"] {
        for value in ["0", "1_000_001", "1.5", "-1"] {
            let told = problems(&format!("[limits]\n{key} = {value}\n"), &[]);
            let rule = "must be a whole number of requests a second from 1 to 1000000, without quotes";
            assert_eq!(told, [format!("line 2: limits.{key} {rule}")]);
        }
    }
}

#[test]
fn log_levels_are_levels_or_levels_by_target() {
    for good in ["off", "trace", "info,sqlx=warn", "box_token_broker::broker=debug"] {
        assert!(load("", &[("BTB_LOG__LEVEL", good)]).is_ok(), "{good}");
    }
    for bad in ["infoo", "info,", "=info", "sqlx=loud", "[span]=info"] {
        assert!(load("", &[("BTB_LOG__LEVEL", bad)]).is_err(), "{bad}");
    }
}

#[test]
fn two_listeners_share_no_address() {
    assert_eq!(
        problems("[http]\nlisten = \"127.0.0.1:9090\"", &[]),
        ["settings: http.listen and http.operations_listen are both 127.0.0.1:9090: give each its own port"]
    );
    let anew = "[http]\nlisten = \"127.0.0.1:0\"\noperations_listen = \"127.0.0.1:0\"";
    assert!(load(anew, &[]).is_ok());
}

#[test]
fn an_unreadable_file_is_named() {
    let error = Settings::load(Some(Path::new("/nonexistent/btb.toml")), std::iter::empty()).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/btb.toml: cannot be read"), "{error}");
}

#[test]
fn the_table_names_every_setting_with_its_default() {
    let rows = markdown_rows();
    assert_eq!(rows.lines().count(), 30);
    assert!(rows.starts_with("| `http.listen` | `127.0.0.1:8080` | "), "{rows}");
    assert!(rows.contains("| `database.url` | `sqlite:box-token-broker.db` | "), "{rows}");
    assert!(rows.contains("| `box.api_url` | `https://api.box.com` | "), "{rows}");
    assert!(rows.contains("| `tokens.refresh_margin` | – | "), "{rows}");
}
