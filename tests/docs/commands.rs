//! The commands of every page do what the page says.

use std::collections::BTreeSet;

use box_token_broker::config::Settings;

use crate::answers::{last_value, shows};
use crate::markdown::{Block, Document};
use crate::page::{all, read};
use crate::script;

/// A test for each page with commands, so that they run beside each other, and one for all of them together.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                follow($page);
            }
        )*

        #[test]
        fn every_page_with_commands_has_a_test() {
            let tested = BTreeSet::from([$($page.to_owned()),*]);
            let runs = |page: &String| blocks(page).iter().any(|block| block.language == "sh" && block.not_run().is_none());
            let with_commands: BTreeSet<String> = all().into_iter().filter(runs).collect();
            assert_eq!(with_commands, tested);
        }
    };
}

pages! {
    readme: "README.md",
    getting_started: "docs/getting-started.md",
    guide_audit: "docs/guides/audit.md",
    guide_backup: "docs/guides/backup.md",
    guide_box_app: "docs/guides/box-app.md",
    guide_box_tools: "docs/guides/box-tools.md",
    guide_browser_sessions: "docs/guides/browser-sessions.md",
    guide_callers: "docs/guides/callers.md",
    guide_credentials: "docs/guides/credentials.md",
    guide_customers: "docs/guides/customers.md",
    guide_incidents: "docs/guides/incidents.md",
    guide_policy: "docs/guides/policy.md",
    guide_production: "docs/guides/production.md",
    guide_rate_limits: "docs/guides/rate-limits.md",
    guide_sandbox: "docs/guides/sandbox.md",
    guide_tokens: "docs/guides/tokens.md",
    guide_webhooks: "docs/guides/webhooks.md",
    guide_workload_identity: "docs/guides/workload-identity.md",
}

fn blocks(page: &str) -> Vec<Block> {
    Document::parse(&read(page)).blocks
}

fn follow(page: &str) {
    let blocks = blocks(page);
    let ran = script::run(&blocks);
    assert!(ran.succeeded, "{page}: {}", ran.problem);
    for (number, block) in blocks.iter().enumerate() {
        let at = format!("{page}:{}", block.line);
        let answer = blocks.get(number + 1).filter(|next| next.follows && next.language == "json");
        let answer: Option<serde_json::Value> =
            answer.map(|answer| serde_json::from_str(&answer.text).unwrap());
        let problem =
            answer.as_ref().and_then(|answer| answer.get("status")).and_then(serde_json::Value::as_u64);
        let marked = block.mark.as_deref().and_then(|mark| mark.strip_prefix("expect: ")?.parse().ok());
        let wanted: Option<u64> = problem.or(marked);
        for status in ran.statuses(number) {
            let right = wanted.map_or((200..300).contains(&status), |wanted| u64::from(status) == wanted);
            assert!(right, "{at}: the answer is {status}: {}", ran.output(number));
        }
        if let (Some(answer), "sh", None) = (answer, block.language.as_str(), block.not_run()) {
            let output = ran.output(number);
            let value = last_value(&output).unwrap_or_else(|| panic!("{at}: there is no JSON in {output}"));
            shows(&value, &answer).unwrap_or_else(|difference| panic!("{at}: {difference} in {output}"));
        }
    }
}

#[test]
fn the_commands_that_the_demo_prints_do_what_it_says() {
    let page = "```sh\nbox-token-broker demo\n```\n\n<!-- paste: the exports of the demo -->\n```sh\n\
                grep '^  ' $DOCS_OUTPUT/demo | grep -v -e ui-elements -e '^  export' >printed\n. ./printed\n```\n";
    let ran = script::run(&Document::parse(page).blocks);
    assert!(ran.succeeded, "{}", ran.problem);
    let statuses = ran.statuses(1);
    let refused = statuses.iter().filter(|status| **status >= 300).collect::<Vec<_>>();
    assert_eq!(refused, [&403, &404], "the demo announces two refusals: {}", ran.output(1));
    assert!(statuses.len() >= 9, "{statuses:?}");
}

#[test]
fn allowing_a_pages_origin_keeps_the_origins_that_are_there() {
    let mut blocks = blocks("docs/guides/browser-sessions.md");
    let at = blocks.iter().position(|block| block.text.contains("browser_origins")).unwrap();
    blocks.truncate(at + 1);
    let mut earlier = blocks[at].clone();
    earlier.text = earlier.text.replace("https://portal.example.com", "http://127.0.0.1:8082");
    blocks.insert(at, earlier);
    let ran = script::run(&blocks);
    assert!(ran.succeeded, "{}", ran.problem);
    let origins: Vec<String> = serde_json::from_str(&ran.output(at + 1)).unwrap();
    assert_eq!(origins, ["http://127.0.0.1:8082", "https://portal.example.com"]);
}

#[test]
fn commands_that_do_not_run_say_why_and_are_few() {
    let mut not_run = Vec::new();
    for page in all() {
        for block in blocks(&page) {
            if let Some(reason) = block.not_run() {
                assert!(reason.len() > 10, "{page}:{}", block.line);
                not_run.push(format!("{page}:{}: {reason}", block.line));
            }
        }
    }
    assert!(not_run.len() <= 13, "{}", not_run.join("\n"));
}

#[test]
fn blocks_of_json_and_settings_are_valid() {
    for page in all() {
        for block in blocks(&page) {
            let at = format!("{page}:{}", block.line);
            match block.language.as_str() {
                "json" => {
                    let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
                    parsed.unwrap_or_else(|error| panic!("{at}: {error}"));
                }
                "toml" => {
                    let file = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(file.path(), &block.text).unwrap();
                    let loaded = Settings::load(Some(file.path()), std::iter::empty());
                    loaded.unwrap_or_else(|problems| panic!("{at}: {problems:?}"));
                }
                "console" => panic!("{at}: commands are in blocks of their own, marked `sh`"),
                _ => {}
            }
        }
    }
}
