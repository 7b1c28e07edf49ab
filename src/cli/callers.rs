//! `callers`: creates the first admin, with access to the database and the key set.

use clap::Subcommand;
use serde_json::json;

use crate::clock::SystemClock;
use crate::config::Settings;
use crate::domain::id::Name;
use crate::entropy::SystemEntropy;
use crate::registry::callers::api_keys::{CreatedApiKey, create_admin};
use crate::store::{Conflict, StoreError};

use super::database;
use super::failure::Failure;
use super::settings::ConfigArg;
use super::terminal;

/// Create the first caller; it creates the others over HTTP.
#[derive(Debug, clap::Args)]
pub(super) struct CallersArgs {
    #[command(subcommand)]
    command: CallersCommand,
}

#[derive(Debug, Subcommand)]
enum CallersCommand {
    Create(Create),
}

/// Create an admin with every permission, and print its API key and nothing else. It is shown once.
///
/// Works on the database itself, also beside a running `serve`, which knows the caller within two
/// seconds. It needs no API key: whoever can read the database's URL and the key set is trusted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Keep the key in the environment of this shell:
    export BTB_KEY=$(box-token-broker callers create --admin --name ann)
    box-token-broker whoami

  Keep it in a file that nobody else can read:
    (umask 077; box-token-broker callers create --admin --name ann > ann.key)

  As that admin, create a caller with fewer rights:
    curl $BTB_URL/v1/callers -H \"Authorization: Bearer $BTB_KEY\" -H 'Content-Type: application/json' \\
      -d '{\"name\": \"portal\", \"kind\": \"service\",
           \"grants\": [{\"tenant\": \"acme\", \"permissions\": [\"tokens:mint\"]}]}'")]
struct Create {
    /// The caller is an admin with every permission on every tenant: the only kind created here.
    #[arg(long, required = true)]
    admin: bool,
    /// The caller's name: lower-case letters, digits and single hyphens.
    #[arg(long, value_parser = name)]
    name: Name,
    /// Print JSON: the key and its ID.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|problem| problem.to_string())
}

pub(super) async fn run(args: CallersArgs) -> Result<(), Failure> {
    let CallersCommand::Create(args) = args.command;
    let new = create(&args.config.load()?, args.name.clone()).await?;
    if args.json {
        return terminal::print(json!({ "id": new.id, "key": new.key.expose() }));
    }
    terminal::print(new.key.expose())?;
    terminal::remark(format_args!("made the admin {}: keep its key, it is not shown again", args.name));
    Ok(())
}

/// Creates an admin in the database that the settings name.
pub(super) async fn create(settings: &Settings, name: Name) -> Result<CreatedApiKey, Failure> {
    let (vault, store) = database::open(settings).await?;
    create_admin(&store, &vault, &SystemClock::new(), &SystemEntropy, name.clone()).await.map_err(|error| {
        match error {
            StoreError::Conflict(Conflict::Name) => Failure::failed(format!(
                "there is a caller {name} already: choose another name, or have an admin make a key for \
                 it (POST /v1/callers/{name}/keys)"
            )),
            error => error.into(),
        }
    })
}
