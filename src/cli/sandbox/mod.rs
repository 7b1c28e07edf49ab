//! The commands `demo` and `sandbox`, which only a build with the cargo feature `sandbox` has.
//!
//! This module owns everything around the stand-in for Box and the demo's page. It must not be used by other commands.

mod demo;
mod server;

use super::failure::Failure;

// No doc comment here: clap would take it for the description of the whole program.
#[derive(Debug, clap::Subcommand)]
pub(super) enum SandboxCommand {
    #[command(display_order = 0)]
    Demo(demo::DemoArgs),
    #[command(display_order = 2)]
    Sandbox(server::SandboxArgs),
}

/// Runs one of the commands.
pub(super) async fn run(command: SandboxCommand) -> Result<(), Failure> {
    match command {
        SandboxCommand::Demo(args) => demo::run(args).await,
        SandboxCommand::Sandbox(args) => server::run(args).await,
    }
}
