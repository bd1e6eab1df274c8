//! What the agent says of its clock is true, within the bound that it claims: by an NTP server, by chronyd, and to
//! whoever exchanges timestamps with it.

use crate::support::agent::{Agent, FakeClock};
use crate::support::chronyd::Chronyd;
use clockwarden::agent::clocks;
use clockwarden::agent::report::Report;
use clockwarden::clock::Seconds;
use clockwarden::controller::sources::agent::read;
use clockwarden::runtime::mono_now;

const DAY_S: f64 = 86_400.0;
/// Seconds ahead, as libfaketime shows them to the agent, and to it alone.
const TRUTHS_S: [f64; 9] = [-2.0 * DAY_S, -15.0, -2.0, -0.12, 0.0, 0.12, 2.0, 15.0, 2.0 * DAY_S];
/// No measurement on loopback is further off than this.
const ERROR_MAX_S: f64 = 0.001;

/// One line of the table; fails unless the truth lies within the bound, and the error within a millisecond.
fn check(by: &str, truth_s: f64, said: Seconds, report: &Report) {
    let error_s = (said.offset - truth_s).abs();
    println!("{truth_s:>10.2} s  {by:<8}  {:>+15.6} s  \u{b1} {:.6} s  error {error_s:.6} s", said.offset, said.bound);
    assert!(error_s <= said.bound && error_s <= ERROR_MAX_S, "{by}: {truth_s} s: {said:?}: {report:#?}");
}

#[test]
fn every_offset_is_measured_within_its_bound_and_within_a_millisecond() {
    let server = Chronyd::server();
    let client = Chronyd::client_of(server.ntp);
    let (reference, command) = (format!("ntp://{}", server.ntp), client.command.to_string());
    println!("     truth    by              reported        bound");
    for truth_s in TRUTHS_S {
        let clock = FakeClock::ahead(truth_s);
        for (by, arguments) in [
            ("sntp", ["--chrony", "off", "--reference", &reference]),
            ("chrony", ["--chrony", &command, "--ntpd-rs", "off"]),
        ] {
            let agent = Agent::start(&arguments, Some(&clock));
            // On a busy machine an answer may be late, and says so: the next one is better. And just after it has
            // selected its server, chronyd itself says that its root dispersion is large.
            let report = agent.report_when("an offset that is sure", |report| {
                report.error_bound_seconds.is_some_and(|bound_s| bound_s <= ERROR_MAX_S)
            });
            let said = Seconds { offset: report.offset_seconds.unwrap(), bound: report.error_bound_seconds.unwrap() };
            check(by, truth_s, said, &report);
            let state = if truth_s.abs() > 0.5 { "Drifting" } else { "Synchronized" };
            assert_eq!(report.state, state, "{truth_s} s: {report:#?}");
            // The controller sees the same by four timestamps, with no NTP server at all.
            let seen = seen_by_controller(&agent);
            let error_s = (seen.offset - truth_s).abs();
            println!(
                "{truth_s:>10.2} s  exchange  {:>+15.6} s  \u{b1} {:.6} s  error {error_s:.6} s",
                seen.offset, seen.bound
            );
            assert!(error_s <= seen.bound && seen.bound < 0.5, "{truth_s} s: {seen:?}");
        }
    }
}

/// The agent's clock against ours, as the controller reads an answer.
fn seen_by_controller(agent: &Agent) -> Seconds {
    let sent = mono_now();
    let (status, _, body) = agent.get("/v1/clock");
    assert_eq!(status, 200, "{body}");
    read(sent, clocks::sample(), body.as_bytes()).unwrap().against_us.unwrap().seconds()
}
