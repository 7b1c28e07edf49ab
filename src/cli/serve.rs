//! `serve`: the broker itself.

use std::sync::Arc;

use crate::app::{self, StartError};
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::store::StoreError;

use super::failure::{Exit, Failure};
use super::settings::ConfigArg;
use super::{logging, signal};

/// Run the broker until it is told to stop.
///
/// It needs a key set (`keys generate` makes one) and a database. It creates and migrates SQLite itself;
/// Postgres is migrated by `migrate`. On SIGTERM or Ctrl-C it finishes the open requests and stops.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  With the defaults, SQLite in the current folder:
    box-token-broker keys generate
    (umask 077; box-token-broker callers create --admin --name root > admin.key)
    box-token-broker serve

  In production:
    BTB_DATABASE__URL_FILE=/run/secrets/database-url box-token-broker serve --config settings.toml")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = args.config.load()?;
    logging::begin(&settings.log)?;
    let stop = signal::stop()?;
    let running = app::start(&settings, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?;
    tracing::info!(
        service = %running.service,
        admin = %running.admin,
        browser = %running.browser,
        operations = %running.operations,
        "the broker is up"
    );
    stop.await;
    tracing::info!("the broker stops");
    running.stop().await;
    Ok(())
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Open(error) => error.into(),
            StartError::Store(StoreError::Unavailable(_)) => Self::new(Exit::RetryLater, error.to_string()),
            error => Self::failed(error.to_string()),
        }
    }
}
