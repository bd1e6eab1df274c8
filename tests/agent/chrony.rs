//! What the agent makes of a real chronyd.

use crate::support::agent::{Agent, once};
use crate::support::chronyd::Chronyd;
use crate::support::ntp::{Manner, Server};
use crate::support::{free_udp_port, wait_for};
use clockwarden::agent::report::{Report, SourceReport};
use std::time::Duration;

fn asked(at: &str) -> SourceReport {
    let output = once(&["--chrony", at, "-o", "json"], None);
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    let source = report.sources.into_iter().find(|source| source.name == "chrony");
    source.unwrap_or_else(|| panic!("no chrony in {}", String::from_utf8_lossy(&output.stdout)))
}

#[test]
fn a_synchronised_chronyd_vouches_for_the_clock_over_udp_and_over_its_socket() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    for at in [client.command.to_string(), client.socket().display().to_string()] {
        let agent = Agent::start(&["--chrony", &at], None);
        // Just after it has selected its server, chronyd itself says that its root dispersion is large.
        let report = agent.report_when("synchronized, and chronyd sure of it", |report| {
            let chrony = report.sources.iter().find(|source| source.name == "chrony");
            let bound = chrony.and_then(|chrony| chrony.error_bound_seconds);
            report.state == "Synchronized" && bound.is_some_and(|bound| bound < 0.01)
        });
        let chrony = report.sources.iter().find(|source| source.name == "chrony").unwrap();
        assert_eq!((chrony.reference.as_deref(), chrony.error.as_deref()), (Some("127.0.0.1"), None));
        // Both serve this machine's own clock: the truth is zero.
        let (offset, bound) = (chrony.offset_seconds.unwrap(), chrony.error_bound_seconds.unwrap());
        assert!(offset.abs() <= bound, "{report:#?}\n{}", client.log());
        assert!(report.undisciplined_seconds.abs() < 1e-9);
        let detail = chrony.detail.as_ref().unwrap();
        assert_eq!((detail.configured, detail.reachable, detail.selectable), (Some(1), Some(1), Some(1)), "{detail:?}");
        assert_eq!((detail.stratum, detail.leap.as_deref()), (Some(6), Some("none")), "{detail:?}");
        assert!(detail.root_dispersion_seconds.is_some_and(|s| s < 0.01), "{detail:?}");
        assert_eq!((&detail.roots, &report.roots), (&vec!["127.0.0.1".to_owned()], &detail.roots));
    }
    // Our end of the socket is gone.
    let left: Vec<_> = std::fs::read_dir(client.socket().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("clockwarden"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_sign_is_that_of_chronyc_turned_round() {
    for (ahead_s, word) in [(2.0, "slow"), (-2.0, "fast")] {
        // The server is ahead, so this machine's clock is slow of it: behind.
        let server = Server::start(Manner::Ahead((ahead_s * 1e9) as i64));
        let client = Chronyd::client_of(server.address);
        wait_for("chronyd sees the offset", Duration::from_secs(10), || {
            let reply = client.tracking()?;
            if reply.correction_s.abs() > 1.9 { Ok(()) } else { Err(format!("{reply:?}")) }
        });
        let chronyc = client.chronyc("System time");
        assert!(chronyc.contains(word), "{chronyc}");
        let source = asked(&client.command.to_string());
        let (offset, bound) = (source.offset_seconds.unwrap(), source.error_bound_seconds.unwrap());
        assert!((offset + ahead_s).abs() <= bound && (offset + ahead_s).abs() < 0.1, "{source:#?} {chronyc}");
        let seconds: f64 = chronyc.split(' ').next().unwrap().parse().unwrap();
        assert!((offset.abs() - seconds).abs() < 0.001, "{source:#?} {chronyc}");
        // chronyd slews: certain all the same that this is beyond half a second.
        assert!(offset.abs() - bound > 0.5, "{source:#?}");
    }
}

#[test]
fn a_chronyd_that_follows_nothing_is_no_evidence_and_says_why() {
    let (local, lost) = (Chronyd::server(), Chronyd::lost());
    for (chronyd, says) in [(&local, "follows its own clock"), (&lost, "not synchronised to anything")] {
        let source = asked(&chronyd.command.to_string());
        assert_eq!((source.offset_seconds, source.error_bound_seconds), (None, None), "{source:#?}");
        assert!(source.error.as_ref().unwrap().contains(says), "{source:#?}");
    }
}

#[test]
fn a_chronyd_that_goes_takes_its_word_with_it_and_one_that_is_named_is_missed() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    let agent = Agent::start(&["--chrony", &client.command.to_string()], None);
    agent.report_when("synchronized", |report| report.state == "Synchronized");
    drop(client);
    let report = agent.report_when("unknown", |report| report.state == "Unknown");
    let chrony = report.sources.iter().find(|source| source.name == "chrony").unwrap();
    assert_eq!(chrony.offset_seconds, None);
    assert!(chrony.error.as_ref().unwrap().contains("nothing listens there"), "{chrony:#?}");

    for (at, says) in [
        (format!("127.0.0.1:{}", free_udp_port()), "nothing listens there"),
        ("/nonexistent/chronyd.sock".to_owned(), "nothing listens there"),
    ] {
        let source = asked(&at);
        assert!(source.error.as_ref().unwrap().contains(says), "{source:#?}");
    }
}

#[test]
fn a_chronyd_that_lost_its_server_goes_on_vouching_and_says_since_when() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    let at = client.command.to_string();
    drop(server);
    let source = wait_for("the server is missed", Duration::from_secs(20), || {
        let source = asked(&at);
        let lost = source.detail.as_ref().is_some_and(|detail| detail.reachable == Some(0));
        if lost { Ok(source) } else { Err(format!("{source:#?}")) }
    });
    let detail = source.detail.unwrap();
    assert_eq!((source.error, detail.configured), (None, Some(1)));
    assert!(source.offset_seconds.unwrap().abs() <= source.error_bound_seconds.unwrap());
    // chronyd counts in whole seconds.
    assert!(detail.last_update_seconds.is_some_and(|age_s| age_s < 20.0), "{detail:?}");
    let text = String::from_utf8(once(&["--chrony", &at], None).stdout).unwrap();
    assert!(text.contains("cannot reach its servers: none of 1 has answered lately"), "{text}");
    assert!(text.contains("chronyc -n sources -v"), "{text}");
}

#[test]
fn a_makestep_without_limit_is_found_where_the_machine_keeps_its_files() {
    let (server, root) = (Chronyd::server(), tempfile::TempDir::new().unwrap());
    let client = Chronyd::client_of(server.ntp);
    let (at, folder) = (client.command.to_string(), root.path().join("etc/chrony"));
    let arguments = ["--chrony", &at, "--host-root", &root.path().display().to_string()];
    let says = || String::from_utf8(once(&arguments, None).stdout).unwrap();
    assert!(!says().contains("makestep 1 -1"), "{}", says());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("chrony.conf"), "pool x\nmakestep 1 -1\n").unwrap();
    assert!(says().contains("(/etc/chrony/chrony.conf:2:"), "{}", says());
}

#[test]
fn something_else_on_the_port_is_an_error_in_words() {
    for (manner, says) in [
        (Manner::Noise(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "not of chronyd's command protocol"),
        (Manner::Noise(b""), "an answer of 0 bytes"),
        (Manner::Silent, "did not answer within 1s"),
    ] {
        let server = Server::start(manner);
        let source = asked(&server.address.to_string());
        assert!(source.error.as_ref().unwrap().contains(says), "{manner:?}: {source:#?}");
    }
}
