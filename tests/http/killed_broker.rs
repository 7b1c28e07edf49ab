//! The real binary, ended by `SIGKILL` at each step of what changes a tenant: what stands after it, and
//! that the same call again finishes what was begun.
//!
//! A step is where Box, or a trigger in the database, holds the process up.

use std::process::Stdio;

use box_token_broker::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::database::Hand;
use crate::harness::Harness;
use crate::token_requests::eventually;

/// What holds the process up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Box does not answer calls of this grant,
    Grant(&'static str),
    /// or on this path.
    Path(&'static str),
    /// The database does not get done with this: `INSERT ON tokens`, say.
    Row(&'static str),
}

/// By what is seen that the process has come that far.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reached {
    /// Box saw a call that fits.
    Call(&'static str),
    /// So many rows are there.
    Rows(&'static str, usize),
}

/// Where a process ends, and whether what it was doing counts.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) stop: Stop,
    pub(crate) reached: Reached,
    pub(crate) counts: bool,
}

pub(crate) const fn step(name: &'static str, stop: Stop, reached: Reached, counts: bool) -> Step {
    Step { name, stop, reached, counts }
}

/// A broker of its own, as a process.
struct Victim {
    child: Child,
    service: String,
}

impl Victim {
    async fn begin(harness: &Harness) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_box-token-broker"));
        command.arg("serve").env_clear().envs(harness.env().iter().map(|(name, value)| (name, value)));
        command.env("BTB_LOG__FORMAT", "json").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let up = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                if told["message"] == "the broker is up" {
                    return told["service"].as_str().unwrap().to_owned();
                }
                seen.push_str(&line);
            }
            panic!("it did not start: {seen}");
        };
        let up = tokio::time::timeout(std::time::Duration::from_secs(30), up).await;
        let service = up.expect("a broker that starts");
        // Nobody holds it up by not reading.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, service }
    }
}

/// A broker, and Box, with the machine's time: a process has no other.
pub(crate) async fn today() -> Harness {
    let harness = Harness::new().await;
    catch_up(&harness);
    harness
}

fn catch_up(harness: &Harness) {
    let behind = SystemClock::new().wall().duration_since(harness.clock.wall());
    harness.clock.advance(behind.unsigned_abs());
}

/// Has a process of its own begin a call, and ends it at that step. Then the harness's own broker is
/// up again, with nothing in its way.
pub(crate) async fn crash(
    harness: &mut Harness,
    step: &Step,
    method: &str,
    path: &str,
    body: Option<&Value>,
) {
    harness.stop().await;
    catch_up(harness);
    harness.control("DELETE", "/journal", None).await;
    let mut victim = Victim::begin(harness).await;
    hold_up(harness, step.stop).await;
    let url = format!("http://{}{path}", victim.service);
    let request = harness.http.request(method.parse().unwrap(), url).bearer_auth(&harness.admin);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let call = tokio::spawn(request.send());
    eventually(step.name, async || match step.reached {
        Reached::Call(query) => harness.count(query).await > 0,
        Reached::Rows(sql, rows) => harness.hand().reads(sql).await.len() >= rows,
    })
    .await;
    victim.child.kill().await.unwrap();
    assert!(call.await.unwrap().is_err(), "{}: it answered before it ended", step.name);
    let_go(harness, step.stop).await;
    catch_up(harness);
    harness.start().await;
}

async fn hold_up(harness: &Harness, stop: Stop) {
    let hang = |select: Value| json!({ "select": select, "effect": { "hang": true } });
    let event = match stop {
        Stop::Grant(grant) => return drop(harness.fault(hang(json!({ "grant": grant }))).await),
        Stop::Path(path) => return drop(harness.fault(hang(json!({ "path": path }))).await),
        Stop::Row(event) => event,
    };
    let statements = match harness.hand() {
        Hand::Sqlite(_) => [
            "CREATE VIEW forever AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT COUNT(*) AS i FROM n"
                .to_owned(),
            format!("CREATE TRIGGER stop BEFORE {event} BEGIN SELECT i FROM forever; END"),
        ],
        Hand::Postgres(_) => [
            "CREATE FUNCTION forever() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
                .to_owned(),
            format!("CREATE TRIGGER stop BEFORE {event} FOR EACH ROW EXECUTE FUNCTION forever()"),
        ],
    };
    for statement in statements {
        harness.hand().does(&statement).await;
    }
}

async fn let_go(harness: &Harness, stop: Stop) {
    harness.heal().await;
    let Stop::Row(event) = stop else { return };
    let statements = match harness.hand() {
        Hand::Sqlite(_) => ["DROP TRIGGER stop".to_owned(), "DROP VIEW forever".to_owned()],
        Hand::Postgres(_) => {
            // A server does not see at once that its client is gone.
            let end = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
            harness.hand().reads(end).await;
            let table = event.rsplit(' ').next().unwrap();
            [format!("DROP TRIGGER stop ON {table}"), "DROP FUNCTION forever()".to_owned()]
        }
    };
    for statement in statements {
        harness.hand().does(&statement).await;
    }
}
