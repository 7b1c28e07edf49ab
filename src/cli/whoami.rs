//! `whoami`: whose key this is, and what it may do.

use serde::Deserialize;
use serde_json::Value;

use super::broker::BrokerArgs;
use super::failure::Failure;
use super::terminal::{self, plain};

/// Show whose key this is and what it may do.
#[derive(Debug, clap::Args)]
pub(super) struct WhoamiArgs {
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Deserialize)]
struct Caller {
    id: String,
    name: String,
    kind: String,
    grants: Vec<Grant>,
    credential: Option<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    #[serde(rename = "type")]
    kind: String,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Grant {
    tenant: Option<String>,
    labels: Option<Value>,
    permissions: Vec<String>,
    subjects: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    resources: Option<Value>,
}

pub(super) async fn run(args: WhoamiArgs) -> Result<(), Failure> {
    let answer = args.broker.connect()?.get(&["v1", "whoami"], &[]).await?;
    if args.broker.json {
        return terminal::print(answer.body.expose());
    }
    let caller: Caller = answer.read()?;
    let end = caller.credential.map_or_else(String::new, |credential| credential.line());
    terminal::print(plain(&format!("{} ({}, {}{end})", caller.name, caller.kind, caller.id)))?;
    caller.grants.iter().try_for_each(|grant| terminal::print(plain(&grant.line())))
}

impl Credential {
    fn line(&self) -> String {
        let what = if self.kind == "jwt" { "token" } else { "key" };
        self.expires_at.as_ref().map_or_else(String::new, |end| format!(", {what} until {end}"))
    }
}

impl Grant {
    fn line(&self) -> String {
        let tenants = match (&self.tenant, &self.labels) {
            (Some(name), _) if name == "*" => "every tenant".to_owned(),
            (Some(name), _) => name.clone(),
            (None, Some(labels)) => format!("tenants with the labels {labels}"),
            (None, None) => "no tenant".to_owned(),
        };
        let mut line = format!("  on {tenants}: {}", self.permissions.join(", "));
        let listed = [("for", &self.subjects), ("within the scopes", &self.scopes)];
        for (word, names) in listed {
            if let Some(names) = names {
                line.push_str(&format!("; {word} {}", names.join(", ")));
            }
        }
        if let Some(resources) = self.resources.as_ref().filter(|resources| !resources.is_null()) {
            line.push_str(&format!("; on {resources}"));
        }
        line
    }
}
