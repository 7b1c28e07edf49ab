//! `policy explain`: reports whether a caller would get a token, and why.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::broker::{BrokerArgs, box_id, tenant};
use super::failure::Failure;
use super::terminal::{self, plain};

/// Evaluate grants and policies.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Explain(Explain),
}

/// Explain whether a caller would get a token of a tenant, and why. Nothing is minted.
///
/// Exits with 0 if it would, and with 1 if it would not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  A full token for the service account:
    box-token-broker policy explain invoices acme

  A user's token that can only preview one file:
    box-token-broker policy explain portal acme --user 12345 --scope base_preview,item_preview --file 67890")]
struct Explain {
    /// The caller's name or ID.
    caller: String,
    /// The tenant's name or ID.
    #[arg(value_parser = tenant)]
    tenant: String,
    /// A token for this user of the enterprise, instead of the app's service account.
    #[arg(long, value_name = "ID", value_parser = box_id)]
    user: Option<String>,
    /// A token restricted to these scopes. May be repeated or comma-separated.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// A token restricted to this file.
    #[arg(long, value_name = "ID", value_parser = box_id, requires = "scopes")]
    file: Option<String>,
    /// A token restricted to this folder and everything in it.
    #[arg(long, value_name = "ID", value_parser = box_id, requires = "scopes", conflicts_with = "file")]
    folder: Option<String>,
    /// The `on_behalf_of` of the request.
    #[arg(long, value_name = "TEXT")]
    on_behalf_of: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Deserialize)]
struct Explanation {
    allowed: bool,
    reason: String,
    rule: Option<String>,
    warnings: Vec<Warning>,
}

#[derive(Deserialize)]
struct Warning {
    code: String,
    detail: String,
}

pub(super) async fn run(
    PolicyArgs { command: PolicyCommand::Explain(args) }: PolicyArgs,
) -> Result<(), Failure> {
    let answer = args.broker.connect()?.post(&["v1", "policy", "explain"], &[], &args.body()).await?;
    let Explanation { allowed, reason, rule, warnings } = answer.read()?;
    if args.broker.json {
        terminal::print(answer.body.expose())?;
    } else {
        terminal::print(plain(&format!("{}: {reason}", if allowed { "allowed" } else { "refused" })))?;
        for Warning { code, detail } in warnings {
            terminal::print(plain(&format!("  ! {detail} ({code})")))?;
        }
    }
    match allowed {
        true => Ok(()),
        false => {
            let rule = rule.unwrap_or_default();
            Err(Failure::failed(plain(&format!("{} would get no such token ({rule})", args.caller))))
        }
    }
}

impl Explain {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let thing = |kind: &str, id: &String| json!({ "type": kind, "id": id });
        put("caller", Some(json!(self.caller)));
        put("tenant", Some(json!(self.tenant)));
        put("subject", self.user.as_ref().map(|id| thing("user", id)));
        put("scopes", (!self.scopes.is_empty()).then(|| json!(self.scopes)));
        put("resource", self.file.as_ref().map(|id| thing("file", id)));
        put("resource", self.folder.as_ref().map(|id| thing("folder", id)));
        put("on_behalf_of", self.on_behalf_of.as_ref().map(|text| json!(text)));
        Value::Object(body)
    }
}
