//! `clockwarden lint` as people run it: the real binary, real files, and what comes out.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot read its fixtures has to fail")]

mod fixes;
mod outputs;
mod places;
mod sarif;
mod search;
mod taken;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run has said.
struct Said {
    status: i32,
    out: String,
    err: String,
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clockwarden"));
    // What git would ignore everywhere on this machine is not what a test is about.
    command.arg("lint").args(args).current_dir(folder).env("XDG_CONFIG_HOME", folder).env_remove("NO_COLOR");
    command
}

fn lint(folder: &Path, args: &[&str]) -> Said {
    lint_with(folder, args, b"")
}

/// With this on standard input.
fn lint_with(folder: &Path, args: &[&str], input: &[u8]) -> Said {
    let mut command = command(folder, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("clockwarden");
    // One that does not read it may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("an end");
    Said {
        status: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

/// A directory of its own with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// A copy of the project in tests/lint/project.
fn project() -> tempfile::TempDir {
    copy_of("project")
}

/// A copy of a folder in tests/lint.
fn copy_of(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                std::fs::copy(&from, &to).expect("a copy");
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    copy(&tests().join(name), folder.path());
    folder
}

/// The files that findings are in, with their lines.
fn found(said: &Said) -> Vec<(String, u64)> {
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.out));
    let findings = report.get("findings").and_then(|findings| findings.as_array()).expect("findings");
    let one =
        |finding: &serde_json::Value| Some((finding.get("file")?.as_str()?.to_owned(), finding.get("line")?.as_u64()?));
    findings.iter().filter_map(one).collect()
}
