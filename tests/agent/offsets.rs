//! What the agent says of its clock is true, within the bound that it claims.

use crate::support::agent::{Agent, FakeClock};
use crate::support::chronyd::Chronyd;
use clockwarden::clock::{Delta, Exchange, Wall};
use clockwarden::runtime::{mono_now, wall_now};
use std::time::Duration;

#[test]
fn every_offset_is_measured_within_its_bound_and_within_a_millisecond() {
    let server = Chronyd::server();
    let reference = format!("ntp://{}", server.ntp);
    let day = 86_400.0;
    let mut worst: f64 = 0.0;
    for truth in [-2.0 * day, -15.0, -2.0, -0.12, 0.0, 0.12, 2.0, 15.0, 2.0 * day] {
        let clock = FakeClock::ahead(truth);
        let agent = Agent::start(&["--chrony", "off", "--reference", &reference], Some(&clock));
        let report = agent.report_when("an offset", |report| report.offset_seconds.is_some());
        let (offset, bound) = (report.offset_seconds.unwrap(), report.error_bound_seconds.unwrap());
        let error = (offset - truth).abs();
        assert!(error <= bound && error <= 0.001, "{truth} s: {offset} ± {bound}: {report:#?}");
        assert!(bound <= 0.01, "{truth} s: a bound of {bound} s on loopback: {report:#?}");
        worst = worst.max(error);
        let state = if truth.abs() > 0.5 { "Drifting" } else { "Synchronized" };
        assert_eq!(report.state, state, "{truth} s: {report:#?}");
        // The four timestamps say the same to whoever asks, with no NTP server at all.
        let seen = exchange(&agent);
        assert!((seen.seconds().offset - truth).abs() <= seen.seconds().bound, "{truth} s: {seen}");
        assert!(seen.bound() < Duration::from_millis(100), "{truth} s: {seen}");
    }
    println!("worst error {worst:.6} s");
}

/// The agent's clock against ours, by one exchange.
fn exchange(agent: &Agent) -> clockwarden::clock::OffsetInterval {
    let sent = mono_now();
    let report = agent.report();
    let received_wall = wall_now();
    let left = Wall::from_unix_nanos(report.sent_unix_nanos);
    let held = Duration::from_nanos(report.held_nanos);
    assert!(Wall::from_unix_nanos(report.received_unix_nanos).minus(left) <= Delta::ZERO, "{report:#?}");
    Exchange { sent, received: mono_now(), received_wall, left, held }.offset().unwrap()
}
