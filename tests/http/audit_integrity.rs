//! Nobody changes the audit unseen, in the database or in an export.

use std::path::Path;

use crate::harness::{ADA, GRACE, Harness};
use crate::tampering_fixture::Scene;
use crate::token_requests::acme;

/// How the command ended, and what it printed on both outputs.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs `audit …` beside the broker, which goes on meanwhile: amid a transaction it would keep the command
/// waiting.
async fn audit(harness: &Harness, args: &[&str]) -> Ran {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
        .arg("audit")
        .args(args)
        .env_clear()
        .envs(harness.env().iter().cloned())
        .output()
        .await
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn is_whole(harness: &Harness, args: &[&str]) {
    let ran = audit(harness, &[&["verify"], args].concat()).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("whole: "), "{}", ran.out);
}

async fn is_broken(harness: &Harness, args: &[&str], why: &str) {
    let ran = audit(harness, &[&["verify"], args].concat()).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{why}: {}", ran.err);
    assert!(ran.err.contains(why), "{why} is not in {}", ran.err);
}

/// A broker with some history, all of it covered by checkpoints.
async fn history() -> Harness {
    let (harness, key) = acme().await;
    for user in [ADA, GRACE] {
        harness.user_token(&key, "acme", user).await.token();
        harness.broker().write_counts().await;
        harness.broker().sign_checkpoint().await;
    }
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    harness.broker().write_counts().await;
    harness.broker().sign_checkpoint().await;
    harness
}

/// The longest chain, and how many records it has.
async fn longest(harness: &Harness) -> (String, i64) {
    let sql = "SELECT writer || ' ' || COUNT(*) FROM audit GROUP BY writer ORDER BY COUNT(*) DESC LIMIT 1";
    let found = harness.hand().reads(sql).await.remove(0);
    let (writer, count) = found.split_once(' ').unwrap();
    (writer.to_owned(), count.parse().unwrap())
}

#[tokio::test]
async fn whatever_a_hand_does_to_a_record_in_the_database_is_found_and_named() {
    let harness = history().await;
    is_whole(&harness, &[]).await;
    let (writer, count) = longest(&harness).await;
    assert!(count > 4, "{count} records");
    let at = |number: i64| format!("writer = '{writer}' AND number = {number}");
    let record = |number: i64| format!("record {number} of chain {writer} of 2026-01-02");
    let hand = harness.hand();
    hand.does("CREATE TABLE kept_audit AS SELECT * FROM audit").await;
    hand.does("CREATE TABLE kept_checkpoints AS SELECT * FROM audit_checkpoints").await;
    let altered = "is not what the broker wrote there";
    let middle = count / 2;
    let changes = [
        (format!("UPDATE audit SET doc = REPLACE(doc, 'acme', 'acne') WHERE {}", at(1)), record(1), altered),
        (format!("UPDATE audit SET doc = doc || ' ' WHERE {}", at(middle)), record(middle), altered),
        (format!("UPDATE audit SET day = day + 1 WHERE {}", at(count)), record(count), "is missing"),
        (
            format!("UPDATE audit SET number = {} WHERE {}", count + 7, at(middle)),
            record(middle),
            "is missing",
        ),
        (format!("UPDATE audit SET action = 'token.read' WHERE {}", at(2)), record(2), "columns"),
        (format!("UPDATE audit SET tenant_id = 'ten_other' WHERE {}", at(2)), record(2), "columns"),
        (
            format!("UPDATE audit SET actor_id = NULL, at = at + 1 WHERE {}", at(count)),
            record(count),
            "columns",
        ),
        (format!("DELETE FROM audit WHERE {}", at(1)), record(1), "is missing"),
        (format!("DELETE FROM audit WHERE {}", at(middle)), record(middle), "is missing"),
        (format!("DELETE FROM audit WHERE {}", at(count)), record(count), "is missing"),
        (format!("DELETE FROM audit WHERE writer = '{writer}'"), record(1), "is missing"),
        ("DELETE FROM audit".to_owned(), "record 1 of chain".to_owned(), "is missing"),
        (
            format!(
                "INSERT INTO audit SELECT day, writer, {}, at, action, outcome, actor_id, tenant_id, app_id,
                 caller_id, on_behalf_of, fingerprint, doc, mac_key, mac FROM audit WHERE {}",
                count + 1,
                at(count)
            ),
            record(count + 1),
            altered,
        ),
        (
            format!("UPDATE audit SET doc = (SELECT doc FROM kept_audit WHERE {}) WHERE {}", at(2), at(3)),
            record(3),
            altered,
        ),
    ];
    for (change, named, why) in &changes {
        assert!(hand.does(change).await > 0, "{change}");
        is_broken(&harness, &[], named).await;
        is_broken(&harness, &[], why).await;
        // The API shows no record that is not what the broker wrote.
        let shown = harness.get(&harness.admin, "/v1/audit?limit=200").await.is(200).to_string();
        assert!(!shown.contains("acne") && !shown.contains("ten_other"), "{change}: {shown}");
        hand.does("DELETE FROM audit").await;
        hand.does("INSERT INTO audit SELECT * FROM kept_audit").await;
    }
    let last = hand.reads("SELECT CAST(MAX(number) AS TEXT) FROM audit_checkpoints").await.remove(0);
    let checkpoints = [
        (
            "UPDATE audit_checkpoints SET content = REPLACE(content, '2026', '2025') WHERE number = 2",
            "checkpoint 2 is not",
        ),
        ("DELETE FROM audit_checkpoints WHERE number = 1", "checkpoint 1 is missing"),
        ("DELETE FROM audit_checkpoints WHERE number = 2", "checkpoint 2 is missing"),
        (
            "UPDATE audit_checkpoints SET content = (SELECT content FROM kept_checkpoints WHERE number = 1),
             signature = (SELECT signature FROM kept_checkpoints WHERE number = 1) WHERE number = 2",
            "checkpoint 2 is not",
        ),
    ];
    for (change, why) in checkpoints {
        assert!(hand.does(change).await > 0, "{change}");
        is_broken(&harness, &[], why).await;
        hand.does("DELETE FROM audit_checkpoints").await;
        hand.does("INSERT INTO audit_checkpoints SELECT * FROM kept_checkpoints").await;
    }
    is_whole(&harness, &[]).await;
    // Whoever takes the end away has to take every checkpoint with it, and the broker knows its own.
    hand.does(&format!("DELETE FROM audit_checkpoints WHERE number = {last}")).await;
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    harness.broker().sign_checkpoint().await;
    harness.clock.advance(std::time::Duration::from_mins(2));
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    harness.broker().write_counts().await;
    harness.broker().sign_checkpoint().await;
    is_broken(&harness, &[], &format!("checkpoint {last} is missing")).await;
    harness.end().await;
}

#[tokio::test]
async fn a_cut_behind_a_checkpoint_that_was_seen_elsewhere_is_found() {
    let mut harness = history().await;
    let seen = harness.get(&harness.admin, "/v1/audit/checkpoint").await.is(200);
    assert!(seen["signature"].is_string() && seen["public_key"].is_string(), "{seen}");
    let number = seen["checkpoint"]["number"].as_i64().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("seen.json");
    // What was signed is kept byte by byte.
    let url = harness.url("/v1/audit/checkpoint");
    let text = harness.http.get(url).bearer_auth(&harness.admin).send().await.unwrap().text().await.unwrap();
    std::fs::write(&kept, format!("{text}\nnot a checkpoint\n")).unwrap();
    let kept = kept.to_str().unwrap();
    is_whole(&harness, &["--seen", kept]).await;
    // The whole end is cut off while nobody looks: only who kept a checkpoint can know.
    harness.stop().await;
    let hand = harness.hand();
    hand.does("DELETE FROM audit").await;
    hand.does("DELETE FROM audit_checkpoints").await;
    is_whole(&harness, &[]).await;
    is_broken(
        &harness,
        &["--seen", kept],
        &format!("checkpoint {number}, which was seen elsewhere, is not here"),
    )
    .await;
    harness.end().await;
}

fn altered(path: &Path, change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    let file = path.with_extension("altered");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn whatever_is_done_to_an_export_is_found_and_named() {
    let harness = history().await;
    let exported = audit(&harness, &["export"]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    std::fs::write(&file, &exported.out).unwrap();
    is_whole(&harness, &[file.to_str().unwrap()]).await;
    let lines: Vec<&str> = exported.out.lines().collect();
    let is_record = |line: &&str| line.starts_with("{\"record\"");
    let first = lines.iter().position(is_record).unwrap();
    let records = lines.iter().copied().filter(is_record).count();
    assert_eq!(first + records + 1, lines.len(), "checkpoints, then records, then the last checkpoint");
    assert!(records > 6);
    let name = |place: usize| {
        let line: serde_json::Value = serde_json::from_str(lines[place]).unwrap();
        format!("record {} of chain {}", line["record"]["number"], line["record"]["writer"].as_str().unwrap())
    };
    for place in first..lines.len() - 1 {
        let gone = altered(&file, |lines| drop(lines.remove(place)));
        let ran = audit(&harness, &["verify", &gone]).await;
        assert!(ran.code == 1 && ran.err.contains(" of chain "), "line {place}: {}", ran.err);
        let changed =
            altered(&file, |lines| lines[place] = lines[place].replacen("\"count\":1", "\"count\":2", 1));
        is_broken(&harness, &[&changed], &name(place)).await;
        let twice = altered(&file, |lines| lines.insert(place, lines[place].clone()));
        is_broken(&harness, &[&twice], &name(place)).await;
        if place > first {
            let swapped = altered(&file, |lines| lines.swap(place - 1, place));
            let ran = audit(&harness, &["verify", &swapped]).await;
            assert!(ran.code == 1 && ran.err.contains(" of chain "), "line {place}: {}", ran.err);
        }
    }
    for (what, why) in
        [(1, "the export has no end"), (2, "the export has no end"), (records + 1, "the export has no end")]
    {
        let cut = altered(&file, |lines| lines.truncate(lines.len() - what));
        is_broken(&harness, &[&cut], why).await;
    }
    let behind = altered(&file, |lines| lines.push(lines[first].clone()));
    is_broken(&harness, &[&behind], "the export has no end").await;
    // An earlier checkpoint in the last one's place ends no export.
    let other_end = altered(&file, |lines| *lines.last_mut().unwrap() = lines[0].clone());
    is_broken(&harness, &[&other_end], "does not follow").await;
    let half = altered(&file, |lines| {
        let line = lines.last_mut().unwrap();
        line.truncate(line.len() / 2);
    });
    is_broken(&harness, &[&half], &format!("line {} is no line of an export", lines.len())).await;
    // Some days alone are as whole as all of them, and other days are none of theirs.
    let day = audit(&harness, &["export", "--since", "2026-01-02", "--until", "2026-01-02"]).await;
    std::fs::write(&file, &day.out).unwrap();
    is_whole(&harness, &[file.to_str().unwrap()]).await;
    let none = audit(&harness, &["export", "--until", "2026-01-01"]).await;
    std::fs::write(&file, &none.out).unwrap();
    let ran = audit(&harness, &["verify", file.to_str().unwrap(), "--json"]).await;
    assert_eq!(ran.out, "{\"records\":0,\"uncovered\":0}\n", "{}", ran.err);
    harness.end().await;
}

#[tokio::test]
async fn old_days_are_dropped_as_a_whole_and_the_rest_is_still_whole() {
    let harness = Harness::with(&[("BTB_AUDIT__RETENTION", "259200")], |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    let days = async |harness: &Harness| {
        harness.hand().reads("SELECT DISTINCT CAST(day AS TEXT) FROM audit ORDER BY 1").await
    };
    for day in 0..6 {
        let name = format!("caller-{day}");
        harness.service(&name, serde_json::json!([])).await;
        harness.broker().sign_checkpoint().await;
        harness.broker().run_housekeeping().await;
        is_whole(&harness, &[]).await;
        harness.clock.advance(std::time::Duration::from_hours(24));
    }
    // Today, and the three days before, of which 2026-01-02 is day 20455.
    assert_eq!(days(&harness).await, ["20457", "20458", "20459", "20460"]);
    let first =
        harness.hand().reads("SELECT CAST(MIN(number) AS TEXT) FROM audit_checkpoints").await.remove(0);
    assert!(first.parse::<i64>().unwrap() > 1, "old checkpoints go with their days");
    // What was not dropped on purpose is missed.
    harness.hand().does("DELETE FROM audit WHERE day = 20457").await;
    is_broken(&harness, &[], "of 2026-01-04 is missing").await;
    harness.end().await;
}

#[tokio::test]
async fn a_customer_reads_who_was_given_what_for_a_month() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    for _ in 0..3 {
        scene.fresh().await.token();
    }
    harness.token(&scene.bystander, "globex").await.token();
    harness.broker().write_counts().await;
    let ran = audit(harness, &["report", "--tenant", "acme", "--month", "2026-01"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.out.split("\r\n").collect();
    assert_eq!(
        lines[0].replace('"', ""),
        "given_to,caller_id,on_behalf_of_as_claimed,acting_as,reach,resource,times,first,last,credential"
    );
    assert_eq!(lines.len(), 3, "{}", ran.out);
    assert!(
        lines[1].starts_with("\"strong\",\"cal_")
            && lines[1].contains(&format!("\"user:{ADA}\",\"everything\",\"\",\"3\",\"2026-01-02T03:04:05")),
        "{}",
        lines[1]
    );
    assert!(!ran.out.contains("bystander"));
    let empty = audit(harness, &["report", "--tenant", "acme", "--month", "2026-02"]).await;
    assert_eq!((empty.code, empty.out.lines().count()), (0, 1), "{}", empty.err);
    assert_eq!(audit(harness, &["report", "--tenant", "nobody", "--month", "2026-01"]).await.code, 1);
    assert_eq!(audit(harness, &["report", "--tenant", "acme", "--month", "2026-13"]).await.code, 2);
    scene.end().await;
}

#[tokio::test]
async fn what_a_hand_puts_beside_the_audit_neither_stops_nor_leads_the_signing() {
    let mut harness = history().await;
    let hand = harness.hand();
    let last = async || hand.reads("SELECT CAST(MAX(number) AS TEXT) FROM audit_checkpoints").await.remove(0);
    let more = async |harness: &Harness| {
        harness.clock.advance(std::time::Duration::from_mins(2));
        harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
        harness.broker().write_counts().await;
        harness.broker().sign_checkpoint().await;
    };
    let before: i64 = last().await.parse().unwrap();
    for number in [before + 1, before + 50, i64::MAX] {
        hand.does(&format!(
            "INSERT INTO audit_checkpoints SELECT {number}, day, content, sign_key, signature
             FROM audit_checkpoints WHERE number = 1"
        ))
        .await;
    }
    hand.does(
        "INSERT INTO audit_chains SELECT 'wri_madeup', day, 7, mac, 0 FROM audit_chains WHERE number > 0 LIMIT 1",
    )
    .await;
    more(&harness).await;
    assert_eq!(last().await, (before + 1).to_string(), "what nobody signed is gone, and the next follows");
    is_whole(&harness, &[]).await;
    // A record where the next one belongs costs its chain, and nobody anything else.
    hand.does(
        "INSERT INTO audit SELECT day, writer, number + 1, at, action, outcome, actor_id, tenant_id, app_id,
         caller_id, on_behalf_of, fingerprint, doc, mac_key, mac FROM audit a
         WHERE number = (SELECT MAX(number) FROM audit b WHERE b.writer = a.writer)",
    )
    .await;
    more(&harness).await;
    let patch = serde_json::json!({ "display_name": "Acme" });
    let tried = harness.patch(&harness.admin, "/v1/tenants/acme", patch.clone()).await.status;
    assert!(tried == 200 || harness.patch(&harness.admin, "/v1/tenants/acme", patch).await.status == 200);
    is_broken(&harness, &[], "is not what the broker wrote there").await;
    // A signature that is none, found at a start, is passed over as well.
    hand.does("DELETE FROM audit WHERE doc IN (SELECT doc FROM audit GROUP BY doc HAVING COUNT(*) > 1)")
        .await;
    let number = last().await;
    harness.stop().await;
    harness
        .hand()
        .does(&format!("UPDATE audit_checkpoints SET content = '{{}}' WHERE number >= {number}"))
        .await;
    harness.start().await;
    harness.clock.advance(std::time::Duration::from_mins(2));
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    harness.broker().write_counts().await;
    harness.broker().sign_checkpoint().await;
    let found = harness.hand().reads("SELECT content FROM audit_checkpoints ORDER BY number").await;
    assert!(found.iter().all(|content| content != "{}"), "{found:?}");
    harness.end().await;
}

#[tokio::test]
async fn days_that_are_dropped_with_all_their_checkpoints_leave_a_whole_audit() {
    let mut harness = history().await;
    harness.stop().await;
    harness.clock.advance(std::time::Duration::from_hours(24 * 5));
    harness.settings.audit.retention = Some(std::time::Duration::from_hours(24));
    harness.start().await;
    harness.broker().run_housekeeping().await;
    is_whole(&harness, &[]).await;
    let first =
        harness.hand().reads("SELECT CAST(MIN(number) AS TEXT) FROM audit_checkpoints").await.remove(0);
    assert!(first.parse::<i64>().unwrap() > 1);
    // What was counted before midnight and is written behind it stands in a chain of today.
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    harness.clock.advance(std::time::Duration::from_hours(48));
    harness.broker().run_housekeeping().await;
    harness.broker().write_counts().await;
    harness.broker().sign_checkpoint().await;
    is_whole(&harness, &[]).await;
    harness.end().await;
}
