//! The `box-token-broker` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    box_token_broker::cli::main()
}
