//! A real agent process, its clock falsified if a test wants it so.

use super::{installed, wait_for};
use clockwarden::agent::report::Report;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The wall clock of one process, as libfaketime lets it see it.
pub(crate) struct FakeClock {
    dir: TempDir,
}

impl FakeClock {
    /// Ahead of the machine's by `seconds`.
    pub(crate) fn ahead(seconds: f64) -> FakeClock {
        let clock = FakeClock { dir: TempDir::new().unwrap() };
        clock.set(seconds);
        clock
    }

    /// Sets it, at once and for the running process.
    pub(crate) fn set(&self, seconds: f64) {
        let (new, file) = (self.dir.path().join("new"), self.dir.path().join("clock"));
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        // Never half-written under the eyes of the process that reads it at every look at the clock.
        std::fs::rename(new, file).unwrap();
    }

    fn apply(&self, command: &mut Command) {
        let library = installed(
            "CLOCKWARDEN_TEST_FAKETIME_LIB",
            &[
                "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
                "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
                "/usr/lib64/faketime/libfaketimeMT.so.1",
            ],
            "faketime",
        );
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", self.dir.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

fn command(arguments: &[&str], clock: Option<&FakeClock>) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_clockwarden")));
    command.arg("agent").args(arguments).env_remove("NODE_NAME").env_remove("RUST_LOG").stdin(Stdio::null());
    if let Some(clock) = clock {
        clock.apply(&mut command);
    }
    command
}

/// Runs `agent --once` with these arguments.
pub(crate) fn once(arguments: &[&str], clock: Option<&FakeClock>) -> Output {
    command(&[&["--once"], arguments].concat(), clock).output().unwrap()
}

/// `agent --once`, its output going to nobody: the reading end of the pipe is closed before it writes.
pub(crate) fn once_unheard(arguments: &[&str]) -> Output {
    let mut child = command(&[&["--once"], arguments].concat(), None)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Agent {
    /// Starts one on a port of its own.
    pub(crate) fn start(arguments: &[&str], clock: Option<&FakeClock>) -> Agent {
        let mut child = command(&[&["--listen", "127.0.0.1:0", "--log-format", "json"], arguments].concat(), clock)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let written = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = wait_for("the agent listens", Duration::from_secs(20), || {
            let log = log.lock().unwrap().clone();
            let listening = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let address = listening.filter_map(|line| line["address"].as_str().and_then(|a| a.parse().ok())).next();
            address.ok_or(log)
        });
        Agent { child, address, log }
    }

    /// One request on a connection of its own: status, whole header, body.
    pub(crate) fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        (status, header.to_owned(), body.to_owned())
    }

    /// The report.
    pub(crate) fn report(&self) -> Report {
        self.report_of("/v1/clock")
    }

    /// The report that answers this question.
    pub(crate) fn report_of(&self, path: &str) -> Report {
        let (status, _, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The first report that satisfies `condition`.
    pub(crate) fn report_when(&self, what: &str, condition: impl Fn(&Report) -> bool) -> Report {
        wait_for(what, Duration::from_secs(20), || {
            let report = self.report();
            if condition(&report) { Ok(report) } else { Err(format!("{report:#?}\n{}", self.log())) }
        })
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with no chance to put anything in order (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM) and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        // By system call: a small machine has no kill(1).
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)
            .unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Ours alone, by its process id.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
