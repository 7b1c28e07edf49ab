//! `tenants`: registers, lists and tests customers.

mod diagnosis;
mod list;
mod register;
mod test;

use clap::Subcommand;

use super::failure::Failure;

/// Register customers' Box apps, list them, and diagnose problems.
#[derive(Debug, clap::Args)]
pub(super) struct TenantsArgs {
    #[command(subcommand)]
    command: TenantsCommand,
}

#[derive(Debug, Subcommand)]
enum TenantsCommand {
    Register(register::RegisterArgs),
    List(list::ListArgs),
    Test(test::TestArgs),
}

pub(super) async fn run(args: TenantsArgs) -> Result<(), Failure> {
    match args.command {
        TenantsCommand::Register(args) => register::run(args).await,
        TenantsCommand::List(args) => list::run(args).await,
        TenantsCommand::Test(args) => test::run(args).await,
    }
}

/// Parses `key=value`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
