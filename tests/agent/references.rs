//! NTP servers, good and bad.

use crate::support::agent::Agent;
use crate::support::free_udp_port;
use crate::support::ntp::{Manner, Server};
use std::time::Duration;

#[test]
fn a_server_that_gives_no_time_is_an_error_in_words_and_no_evidence() {
    let mirror: &'static [u8] = &[0x23; 48];
    for (manner, says) in [
        (Manner::Noise(b"no NTP at all"), "an answer of 13 bytes is no NTP packet"),
        (Manner::Noise(b""), "an answer of 0 bytes is no NTP packet"),
        (Manner::Noise(mirror), "not that of an NTP server"),
        (Manner::Noise(&[0xFF; 1_200]), "not that of an NTP server"),
        (Manner::WrongCookie, "does not carry our cookie"),
        (Manner::Kiss(b"DENY"), "kiss of death DENY"),
        (Manner::Kiss(b"RATE"), "kiss of death RATE"),
        (Manner::Kiss(b"INIT"), "the kiss code INIT"),
        (Manner::Silent, "no answer from"),
    ] {
        let server = Server::start(manner);
        let agent = Agent::start(&["--chrony", "off", "--reference", &server.url()], None);
        let report = agent.report_when("the server asked", |report| report.sources.len() == 2);
        let source = &report.sources[1];
        assert_eq!((&source.name, source.offset_seconds), (&server.url(), None), "{manner:?}");
        assert!(source.error.as_ref().unwrap().contains(says), "{manner:?}: {source:#?}");
        assert_eq!(report.offset_seconds, None, "{manner:?}");
    }
}

#[test]
fn a_server_that_sends_us_away_is_obeyed() {
    let (deny, rate) = (Server::start(Manner::Kiss(b"DENY")), Server::start(Manner::Kiss(b"RATE")));
    let agent = Agent::start(&["--chrony", "off", "--reference", &deny.url(), "--reference", &rate.url()], None);
    agent.report_when("both asked", |report| report.sources.len() == 3);
    // A server that had not sent us away would be asked every 2 s at first.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!((deny.asked(), rate.asked()), (1, 1), "{}", agent.log());
}

#[test]
fn a_forger_who_does_not_know_the_cookie_changes_nothing() {
    let server = Server::start(Manner::Flooded);
    let agent = Agent::start(&["--chrony", "off", "--reference", &server.url()], None);
    let report = agent.report_when("an offset", |report| report.offset_seconds.is_some());
    // The forgeries are an hour ahead.
    let (offset_s, bound_s) = (report.offset_seconds.unwrap(), report.error_bound_seconds.unwrap());
    assert!(offset_s.abs() <= bound_s && bound_s < 0.5, "{report:#?}");
}

#[test]
fn a_server_with_an_ipv6_address_is_asked_at_it() {
    let server = Server::start_at(std::net::Ipv6Addr::LOCALHOST.into(), Manner::Ahead(0));
    assert!(server.url().starts_with("ntp://[::1]:"), "{}", server.url());
    let agent = Agent::start(&["--chrony", "off", "--reference", &server.url()], None);
    let report = agent.report_when("an offset", |report| report.offset_seconds.is_some());
    assert!(report.offset_seconds.unwrap().abs() <= report.error_bound_seconds.unwrap(), "{report:#?}");
    assert_eq!(report.roots, ["::1"]);
}

#[test]
fn two_references_that_disagree_are_a_conflict_that_names_them() {
    let (right, wrong) = (Server::start(Manner::Ahead(0)), Server::start(Manner::Ahead(15_000_000_000)));
    let agent = Agent::start(&["--chrony", "off", "--reference", &right.url(), "--reference", &wrong.url()], None);
    let report = agent.report_when("both asked", |report| report.sources.len() == 3);
    assert_eq!((report.state.as_str(), report.offset_seconds), ("Unknown", None));
    let reason = report.reason.unwrap();
    assert!(reason.starts_with("SourcesConflict: "), "{reason}");
    assert!(reason.contains(&right.url()) && reason.contains(&wrong.url()), "{reason}");
    // The clock is further behind the one that is ahead.
    let pair = format!("{} and {} differ by at least 1", wrong.url(), right.url());
    assert!(reason.contains(&pair), "{pair:?} not in {reason}");
}

#[test]
fn a_closed_port_and_a_name_that_does_not_exist_are_told_apart() {
    let closed = format!("ntp://127.0.0.1:{}", free_udp_port());
    let agent = Agent::start(
        // An empty label: the resolver refuses it without asking anybody.
        &["--chrony", "off", "--reference", &closed, "--reference", "ntp://clock..invalid"],
        None,
    );
    let report = agent.report_when("both asked", |report| report.sources.len() == 3);
    let error = |n: usize| report.sources[n].error.clone().unwrap();
    assert!(error(1).contains("nothing listens at"), "{}", error(1));
    assert!(error(2).contains("\"clock..invalid\" could not be looked up"), "{}", error(2));
}
