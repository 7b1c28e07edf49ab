//! `callers create`: the first caller, made on the database itself.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::config::Settings;
use crate::crypto::{Vault, file};
use crate::domain::id::Name;
use crate::entropy::SystemEntropy;
use crate::registry::callers::{NewKey, create_admin};
use crate::store::{self, Conflict, Opening, StoreError};

use super::failure::{Exit, Failure};
use super::settings::ConfigArg;
use super::terminal;

/// Make callers on the database itself.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(Create),
}

/// Make an admin that may do everything, and print its API key.
///
/// For the first admin, or the one who lost the key: it needs the database and the key set, and no
/// running broker; one that runs knows the new admin within 2 s. Every other caller is made over
/// HTTP by `POST /v1/callers`. The key alone goes to standard output, and is shown this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker callers create --admin --name root > admin.key
  BTB_KEY=$(box-token-broker callers create --admin --name root) box-token-broker whoami")]
struct Create {
    #[command(flatten)]
    config: ConfigArg,
    /// An admin with every permission on every tenant; the only kind that is made here.
    #[arg(long, required = true)]
    admin: bool,
    /// The admin's name: lower-case letters, digits and single hyphens.
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Name,
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|problem| problem.to_string())
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let Command::Create(Create { config, admin: _, name }) = args.command;
    let made = create(&config.load()?, name).await?;
    terminal::print(made.key.expose())?;
    terminal::remark(format_args!("key {} opens everything: keep it where secrets are kept", made.id));
    Ok(())
}

/// Makes an admin on the database that the settings name.
pub(super) async fn create(settings: &Settings, name: Name) -> Result<NewKey, Failure> {
    let keys = file::read(&settings.keys.file).map_err(|error| Failure::failed(error.to_string()))?;
    let entropy = Arc::new(SystemEntropy);
    let vault = Vault::local(&keys, entropy).map_err(|error| Failure::failed(error.to_string()))?;
    let vault = Arc::new(vault);
    let store = store::open(&settings.database, Arc::clone(&vault), Opening::BesideServe).await?;
    let made = create_admin(&store, &vault, &SystemClock::new(), &SystemEntropy, name.clone()).await;
    made.map_err(|error| match error {
        StoreError::Conflict(Conflict::Name) => {
            Failure::failed(format!("there is a caller `{name}` already: choose another name"))
        }
        StoreError::Unavailable(_) => Failure::new(Exit::RetryLater, error.to_string()),
        error => Failure::failed(error.to_string()),
    })
}
