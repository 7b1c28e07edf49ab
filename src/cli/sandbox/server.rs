//! `sandbox`: a stand-in for Box on a developer's machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use box_sandbox::{Sandbox, World};

use crate::cli::failure::Failure;
use crate::cli::{signal, terminal};
use crate::clock::{Clock as _, SystemClock};

/// Run a stand-in for Box, to develop and test against.
///
/// It knows the apps of the given config files, each in an enterprise of its own with a few users,
/// folders and files. It is as strict as Box about how tokens are requested and what they may do. It
/// keeps secrets in the clear and its control routes are open to everybody: not for production. Uploads
/// are gone when it ends. Prints its URL and runs until it is interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  A sandbox with one app, and a broker that uses it as Box:
    box-token-broker sandbox --key-json 12345_abc_config.json
    BTB_BOX__API_URL=http://127.0.0.1:8081 box-token-broker serve

  See what it contains, and which calls it received:
    curl http://127.0.0.1:8081/sandbox
    curl http://127.0.0.1:8081/sandbox/journal

  Make the next two calls fail as Box does when it is overloaded:
    curl http://127.0.0.1:8081/sandbox/faults -H 'Content-Type: application/json' \\
      -d '{\"select\": {}, \"effect\": {\"status\": 429, \"retry_after\": 2}, \"times\": 2}'

  End every token before its time, and count the calls answered with 401 since:
    curl -X DELETE http://127.0.0.1:8081/sandbox/tokens
    curl 'http://127.0.0.1:8081/sandbox/journal/count?path=*&status=401'

  Allow the pages of an origin:
    curl -X PATCH http://127.0.0.1:8081/sandbox/apps/CLIENT_ID -H 'Content-Type: application/json' \\
      -d '{\"origins\": [\"http://localhost:3000\"]}'")]
pub(in crate::cli) struct SandboxArgs {
    /// Address and port to listen on. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Config file of an app, as downloaded from Box's developer console. May be repeated.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    key_json: Vec<PathBuf>,
}

/// Runs the sandbox until it is interrupted.
pub(super) async fn run(args: SandboxArgs) -> Result<(), Failure> {
    let texts = args.key_json.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut world = World::from_app_configs(texts).map_err(Failure::failed)?;
    world.add_demo_folders();
    if !args.listen.ip().is_loopback() {
        terminal::remark(
            "warning: everybody who can reach this address can read and change everything in the sandbox",
        );
    }
    let stop = signal::stop()?;
    let clock = SystemClock::new();
    let sandbox = Sandbox::start(world, args.listen, move || clock.wall())
        .await
        .map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", args.listen)))?;
    terminal::print(sandbox.url())?;
    terminal::remark(format_args!(
        "the sandbox is up: start a broker with BTB_BOX__API_URL={url}, or see what it contains at {url}/sandbox",
        url = sandbox.url()
    ));
    stop.await;
    sandbox.stop().await;
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", path.display())))
}
