//! `tenants test`: checks at Box what one tenant needs.

use serde::Deserialize;
use serde_json::json;

use super::diagnosis::{self, CheckLine};
use crate::cli::broker::{BrokerArgs, box_id, tenant};
use crate::cli::failure::{Exit, Failure};
use crate::cli::terminal;

/// Test at Box what a tenant needs, and say what to click if something does not work.
///
/// Exits with 5 if Box gives the tenant no token at all, or none for the given user, and with 1 if the
/// broker cannot open the stored credentials.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker tenants test acme
  box-token-broker tenants test acme --user 12345")]
pub(super) struct TestArgs {
    /// The tenant's name or ID.
    #[arg(value_parser = tenant)]
    tenant: String,
    /// Also try to act as this user.
    #[arg(long, value_name = "ID", value_parser = box_id)]
    user: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Deserialize)]
struct TestResult {
    diagnosis: Vec<CheckLine>,
}

pub(super) async fn run(args: TestArgs) -> Result<(), Failure> {
    let broker = args.broker.connect()?;
    let body = args.user.as_ref().map_or_else(|| json!({}), |user| json!({ "user": user }));
    let answer = broker.post(&["v1", "tenants", &args.tenant, "test"], &[], &body).await?;
    let TestResult { diagnosis } = answer.read()?;
    if args.broker.json {
        terminal::print(answer.body.expose())?;
    } else {
        terminal::print(format_args!("{}:", args.tenant))?;
        diagnosis::print(&diagnosis)?;
    }
    let deciding = ["key", "assertion", "service_account"];
    let asked = args.user.as_ref().map(|_| "user_token");
    let fails = |check: &&str| diagnosis.iter().any(|one| one.failed(check));
    match deciding.iter().copied().chain(asked).find(fails) {
        None => Ok(()),
        Some(check) => Err(Failure::new(
            // The key is the broker's own to open; Box was not asked.
            if check == "key" { Exit::Failed } else { Exit::BoxRefuses },
            format!("{} does not work: see the fix for the check {check}", args.tenant),
        )),
    }
}
