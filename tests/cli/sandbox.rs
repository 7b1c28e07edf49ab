use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use box_sandbox::{AppSpec, generate_app};

use crate::harness::run;

/// A running process that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_sandbox_prints_its_url_knows_the_files_app_and_stops_when_told_to() {
    let app = generate_app(&AppSpec { with_key: false, ..AppSpec::default() });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(app.file_name());
    std::fs::write(&file, &app.json).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
        .args(["sandbox", "--listen", "127.0.0.1:0", "--key-json"])
        .arg(&file)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut url = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("http://").unwrap();

    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET /sandbox HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&app.client_id), "{answer}");

    let pid = running.0.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().unwrap().success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_file_that_is_no_config_starts_no_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    std::fs::write(&file, "{}").unwrap();
    let ran = run(&["sandbox", "--listen", "127.0.0.1:0", "--key-json", file.to_str().unwrap()], &[]);
    assert!(ran.code == 1 && ran.out.is_empty() && ran.err.starts_with("error: "), "{}", ran.err);
    assert_eq!(run(&["sandbox"], &[]).code, 2);
}
