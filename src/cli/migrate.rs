//! `migrate`: updates the database's schema to this version of the program.

use serde_json::json;

use crate::store;

use super::failure::Failure;
use super::settings::ConfigArg;
use super::terminal;

/// Migrate the database's schema to the version that this program needs.
///
/// On SQLite `serve` does this itself. On Postgres it is left to this command, so that one process does
/// it, at a time of your choosing. Running it again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  BTB_DATABASE__URL=postgres://broker:secret@db.example.com/broker box-token-broker migrate
  box-token-broker migrate --config /etc/box-token-broker/settings.toml")]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: MigrateArgs) -> Result<(), Failure> {
    let settings = args.config.load()?;
    let done = store::migrate(&settings.database).await?;
    if args.json {
        return terminal::print(json!({ "from": done.from, "to": done.to }));
    }
    terminal::print(match (done.from, done.to) {
        (from, to) if from == to => format!("the schema is at version {to} already"),
        (0, to) => format!("the schema was made, at version {to}"),
        (from, to) => format!("the schema went from version {from} to {to}"),
    })
}
