//! One shell script of all the commands of a page, and what has to be around it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use box_sandbox::{AppSpec, generate_app};

use crate::markdown::Block;

/// The config file of a Box app, as pages name it; the sandbox that a `serve` of the page calls knows its app.
const CONFIG: &str = "12345_abc_config.json";

/// What every script begins with.
const PRELUDE: &str = r#"set -eu -o pipefail
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait' EXIT

# start NAME READY COMMAND…: a server that runs until the script ends. It is up once READY is in its output.
start() {
    local name=$1 ready=$2 attempt
    shift 2
    "$@" >"$DOCS_OUTPUT/$name" 2>&1 &
    servers+=($!)
    for attempt in $(seq 1200); do
        if grep -q "$ready" "$DOCS_OUTPUT/$name"; then return; fi
        kill -0 "${servers[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$DOCS_OUTPUT/$name" >&2
    return 1
}

# address NAME PATTERN: the address behind the pattern in a server's output.
address() { sed -n "s|.*$2\([0-9.]*:[0-9]*\).*|\1|p" "$DOCS_OUTPUT/$1" | head -n 1; }

# at_free_ports FILE: the commands in the file, with the ports that the servers have instead of those that pages name.
at_free_ports() {
    sed -e "s/127\.0\.0\.1:8080/${broker:-no broker}/g" -e "s/127\.0\.0\.1:8081/${sandbox:-no sandbox}/g" \
        -e "s/127\.0\.0\.1:9090/${operations:-no broker}/g" "$1" >"$1.run"
    echo "$1.run"
}
"#;

/// How a page's commands went.
pub(crate) struct Ran {
    /// Where outputs are.
    folder: tempfile::TempDir,
    /// True if every command ended as it should.
    pub(crate) succeeded: bool,
    /// What went to standard error, and how far the script came.
    pub(crate) problem: String,
}

impl Ran {
    /// What block `number` printed.
    pub(crate) fn output(&self, number: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("{number}.out"))).unwrap_or_default()
    }

    /// The statuses of the answers that `curl` got in block `number`.
    pub(crate) fn statuses(&self, number: usize) -> Vec<u16> {
        let text =
            fs::read_to_string(self.folder.path().join(format!("{number}.status"))).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// Runs the blocks that are shell commands, in an empty folder; settings files among the blocks are put there first.
pub(crate) fn run(blocks: &[Block]) -> Ran {
    let (folder, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let programs = programs(folder.path());
    let mut script = PRELUDE.to_owned();
    if blocks.iter().any(|block| server(block).is_some_and(|server| server.contains(" serve"))) {
        fs::write(work.path().join(CONFIG), &generate_app(&AppSpec::default()).json).unwrap();
        let ready = "start sandbox http:// box-token-broker sandbox --listen 127.0.0.1:0 --key-json";
        write!(script, "{ready} {CONFIG}\nexport BTB_BOX__API_URL=http://$(address sandbox http://)\n")
            .unwrap();
    }
    for (number, block) in blocks.iter().enumerate() {
        if let (Some(file), "toml") = (&block.title, block.language.as_str()) {
            fs::write(work.path().join(file), at_any_port(&block.text)).unwrap();
        }
        if block.language == "sh" && block.not_run().is_none() {
            fs::write(folder.path().join(format!("{number}.sh")), &block.text).unwrap();
            write!(script, "echo 'line {}' >$DOCS_OUTPUT/reached\n{}", block.line, step(number, block))
                .unwrap();
        }
    }
    script.push_str("echo 'the end' >$DOCS_OUTPUT/reached\n");
    fs::write(folder.path().join("script"), script).unwrap();

    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let output = Command::new("timeout")
        .args(["300", "bash"])
        .arg(folder.path().join("script"))
        .current_dir(work.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", work.path())
        .env("LANG", "C.UTF-8")
        .env("DOCS_OUTPUT", folder.path())
        .env("BTB_HTTP__LISTEN", "127.0.0.1:0")
        .env("BTB_HTTP__OPERATIONS_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let reached = fs::read_to_string(folder.path().join("reached")).unwrap_or_default();
    let problem = format!("{}: {}", reached.trim(), String::from_utf8_lossy(&output.stderr));
    Ran { folder, succeeded: output.status.success(), problem }
}

/// What the script does for a block.
fn step(number: usize, block: &Block) -> String {
    if let Some(server) = server(block) {
        return start(&server);
    }
    let paste = match block.mark.as_deref() {
        Some("paste: the exports of the demo") => "eval \"$(grep '^ *export ' $DOCS_OUTPUT/demo)\"\n",
        _ => "",
    };
    let run = format!(
        "{paste}export DOCS_STATUS=$DOCS_OUTPUT/{number}.status\n\
         source \"$(at_free_ports \"$DOCS_OUTPUT/{number}.sh\")\" >\"$DOCS_OUTPUT/{number}.out\"\n"
    );
    let exit = block.mark.as_deref().and_then(|mark| mark.strip_prefix("expect: exit "));
    match exit {
        Some(exit) => format!("set +e\n{run}code=$?\nset -e\n[ $code -eq {exit} ]\n"),
        None => run,
    }
}

/// The command of a block that is one server and nothing else.
fn server(block: &Block) -> Option<String> {
    let command = block.text.trim().replace("cargo run --release -- ", "box-token-broker ");
    let name = command.strip_prefix("box-token-broker ")?.split_whitespace().next()?;
    let alone = !command.contains('\n') && !command.contains(" --help");
    (alone && ["demo", "serve", "sandbox"].contains(&name) && block.not_run().is_none()).then_some(command)
}

/// Starts a server, and finds out where it listens.
fn start(command: &str) -> String {
    if command.starts_with("box-token-broker demo") {
        return format!(
            "start demo 'Ctrl-C ends the demo' {command} --listen 127.0.0.1:0\n\
             broker=$(address demo 'broker is up at http://')\n\
             sandbox=$(address demo 'for Box at http://')\n"
        );
    }
    if command.starts_with("box-token-broker sandbox") {
        return format!("start sandbox http:// {}\n", at_any_port(command));
    }
    format!(
        "start serve 'the broker is up' {command}\n\
         broker=$(address serve 'service[=\":]*')\n\
         operations=$(address serve 'operations[=\":]*')\n"
    )
}

/// Settings with whatever port is free.
fn at_any_port(settings: &str) -> String {
    let mut parts = settings.split("127.0.0.1:");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str("127.0.0.1:0");
        text.push_str(part.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    text
}

/// A folder with the programs that pages call: the broker that is tested, and a `curl` that notes the status of each
/// answer.
fn programs(folder: &Path) -> PathBuf {
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_box-token-broker"), programs.join("box-token-broker")).unwrap();
    let curl = find("curl");
    let text = format!(
        "#!/bin/sh\nexec {} \"$@\" --write-out '%{{stderr}}%{{http_code}}\\n' 2>>\"$DOCS_STATUS\"\n",
        curl.display()
    );
    let file = programs.join("curl");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    programs
}

/// Where a program is.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.into_iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("{name} is not installed"))
}
