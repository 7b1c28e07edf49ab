//! The `box-token-broker` command: one file per subcommand.

mod audit;
mod broker;
mod callers;
mod config_file;
mod database;
mod failure;
mod keys;
mod lockdown;
mod logging;
mod migrate;
mod openapi;
mod policy;
mod problem;
#[cfg(feature = "sandbox")]
mod sandbox;
mod serve;
mod settings;
mod signal;
mod tenants;
mod terminal;
mod token;
mod whoami;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::Failure;

/// Holds the keys of many customers' Box apps and hands out access tokens, full or downscoped.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP, next_display_order = 2)]
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
  3  not allowed, or not found (401, 403, 404)
  4  try again later (429, 503, or the broker cannot be reached)
  5  Box refuses until somebody fixes it there (424); the message says what

Environment of the commands that call a broker (policy, tenants, token, whoami, lockdown):
  BTB_URL       the broker's URL (http://127.0.0.1:8080)
  BTB_KEY       the API key
  BTB_KEY_FILE  or a file that contains the key";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(display_order = 1)]
    Serve(serve::ServeArgs),
    Migrate(migrate::MigrateArgs),
    Keys(keys::KeysArgs),
    Callers(callers::CallersArgs),
    Policy(policy::PolicyArgs),
    Audit(audit::AuditArgs),
    Tenants(tenants::TenantsArgs),
    Token(token::TokenArgs),
    Whoami(whoami::WhoamiArgs),
    Lockdown(lockdown::LockdownArgs),
    Openapi(openapi::OpenApiArgs),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if cfg!(feature = "sandbox") => error.exit(),
        Err(error) => name_the_missing_feature(error).exit(),
    };
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime does not start: {error}")))
        .and_then(|runtime| runtime.block_on(run(&matches)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::print_failure(&failure);
            failure.exit().into()
        }
    }
}

/// Returns the definition of the command line, with the commands of the feature `sandbox` if this
/// build has it.
fn command_line() -> clap::Command {
    let command = Cli::command();
    #[cfg(feature = "sandbox")]
    let command = sandbox::SandboxCommand::augment_subcommands(command);
    command
}

/// Adds a tip to the error about a command that only the feature `sandbox` brings.
fn name_the_missing_feature(mut error: clap::Error) -> clap::Error {
    let unknown = error.get(ContextKind::InvalidSubcommand);
    if let Some(ContextValue::String(command)) = unknown
        && matches!(command.as_str(), "demo" | "sandbox")
    {
        let tip = format!("this build has no `{command}`: build it with the cargo feature `sandbox`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    #[cfg(feature = "sandbox")]
    if let Ok(command) = sandbox::SandboxCommand::from_arg_matches(matches) {
        return sandbox::run(command).await;
    }
    let Cli { command } = Cli::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Keys(args) => keys::run(&args),
        Command::Callers(args) => callers::run(args).await,
        Command::Policy(args) => policy::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Tenants(args) => tenants::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Whoami(args) => whoami::run(args).await,
        Command::Lockdown(args) => lockdown::run(args).await,
        Command::Openapi(openapi::OpenApiArgs {}) => openapi::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &clap::Command) -> Vec<&str> {
        command.get_subcommands().map(clap::Command::get_name).collect()
    }

    #[test]
    fn the_production_command_line_lacks_the_sandboxs_commands_and_says_which_feature_has_them() {
        let production = Cli::command();
        assert!(names(&production).contains(&"serve"));
        for command in ["demo", "sandbox"] {
            assert!(!names(&production).contains(&command), "{command}");
            let error = production.clone().try_get_matches_from(["box-token-broker", command]).unwrap_err();
            let error = name_the_missing_feature(error);
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains("unrecognized subcommand") && text.contains("feature `sandbox`"), "{text}");
        }
        let typo = production.try_get_matches_from(["box-token-broker", "demos"]).unwrap_err();
        assert!(!name_the_missing_feature(typo).to_string().contains("feature"));
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn the_feature_sandbox_adds_two_commands_and_nothing_else() {
        let (all, production) = (command_line(), Cli::command());
        let added: Vec<_> =
            names(&all).into_iter().filter(|name| !names(&production).contains(name)).collect();
        assert_eq!(added, ["demo", "sandbox"]);
        let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
        assert_eq!(about(&all), about(&production));
    }
}
