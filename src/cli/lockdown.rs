//! `lockdown`: locks a tenant, a shared app or a caller in an incident.

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::json;

use super::broker::{BrokerArgs, tenant};
use super::failure::Failure;
use super::terminal;

/// Lock a tenant, a shared app or a caller in an incident: no token is released any more, and every live
/// one is revoked at Box.
///
/// Exits with 0 once the lock is in force, even if some tokens still wait for Box. Locking again revokes
/// what is still alive. docs/guides/incidents.md says what to do next. A PATCH with `"state": "active"`
/// lifts the lock.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker lockdown tenant acme
  box-token-broker lockdown app portal
  box-token-broker lockdown caller invoices")]
pub(super) struct LockdownArgs {
    /// The kind of object to lock.
    #[arg(value_enum)]
    what: LockdownTarget,
    /// Its name or ID.
    name: String,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LockdownTarget {
    Tenant,
    App,
    Caller,
}

impl LockdownTarget {
    /// Returns the path segment of this kind of object.
    fn segment(self) -> &'static str {
        match self {
            Self::Tenant => "tenants",
            Self::App => "apps",
            Self::Caller => "callers",
        }
    }

    fn check(self, name: &str) -> Result<(), Failure> {
        use crate::domain::id::{AppId, CallerId, Name};
        let is_name = || Name::parse(name).map(drop).map_err(|problem| problem.to_string());
        let checked = match self {
            Self::Tenant => tenant(name).map(drop),
            Self::App => AppId::parse(name).map(drop).or_else(|_| is_name()),
            Self::Caller => CallerId::parse(name).map(drop).or_else(|_| is_name()),
        };
        checked.map_err(|problem| Failure::usage(format!("{name}: {problem}")))
    }
}

#[derive(Deserialize)]
struct LockdownAnswer {
    tokens: u64,
    revoked: u64,
    queued: u64,
    sessions: u64,
}

pub(super) async fn run(args: LockdownArgs) -> Result<(), Failure> {
    args.what.check(&args.name)?;
    let path = ["v1", args.what.segment(), &args.name, "lockdown"];
    let answer = args.broker.connect()?.post(&path, &[], &json!({})).await?;
    if args.broker.json {
        return terminal::print(answer.body.expose());
    }
    let LockdownAnswer { tokens, revoked, queued, sessions } = answer.read()?;
    terminal::print(format_args!(
        "{} is locked: {tokens} live tokens, {revoked} dead at Box, {queued} waiting for Box, {sessions} sessions ended",
        args.name
    ))?;
    if queued > 0 {
        terminal::remark(
            "the broker goes on revoking by itself; until then whoever has such a token can use it",
        );
    }
    Ok(())
}
