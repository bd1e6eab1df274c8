//! A clock that is set while the agent runs.

use crate::support::agent::{Agent, FakeClock};
use crate::support::chronyd::Chronyd;
use crate::support::ntp::{Manner, Server};
use crate::support::wait_for;
use clockwarden::runtime::mono_now;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A bound, in seconds, that even a machine with other work keeps: half the time that a question and its answer take.
const BUSY_S: f64 = 0.5;

#[test]
fn a_step_wakes_the_waiting_reader_and_is_told_once() {
    let server = Chronyd::server();
    let clock = FakeClock::ahead(0.0);
    let reference = format!("ntp://{}", server.ntp);
    let agent = Agent::start(&["--chrony", "off", "--reference", &reference], Some(&clock));
    let mut report = agent.report_when("synchronized", |report| report.state == "Synchronized");
    let mut number = 0;
    for (from, to) in [(0.0, 3.0), (3.0, -15.0), (-15.0, 172_800.0), (172_800.0, 0.0)] {
        number += 1;
        let path = format!("/v1/clock?after={}&wait=20s&instance={}", report.sequence, report.instance);
        let (woken, latency) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let report = agent.report_of(&path);
                (report, mono_now())
            });
            std::thread::sleep(Duration::from_millis(300));
            assert!(!reader.is_finished(), "the reader was woken for nothing");
            clock.set(to);
            let set = mono_now();
            let (report, woken) = reader.join().unwrap();
            (report, woken.since(set))
        });
        // A falsified clock cancels no timer, so this one is noticed when the clocks are next compared, every other
        // second; without that the reader would wait for 20 s.
        assert!(latency < Duration::from_secs(10), "{from} -> {to} s: woken after {latency:?}");
        let jump = woken.jumps.last().unwrap_or_else(|| panic!("no jump: {woken:#?}"));
        assert_eq!((jump.number, jump.cause.as_str(), jump.evidence.as_str()), (number, "step", "comparison"));
        let error = (jump.amount_seconds - (to - from)).abs();
        assert!(error <= jump.error_bound_seconds.max(1e-6) && error < 0.001, "{from} -> {to} s: {jump:#?}");
        // The own offset is right at once, whether or not the server has been asked again.
        let (offset, bound) = (woken.offset_seconds.unwrap(), woken.error_bound_seconds.unwrap());
        assert!((offset - to).abs() <= bound && bound < BUSY_S, "{from} -> {to} s: {woken:#?}");
        assert_eq!(woken.state, if to.abs() > 0.5 { "Drifting" } else { "Synchronized" });
        // Several comparisons later it is still one jump.
        std::thread::sleep(Duration::from_millis(1_300));
        report = agent.report();
        assert_eq!(report.jumps.len() as u64, number, "{report:#?}");
        println!("{from} -> {to} s: told after {latency:?}");
    }
    let (_, _, metrics) = agent.get("/metrics");
    assert!(metrics.contains("clockwarden_clock_steps_total{cause=\"step\"} 4\n"), "{metrics}");
}

#[test]
fn a_step_makes_the_sources_be_asked_again_at_once() {
    let server = Server::start(Manner::Ahead(0));
    let clock = FakeClock::ahead(0.0);
    let agent = Agent::start(&["--chrony", "off", "--reference", &server.url()], Some(&clock));
    // Four quick questions, then one every 16 s.
    let asked = |least: usize, limit: u64| {
        wait_for("questions", Duration::from_secs(limit), || {
            if server.asked() >= least {
                Ok(())
            } else {
                Err(format!("{} of {least}\n{}", server.asked(), agent.log()))
            }
        });
    };
    asked(4, 15);
    clock.set(2.0);
    asked(5, 5);
    let report = agent.report();
    let (offset, bound) = (report.offset_seconds.unwrap(), report.error_bound_seconds.unwrap());
    assert!((offset - 2.0).abs() <= bound && bound < BUSY_S, "{report:#?}");
}

#[test]
fn a_connection_serves_many_questions_and_sigterm_answers_those_that_wait() {
    let mut agent = Agent::start(&["--chrony", "off"], None);
    agent.report_when("the kernel asked", |report| !report.sources.is_empty());
    let mut stream = TcpStream::connect(agent.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut answer = || {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the connection was closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        serde_json::from_slice::<clockwarden::agent::report::Report>(&body).unwrap()
    };
    let mut sequence = 0;
    for _ in 0..50 {
        write!(stream, "GET /v1/clock HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
        sequence = answer().sequence;
    }
    write!(stream, "GET /v1/clock?after={sequence}&wait=30s HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let asked = mono_now();
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    assert_eq!(answer().sequence, sequence);
    assert!(mono_now().since(asked) < Duration::from_secs(5));
}
