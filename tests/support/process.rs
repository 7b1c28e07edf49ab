//! The real binary: `serve` on free ports, and commands beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_token_broker::config::DatabaseUrl;
use box_token_broker::crypto::{KeySet, key_file};
use box_token_broker::entropy::SystemEntropy;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::database::{Database, postgres_url};

/// How long a process may take to come up, to say something, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a broker lives on: a key set, and a database of the engine that is to be tested.
pub(crate) struct Place {
    folder: TempDir,
    postgres: Option<Database>,
    env: Vec<(String, String)>,
}

impl Place {
    /// A place for brokers that take this URL for Box; with these settings beside the usual ones, as
    /// environment variables.
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    pub(crate) async fn new(box_url: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = match std::env::var("BTB_TEST_ENGINE").as_deref() {
            Err(_) | Ok("sqlite") => None,
            Ok("postgres") => Some(Database::postgres().await),
            Ok(other) => panic!("BTB_TEST_ENGINE is sqlite or postgres, and not {other}"),
        };
        let mut place = Self { folder, postgres, env: Vec::new() };
        key_file::write_new(&place.key_file(), &KeySet::generate(&SystemEntropy)).unwrap();
        let database = match place.postgres.as_ref().map(|database| &database.url) {
            None => format!("sqlite:{}", place.data().join("broker.db").display()),
            Some(url @ DatabaseUrl::Postgres(_)) => postgres_url(url).to_owned(),
            Some(DatabaseUrl::Sqlite(_)) => unreachable!("this database was made on Postgres"),
        };
        std::fs::create_dir(place.data()).unwrap();
        let keys = place.key_file().display().to_string();
        let usual = [
            ("BTB_HTTP__LISTEN", "127.0.0.1:0"),
            ("BTB_HTTP__OPERATIONS_LISTEN", "127.0.0.1:0"),
            ("BTB_LOG__FORMAT", "json"),
            ("BTB_DATABASE__URL", &database),
            ("BTB_KEYS__FILE", &keys),
            ("BTB_BOX__API_URL", box_url),
        ];
        place.env = usual.iter().chain(more).map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        place
    }

    /// The file of the key set.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    /// The folder with SQLite's files and nothing else; empty where the database is on Postgres.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The database, where it is on Postgres.
    pub(crate) fn postgres(&self) -> Option<&Database> {
        self.postgres.as_ref()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).kill_on_drop(true).output();
        timeout(PATIENCE, output).await.expect("a command that ends").unwrap()
    }

    /// Makes an admin who may do everything, and answers with the API key.
    pub(crate) async fn new_admin(&self, name: &str) -> String {
        let made = self.run(&["callers", "create", "--admin", "--name", name]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Starts `serve`, and answers once it is up.
    pub(crate) async fn serve(&self) -> Serving {
        Serving::begin(self.command(&["serve"])).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_box-token-broker")));
        command.args(args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What is left when a test has succeeded is removed.
    pub(crate) async fn end(self) {
        if let Some(database) = self.postgres {
            database.end().await;
        }
    }
}

/// A `serve` that runs. It ends, by its own id, when it is dropped.
pub(crate) struct Serving {
    /// Where callers and admins call.
    pub(crate) service: SocketAddr,
    child: Child,
    said: Arc<Said>,
    readers: [JoinHandle<()>; 2],
}

/// What a process wrote to its outputs so far.
#[derive(Default)]
struct Said {
    bytes: Mutex<Vec<u8>>,
    more: Notify,
}

impl Serving {
    async fn begin(mut command: Command) -> Self {
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let said = Arc::new(Said::default());
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = [tokio::spawn(listen(out, said.clone())), tokio::spawn(listen(err, said.clone()))];
        let up = timeout(PATIENCE, async {
            loop {
                let more = said.more.notified();
                if let Some(up) = said.line("the broker is up") {
                    return up;
                }
                tokio::select! {
                    () = more => {}
                    ended = child.wait() => panic!("{ended:?}: {}", said.text()),
                }
            }
        });
        let up = up.await.unwrap_or_else(|_| panic!("it does not come up: {}", said.text()));
        let service = up["service"].as_str().unwrap().parse().unwrap();
        Self { service, child, said, readers }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service)
    }

    /// Asks it to stop, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id();
        let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.unwrap().success());
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("a process that runs")
    }

    /// Waits for its end: the exit code, and all that it wrote.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Vec<u8>) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("a process that ends").unwrap();
        for reader in self.readers {
            timeout(PATIENCE, reader).await.expect("outputs that end").unwrap();
        }
        (status.code(), std::mem::take(&mut self.said.bytes.lock().unwrap()))
    }

    /// Stops it in good order: all that it wrote.
    pub(crate) async fn stop(self) -> Vec<u8> {
        self.terminate();
        let (code, said) = self.ended().await;
        assert_eq!(code, Some(0), "{}", String::from_utf8_lossy(&said));
        said
    }

    /// Ends it as a crash does, with `SIGKILL`: all that it wrote.
    pub(crate) async fn kill(mut self) -> Vec<u8> {
        self.child.start_kill().unwrap();
        let (code, said) = self.ended().await;
        assert_eq!(code, None, "it ended before it was killed");
        said
    }
}

async fn listen(mut output: impl AsyncRead + Unpin, said: Arc<Said>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = output.read(&mut piece).await {
        said.bytes.lock().unwrap().extend_from_slice(&piece[..length]);
        said.more.notify_waiters();
    }
}

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// The whole line of the log with this message.
    fn line(&self, message: &str) -> Option<Value> {
        let text = self.text();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == message)
    }
}
