//! `tenants`: what an admin does with customers.

mod diagnosis;
mod list;
mod register;
mod test;

use clap::Subcommand;

use super::failure::Failure;

/// Register customers' Box apps, list them, find out what is wrong with one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Register(register::Args),
    List(list::Args),
    Test(test::Args),
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Register(args) => register::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Test(args) => test::run(args).await,
    }
}

/// `key=value`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
