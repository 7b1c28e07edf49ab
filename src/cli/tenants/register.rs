//! `tenants register`: registers a customer from their config file or with a shared app.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::diagnosis::{self, CheckLine};
use super::label;
use crate::cli::broker::{BrokerArgs, box_id, tenant};
use crate::cli::config_file;
use crate::cli::failure::Failure;
use crate::cli::terminal::{self, plain};

/// Register a customer, from the config JSON that their admin downloaded from Box, or on a shared app.
///
/// The broker mints a token with it before it stores anything. The same file again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  The file as downloaded from Box's developer console:
    box-token-broker tenants register 12345_abc_config.json --tenant acme --display-name 'Acme Ltd'

  Only check whether it would work:
    box-token-broker tenants register 12345_abc_config.json --dry-run

  A file from a vault, never on this disk:
    vault read -field=config secret/acme | box-token-broker tenants register - --tenant acme

  A customer whose admin has not authorised the app yet:
    box-token-broker tenants register 12345_abc_config.json --tenant acme --verify-later

  A customer who authorised your own app, registered as `portal`:
    box-token-broker tenants register --tenant acme --app portal --enterprise-id 12345")]
pub(super) struct RegisterArgs {
    /// The config file. `-` reads it from standard input.
    #[arg(required_unless_present = "app")]
    file: Option<PathBuf>,
    /// The tenant's name. Default: `enterprise-` and the enterprise ID.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<String>,
    /// The name shown to people.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// A label, by which lists and grants can select tenants. May be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Authentication method of the app at Box. Not given: `jwt`.
    #[arg(long, value_parser = ["jwt", "ccg"], conflicts_with = "app")]
    auth: Option<String>,
    /// A shared app, instead of a file.
    #[arg(long, conflicts_with = "file", requires = "enterprise_id")]
    app: Option<String>,
    /// The customer's enterprise, with a shared app.
    #[arg(long, value_name = "ID", value_parser = box_id, requires = "app")]
    enterprise_id: Option<String>,
    /// Store nothing, only report whether it would work.
    #[arg(long)]
    dry_run: bool,
    /// Store it untested, for example because the customer's admin has not authorised the app yet. It
    /// becomes active once Box issues a token.
    #[arg(long)]
    verify_later: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Deserialize)]
struct RegisteredTenant {
    id: Option<String>,
    tenant: String,
    enterprise_id: String,
    state: Option<String>,
    service_account: Option<ServiceAccount>,
    #[serde(default)]
    diagnosis: Vec<CheckLine>,
    #[serde(default)]
    warnings: Vec<RegistrationWarning>,
}

#[derive(Deserialize)]
struct RegistrationWarning {
    pointer: String,
    detail: String,
}

#[derive(Deserialize)]
struct ServiceAccount {
    login: String,
    name: String,
}

pub(super) async fn run(args: RegisterArgs) -> Result<(), Failure> {
    let broker = args.broker.connect()?;
    let body = args.body()?;
    if args.broker.is_in_the_clear() {
        terminal::remark("warning: BTB_URL is plain http: the config's secrets can be read on their way");
    }
    let mut query = Vec::new();
    query.extend(args.dry_run.then(|| ("dry_run", "true".to_owned())));
    query.extend(args.verify_later.then(|| ("verify", "later".to_owned())));
    let answer = broker.post(&["v1", "tenants"], &query, &body).await?;
    if args.broker.json {
        return terminal::print(answer.body.expose());
    }
    let told: RegisteredTenant = answer.read()?;
    let what = match (args.dry_run, answer.status) {
        (true, _) => "dry run, nothing was stored:",
        (false, StatusCode::CREATED) if told.state.as_deref() == Some("pending") => {
            "registered, to come into service once Box gives a token:"
        }
        (false, StatusCode::CREATED) => "registered",
        (false, _) => "already registered, nothing changed:",
    };
    let id = told.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    terminal::print(plain(&format!("{what} {}{id}, enterprise {}", told.tenant, told.enterprise_id)))?;
    if let Some(account) = &told.service_account {
        terminal::print(plain(&format!(
            "service account {} ({}): invite this as collaborator to the folders it shall reach",
            account.login, account.name
        )))?;
    }
    diagnosis::print(&told.diagnosis)?;
    for RegistrationWarning { pointer, detail } in &told.warnings {
        terminal::remark(plain(&format!("warning: {pointer} {detail}")));
    }
    Ok(())
}

impl RegisterArgs {
    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let config = self.file.as_deref().map(config_file::read).transpose()?;
        let enterprise = self.enterprise_id.clone().or_else(|| enterprise_in(config.as_ref()?));
        let name = match (&self.tenant, &enterprise) {
            (Some(name), _) => name.clone(),
            (None, Some(enterprise)) => format!("enterprise-{enterprise}"),
            (None, None) => {
                return Err(Failure::usage(
                    "the file names no enterprise: give the tenant a name with --tenant",
                ));
            }
        };
        put("tenant", Some(name.into()));
        put("display_name", self.display_name.clone().map(Value::from));
        let labels = || self.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.clone())));
        put("labels", (!self.labels.is_empty()).then(|| Value::Object(labels().collect())));
        put("auth", self.auth.clone().map(Value::from));
        put("app", self.app.clone().map(Value::from));
        put("enterprise_id", self.enterprise_id.clone().map(Value::from));
        put("config", config);
        Ok(Value::Object(body))
    }
}

/// Returns the enterprise that a config names, written as text or number.
fn enterprise_in(config: &Value) -> Option<String> {
    match config.get("enterpriseID")? {
        Value::String(text) => box_id(text).ok(),
        Value::Number(number) => box_id(&number.to_string()).ok(),
        _ => None,
    }
}
