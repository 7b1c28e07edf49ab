use std::path::Path;
use std::sync::Arc;

use box_sandbox::{AppSpec, Sandbox, World, generate_app};
use box_token_broker::app;
use box_token_broker::clock::{Clock as _, SystemClock};
use box_token_broker::config::Settings;
use box_token_broker::entropy::SystemEntropy;

use crate::harness::{Ran, run};

/// Settings for a broker on free ports that takes `box_url` for Box.
fn settings(folder: &Path, box_url: &str) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    [
        ("BTB_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("BTB_HTTP__OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
        ("BTB_DATABASE__URL", format!("sqlite:{}", path("broker.db"))),
        ("BTB_KEYS__FILE", path("keys.json")),
        ("BTB_BOX__API_URL", box_url.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn succeed(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.out
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_key_json_to_a_token_by_commands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = generate_app(&AppSpec::default());
    let file = folder.path().join(config.file_name());
    std::fs::write(&file, &config.json).unwrap();
    let file = file.to_str().unwrap();
    let world = World::from_app_configs([&config.json]).unwrap();
    let clock = Arc::new(SystemClock::new());
    let box_clock = clock.clone();
    let time = move || box_clock.wall();
    let sandbox = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), time).await.unwrap();

    let env = settings(folder.path(), &sandbox.url());
    let local: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    succeed(run(&["keys", "generate"], &local));
    let key = succeed(run(&["callers", "create", "--admin", "--name", "ann"], &local));
    let settings = Settings::load(None, env.clone().into_iter()).unwrap();
    let broker = app::start(&settings, clock, Arc::new(SystemEntropy)).await.unwrap();

    let url = format!("http://{}", broker.service);
    let env = [("BTB_URL", url.as_str()), ("BTB_KEY", key.trim())];
    let call = |args: &[&str]| run(args, &env);

    assert!(succeed(call(&["whoami"])).starts_with("ann (admin, cal_"));
    let dry = succeed(call(&["tenants", "register", file, "--dry-run"]));
    assert!(dry.starts_with("dry run, nothing was stored: enterprise-"), "{dry}");
    assert_eq!(succeed(call(&["tenants", "list"])), "");

    let acme = ["tenants", "register", file, "--tenant", "acme", "--label", "team=a"];
    let registered = succeed(call(&acme));
    assert!(registered.starts_with("registered acme (ten_"), "{registered}");
    assert!(registered.contains("@boxdevedition.com"), "{registered}");
    assert!(registered.contains("✓ assertion"), "{registered}");
    assert!(succeed(call(&acme)).starts_with("already registered, nothing changed: acme"));
    assert_eq!(call(&["tenants", "register", file, "--tenant", "other"]).code, 1, "the client ID is held");

    let listed = succeed(call(&["tenants", "list", "--label", "team=a", "--state", "active"]));
    assert!(listed.starts_with("acme "), "{listed}");
    assert_eq!(succeed(call(&["tenants", "list", "--label", "team=b"])), "");
    let tested = succeed(call(&["tenants", "test", "acme", "--user", "10000001001"]));
    assert!(tested.contains("✓ key") && tested.contains("user_token"), "{tested}");

    let token = succeed(call(&["token", "acme"]));
    assert_eq!(succeed(call(&["token", "acme"])), token, "the same while it lives");
    let narrow = succeed(call(&["token", "acme", "--preset", "preview", "--file", "30000001001"]));
    assert_ne!(narrow, token);
    let whole = succeed(call(&["token", "acme", "--scope", "item_preview", "--min-ttl", "60", "--json"]));
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["token_type"], "bearer");

    assert_eq!(call(&["token", "nobody"]).code, 3);
    assert_eq!(call(&["token", "acme", "--user", "99"]).code, 5);
    assert_eq!(run(&["whoami"], &[("BTB_URL", &url), ("BTB_KEY", "btb_a_b")]).code, 3);
    broker.stop().await;
    sandbox.stop().await;
    assert_eq!(call(&["token", "acme"]).code, 4);
}
