//! The `box-token-broker` command: one file per subcommand.

mod audit;
mod broker;
mod callers;
mod config_file;
mod demo;
mod demo_page;
mod failure;
mod guide;
mod keys;
mod lockdown;
mod logging;
mod migrate;
mod openapi;
mod policy;
mod problem;
mod sandbox;
mod serve;
mod settings;
mod signal;
mod tenants;
mod terminal;
mod token;
mod whoami;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Holds the keys of many customers' Box apps and hands out access tokens, full or downscoped.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Results go to standard output, everything else to standard error.

Exit codes:
  0  done
  1  refused or failed
  2  wrong usage or settings
  3  not allowed, or no such thing (401, 403, 404)
  4  try again later (429, 503, or the broker cannot be reached)
  5  Box refuses until somebody fixes it there (424); the message says what

Environment of the commands that call a broker (policy, tenants, token, whoami, lockdown):
  BTB_URL       where it is (http://127.0.0.1:8080)
  BTB_KEY       the API key to call it with
  BTB_KEY_FILE  or a file that holds the key";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Sandbox(sandbox::Args),
    Migrate(migrate::Args),
    Keys(keys::Args),
    Callers(callers::Args),
    Policy(policy::Args),
    Audit(audit::Args),
    Tenants(tenants::Args),
    Token(token::Args),
    Whoami(whoami::Args),
    Lockdown(lockdown::Args),
    Openapi(openapi::Args),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime does not start: {error}")))
        .and_then(|runtime| runtime.block_on(run(cli.command)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::complain(&failure);
            failure.exit().into()
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Keys(args) => keys::run(&args),
        Command::Callers(args) => callers::run(args).await,
        Command::Policy(args) => policy::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Tenants(args) => tenants::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Whoami(args) => whoami::run(args).await,
        Command::Lockdown(args) => lockdown::run(args).await,
        Command::Openapi(openapi::Args {}) => openapi::run(),
    }
}
