//! The command line through the real binary: what it prints where, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod database;
mod demo_page;
mod harness;
mod journey;
mod keys;
mod lockdown;
mod policy;
mod sandbox;
mod tenants;
mod token;

use harness::run;

#[test]
fn help_names_every_command_and_exit_code_and_each_command_has_its_own() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.code, 0);
    for word in [
        "sandbox",
        "migrate",
        "keys",
        "policy",
        "tenants",
        "token",
        "whoami",
        "lockdown",
        "BTB_URL",
        "BTB_KEY",
        "Exit codes",
        "424",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    let commands: [&[&str]; 10] = [
        &["callers", "create"],
        &["sandbox"],
        &["migrate"],
        &["keys", "generate"],
        &["policy", "explain"],
        &["tenants", "register"],
        &["tenants", "list"],
        &["tenants", "test"],
        &["token"],
        &["lockdown"],
    ];
    for command in commands {
        let help = run(&[command, &["--help"]].concat(), &[]);
        assert!(help.code == 0 && help.out.contains("Examples:"), "{command:?}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let env = [("BTB_KEY", "btb_a_b")];
    for args in [
        &["token"][..],
        &["frobnicate"],
        &["token", "acme", "--file", "1"],
        &["token", "acme", "--min-ttl", "3001"],
        &["token", "acme", "--user", "ann"],
        &["token", "../acme"],
        &["policy", "explain", "portal", "acme", "--file", "1"],
        &["callers", "create", "--name", "ann"],
        &["callers", "create", "--admin", "--name", "Ann"],
        &["tenants", "register", "--app", "portal"],
        &["tenants", "register", "f.json", "--app", "portal", "--enterprise-id", "1"],
    ] {
        assert_eq!(run(args, &env).code, 2, "{args:?}");
    }
    let keyless = run(&["whoami"], &[]);
    assert!(keyless.code == 2 && keyless.err.contains("BTB_KEY"), "{}", keyless.err);
}

#[test]
fn wrong_settings_end_with_2_and_a_line_for_each() {
    let ran = run(&["keys", "status"], &[("BTB_HTTP__LISTN", "x"), ("BTB_BOX__TIMEOUT", "9")]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.err,
        "error: BTB_HTTP__LISTN: no setting has this name; the nearest one is BTB_HTTP__LISTEN\n\
         error: BTB_BOX__TIMEOUT: box.timeout must be a whole number of seconds from 1 to 5, without quotes\n"
    );
}
