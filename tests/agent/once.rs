//! `agent --once`: what it prints, and its exit codes.

use crate::support::agent::{Agent, FakeClock, once, once_unheard};
use crate::support::chronyd::Chronyd;
use crate::support::ntp::{Manner, Server};
use clockwarden::agent::once::diagnose;
use clockwarden::agent::report::Report;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reports in `tests/agent/once/NAME.input.json`, diagnoses in `NAME.output.txt` with the exit code in the last line;
/// `UPDATE_GOLDEN=1` rewrites the outputs.
#[test]
fn diagnoses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/once");
    let mut inputs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 21, "{inputs:?}");
    for input in inputs {
        let report: Report = serde_json::from_str(&std::fs::read_to_string(&input).unwrap()).unwrap();
        let diagnosis = diagnose(&report, Duration::from_millis(500));
        let got = format!("{}exit code {}\n", diagnosis.text, diagnosis.exit);
        let output = PathBuf::from(input.to_string_lossy().replace(".input.json", ".output.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&output, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&output).unwrap_or_default();
        assert_eq!(got, expected, "{}", input.display());
        assert!(got.lines().all(|line| line.chars().count() <= 110), "a line is too long: {got}");
    }
}

fn check(arguments: &[&str], clock: Option<&FakeClock>, exit: i32, says: &[&str]) {
    let output = once(arguments, clock);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for words in says {
        assert!(text.contains(words), "{words:?} not in:\n{text}");
    }
    let json = once(&[arguments, &["-o", "json"]].concat(), clock);
    assert_eq!(json.status.code(), Some(exit), "{}", String::from_utf8_lossy(&json.stdout));
    let report: Report = serde_json::from_slice(&json.stdout).unwrap();
    let state = ["Synchronized", "Drifting", "Unknown"][exit as usize];
    assert_eq!(report.state, state, "{report:#?}");
    // A clock that is wrong here is so by 15 s; how exactly that is seen depends on what else the machine does.
    if let (Some(_), Some(offset), Some(bound)) = (clock, report.offset_seconds, report.error_bound_seconds) {
        assert!((offset - 15.0).abs() <= bound && bound < 0.5, "{report:#?}");
    }
}

#[test]
fn the_exit_code_is_the_verdict() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    let reference = format!("ntp://{}", server.ntp);
    let at = client.command.to_string();
    check(&["--chrony", &at, "--reference", &reference], None, 0, &["is right", "chronyc tracking", "timedatectl"]);
    let wrong = FakeClock::ahead(15.0);
    let named = ["--chrony", "off", "--reference", &reference, "--node-name", "node-7"];
    check(&named, Some(&wrong), 1, &["The clock of node-7 is WRONG: ", "beyond 500.0 ms"]);
    // The limit decides.
    check(&[&named[..], &["--max-offset", "1m"]].concat(), Some(&wrong), 0, &["is right: "]);
    let other = Server::start(Manner::Ahead(-7_000_000_000));
    check(
        &["--chrony", "off", "--reference", &reference, "--reference", &other.url()],
        None,
        2,
        &["Cannot tell", "SourcesConflict", &reference, &other.url()],
    );
    check(&["--chrony", &server.command.to_string()], None, 2, &["Cannot tell", "follows its own clock"]);
}

#[test]
fn a_step_that_a_running_agent_noticed_is_told() {
    let server = Chronyd::server();
    let (reference, clock) = (format!("ntp://{}", server.ntp), FakeClock::ahead(0.0));
    let arguments = ["--chrony", "off", "--reference", &reference];
    let agent = Agent::start(&arguments, Some(&clock));
    agent.report_when("an offset", |report| report.offset_seconds.is_some());
    clock.set(15.0);
    agent.report_when("the step", |report| report.jumps.iter().any(|jump| jump.cause == "step"));
    let listen = agent.address.to_string();
    let arguments = [&arguments[..], &["--listen", &listen]].concat();
    check(&arguments, Some(&clock), 1, &["The clock was stepped by +1", "journalctl"]);
    // Without that agent nobody knows.
    drop(agent);
    let text = String::from_utf8(once(&arguments, Some(&clock)).stdout).unwrap();
    assert!(text.contains(" s ahead") && !text.contains("was stepped"), "{text}");
}

#[test]
fn a_single_source_is_told_to_be_one() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    let (reference, at) = (format!("ntp://{}", server.ntp), client.command.to_string());
    check(&["--chrony", &at], None, 0, &["Only chrony vouches for this clock"]);
    // Two witnesses, and yet one: chronyd follows the server that the reference names.
    check(&["--chrony", &at, "--reference", &reference], None, 0, &["All witnesses go back to 127.0.0.1"]);
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let output = once_unheard(&["--chrony", "off"]);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_what_to_write() {
    for (arguments, says) in [
        (&["--reference", "time.example.com"][..], "write ntp://time.example.com"),
        (&["--chrony", "localhost"], "write 127.0.0.1:323"),
        (&["--max-offset", "5"], "5s for seconds"),
        (&["--max-offset", "0s"], "must be greater than 0"),
        (&["--max-offset=-5s"], "never negative"),
    ] {
        let output = once(arguments, None);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}
