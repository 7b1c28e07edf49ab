//! `tenants list`: lists the tenants that the key may see.

use serde::Deserialize;
use serde_json::{Value, json};

use super::label;
use crate::cli::broker::BrokerArgs;
use crate::cli::failure::Failure;
use crate::cli::terminal::{self, plain};

/// List the tenants that the key may see.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker tenants list
  box-token-broker tenants list --state suspended
  box-token-broker tenants list --label team=sales --json")]
pub(super) struct ListArgs {
    /// Only tenants with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Option<(String, String)>,
    /// Only tenants in this state.
    #[arg(long, value_parser = ["pending", "active", "suspended", "locked", "deleted"])]
    state: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Deserialize)]
struct TenantPage {
    items: Vec<Value>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct TenantRow {
    tenant: String,
    state: String,
    enterprise_id: String,
    display_name: Option<String>,
    service_account: Option<ServiceAccount>,
}

#[derive(Deserialize)]
struct ServiceAccount {
    login: String,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let broker = args.broker.connect()?;
    let mut query = vec![("limit", "200".to_owned())];
    query.extend(args.label.as_ref().map(|(key, value)| ("label", format!("{key}:{value}"))));
    query.extend(args.state.clone().map(|state| ("state", state)));
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let mut query = query.clone();
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: TenantPage = broker.get(&["v1", "tenants"], &query).await?.read()?;
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if args.broker.json {
        return terminal::print(json!({ "items": items }));
    }
    if items.is_empty() {
        terminal::remark("no tenants");
    }
    items.into_iter().try_for_each(print)
}

fn print(item: Value) -> Result<(), Failure> {
    let tenant: TenantRow = serde_json::from_value(item).map_err(|error| {
        Failure::failed(format!("the answer is not what this version of the command expects: {error}"))
    })?;
    let login = tenant.service_account.map_or_else(|| "-".to_owned(), |account| account.login);
    terminal::print(plain(&format!(
        "{:<24} {:<10} {:<12} {login}  {}",
        tenant.tenant,
        tenant.state,
        tenant.enterprise_id,
        tenant.display_name.unwrap_or_default()
    )))
}
