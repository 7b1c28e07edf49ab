//! The real binary, and a broker that says what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// How a command ended, and what it printed.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command with nothing in its environment but `env`.
pub(crate) fn run(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A broker that gives these answers, one to a connection, and tells what it was asked.
pub(crate) struct Canned {
    pub(crate) url: String,
    asked: JoinHandle<Vec<String>>,
}

impl Canned {
    pub(crate) fn new(answers: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<_> = answers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let answer = move |(status, body): (String, String)| {
            let (mut socket, _) = listener.accept().unwrap();
            let request = read_request(&socket);
            let length = body.len();
            write!(
                socket,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
            request
        };
        Self { url, asked: std::thread::spawn(move || answers.into_iter().map(answer).collect()) }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(args, &[("BTB_URL", &self.url), ("BTB_KEY", "btb_a_b")])
    }

    pub(crate) fn asked(self) -> Vec<String> {
        self.asked.join().unwrap()
    }
}

fn read_request(socket: &TcpStream) -> String {
    let mut reader = BufReader::new(socket);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + std::str::from_utf8(&body).unwrap()
}
