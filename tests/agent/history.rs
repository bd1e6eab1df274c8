//! A history that survives the agent.

use crate::support::agent::{Agent, FakeClock};
use crate::support::wait_for;
use clockwarden::agent::history::{decode, encode};
use clockwarden::agent::report::Report;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A file for histories, and a clock for the agents that keep them.
struct Place {
    dir: TempDir,
    clock: FakeClock,
}

impl Place {
    fn new() -> Place {
        Place { dir: TempDir::new().unwrap(), clock: FakeClock::ahead(0.0) }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("history")
    }

    fn start(&self) -> Agent {
        Agent::start(&["--chrony", "off", "--history", &self.file().display().to_string()], Some(&self.clock))
    }

    /// Sets the clock, and waits until the agent tells of so many jumps and the file holds them.
    fn set(&self, agent: &Agent, seconds: f64, jumps: usize) -> Report {
        self.clock.set(seconds);
        let report = agent.report_when("the jump", |report| report.jumps.len() == jumps);
        wait_for("the jump on disk", Duration::from_secs(10), || {
            let kept = decode(&std::fs::read(self.file()).map_err(|error| error.to_string())?).unwrap().past.jumps;
            if kept.len() == jumps { Ok(()) } else { Err(format!("{kept:#?}\n{}", agent.log())) }
        });
        report
    }
}

/// Number, cause, seconds (rounded) and evidence of each.
fn told(report: &Report) -> Vec<(u64, &str, i64, &str)> {
    let jump = |j: &'_ clockwarden::agent::report::JumpReport| j.amount_seconds.round() as i64;
    report.jumps.iter().map(|j| (j.number, j.cause.as_str(), jump(j), j.evidence.as_str())).collect()
}

#[test]
fn a_restart_forgets_nothing_and_notices_what_happened_meanwhile() {
    let place = Place::new();
    let mut agent = place.start();
    let first = place.set(&agent, 3.0, 1);
    assert_eq!(told(&first), [(1, "step", 3, "comparison")]);
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    // Nobody looks.
    place.clock.set(-15.0);
    let mut agent = place.start();
    let second = agent.report();
    assert_eq!(told(&second), [(1, "step", 3, "comparison"), (2, "step", -18, "restart")], "{}", agent.log());
    let (then, now) = (&first.jumps[0], &second.jumps[0]);
    assert_eq!((&then.wall_before, &then.wall_after), (&now.wall_before, &now.wall_after));
    assert!(now.age_seconds.unwrap() > then.age_seconds.unwrap(), "it grows older by the boot clock");
    assert!((second.jumps[1].amount_seconds + 18.0).abs() < 0.001, "{second:#?}");
    // Counters start with the process, numbers do not.
    let (_, _, metrics) = agent.get("/metrics");
    assert!(metrics.contains("clockwarden_clock_steps_total{cause=\"step\"} 1\n"), "{metrics}");
    place.set(&agent, 0.0, 3);
    // Killed, not stopped: what was written with the last change still tells.
    agent.kill();
    place.clock.set(7.0);
    let agent = place.start();
    let third = agent.report();
    assert_eq!(
        told(&third),
        [
            (1, "step", 3, "comparison"),
            (2, "step", -18, "restart"),
            (3, "step", 15, "comparison"),
            (4, "step", 7, "restart")
        ]
    );
}

#[test]
fn after_a_reboot_only_the_wall_clock_tells_when_it_was() {
    let place = Place::new();
    let mut agent = place.start();
    place.set(&agent, 3.0, 1);
    agent.stop();
    // Another start of the machine, whose clocks begin anew.
    let past = decode(&std::fs::read(place.file()).unwrap()).unwrap().past;
    let mut jumps = past.jumps;
    jumps[0].boot = "00000000-0000-4000-8000-000000000000".into();
    let (_, clocks) = past.anchor.unwrap();
    std::fs::write(place.file(), encode(jumps.iter(), Some((&*jumps[0].boot, &clocks))).unwrap()).unwrap();
    place.clock.set(-40.0);
    let agent = place.start();
    let report = agent.report();
    assert_eq!(told(&report), [(1, "step", 3, "comparison")], "what another start showed proves nothing now");
    let json = agent.get("/v1/clock").2;
    assert!(report.jumps[0].age_seconds.is_none() && json.contains("\"ageSeconds\":null"), "{json}");
    assert!(report.jumps[0].wall_after.parse::<jiff::Timestamp>().is_ok());
    place.set(&agent, 0.0, 2);
}

#[test]
fn a_torn_file_costs_its_torn_lines_and_no_more() {
    let place = Place::new();
    let mut agent = place.start();
    place.set(&agent, 3.0, 1);
    place.set(&agent, 6.0, 2);
    agent.kill();
    let bytes = std::fs::read(place.file()).unwrap();
    std::fs::write(place.file(), &bytes[..bytes.len() - 20]).unwrap();
    // And what a run that was killed while it wrote leaves beside it.
    std::fs::write(place.dir.path().join("history.new"), "clockwarden hi").unwrap();
    let agent = place.start();
    let report = agent.report();
    assert_eq!(told(&report), [(1, "step", 3, "comparison")]);
    assert!(agent.log().contains("torn or spoilt"), "{}", agent.log());
    place.set(&agent, 0.0, 2);
}

#[test]
fn a_file_that_is_not_ours_is_left_alone_and_the_agent_works_without() {
    let place = Place::new();
    std::fs::write(place.file(), "dear diary\n").unwrap();
    let mut agent = place.start();
    place.clock.set(3.0);
    agent.report_when("the jump", |report| report.jumps.len() == 1);
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(std::fs::read_to_string(place.file()).unwrap(), "dear diary\n");
    let log = agent.log();
    assert!(log.contains("is left alone") && log.contains("dear diary") && log.contains("--history"), "{log}");
}

#[test]
fn a_folder_that_is_not_there_is_said_once_and_used_when_it_comes() {
    let place = Place::new();
    let folder = place.dir.path().join("later");
    let path = folder.join("history");
    let agent = Agent::start(&["--chrony", "off", "--history", &path.display().to_string()], Some(&place.clock));
    for (count, seconds) in [(1, 3.0), (2, 6.0)] {
        place.clock.set(seconds);
        agent.report_when("the jump", |report| report.jumps.len() == count);
    }
    wait_for("the warning", Duration::from_secs(10), || {
        let said = agent.log().matches("cannot be written").count();
        if said == 1 { Ok(()) } else { Err(format!("{said} times: {}", agent.log())) }
    });
    std::fs::create_dir(&folder).unwrap();
    place.clock.set(0.0);
    wait_for("the file", Duration::from_secs(10), || {
        let kept = decode(&std::fs::read(&path).map_err(|error| error.to_string())?).unwrap();
        if kept.past.jumps.len() == 3 { Ok(()) } else { Err(format!("{kept:#?}")) }
    });
    assert_eq!(agent.log().matches("cannot be written").count(), 1, "{}", agent.log());
    assert!(agent.log().contains("kept on disk again"), "{}", agent.log());
}
