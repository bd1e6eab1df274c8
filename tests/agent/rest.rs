//! The agent at rest: the default configuration, one reference, and nobody asks.

use crate::support::agent::Agent;
use crate::support::ntp::{Manner, Server};
use crate::support::wait_for;
use clockwarden::runtime::mono_now;
use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// What a process has used and holds, from proc(5).
#[derive(Debug, Clone)]
struct Usage {
    /// Sleeps that each thread has woken from.
    wakeups: HashMap<String, u64>,
    /// Times that a thread was made to wait for the processor.
    preempted: u64,
    /// On the processor, all threads.
    cpu: Duration,
    descriptors: usize,
    resident_kb: u64,
    peak_kb: u64,
}

impl Usage {
    fn of(pid: u32) -> Usage {
        let (mut wakeups, mut preempted, mut cpu_ns) = (HashMap::new(), 0, 0);
        for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| entry.unwrap().path()) {
            // A thread of the blocking pool may end under our eyes.
            let Ok(status) = fs::read_to_string(thread.join("status")) else { continue };
            let name = thread.file_name().unwrap().to_string_lossy().into_owned();
            wakeups.insert(name, number(&status, "voluntary_ctxt_switches:"));
            preempted += number(&status, "nonvoluntary_ctxt_switches:");
            let Ok(schedule) = fs::read_to_string(thread.join("schedstat")) else { continue };
            cpu_ns += schedule.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        Usage {
            wakeups,
            preempted,
            cpu: Duration::from_nanos(cpu_ns),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            resident_kb: number(&status, "VmRSS:"),
            peak_kb: number(&status, "VmHWM:"),
        }
    }

    fn wakeups_since(&self, earlier: &Usage) -> u64 {
        let each = |(thread, now): (&String, &u64)| now - earlier.wakeups.get(thread).copied().unwrap_or(0);
        self.wakeups.iter().map(each).sum()
    }
}

fn number(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Watches an agent at rest for `minutes` windows of `window` each; prints them and checks the bounds.
fn check(windows: usize, window: Duration) {
    let server = Server::start(Manner::Ahead(0));
    let agent = Agent::start(&["--reference", &server.url()], None);
    agent.report_when("synchronized", |report| report.state == "Synchronized");
    // The quick questions of the beginning are over, and the connection that asked is closed.
    wait_for("rest", Duration::from_secs(30), || {
        if server.asked() >= 4 { Ok(()) } else { Err(server.asked()) }.map_err(|n| n.to_string())
    });
    std::thread::sleep(Duration::from_secs(5));
    println!("resident kB | peak kB | descriptors | threads | wake-ups/s | preempted/s | CPU");
    let first = Usage::of(agent.pid());
    let mut last = first.clone();
    for _ in 0..windows {
        let start = mono_now();
        std::thread::sleep(window);
        let (now, seconds) = (Usage::of(agent.pid()), mono_now().since(start).as_secs_f64());
        let wakeups = now.wakeups_since(&last) as f64 / seconds;
        println!(
            "{:>11} | {:>7} | {:>11} | {:>7} | {wakeups:>10.2} | {:>11.2} | {:.3} %",
            now.resident_kb,
            now.peak_kb,
            now.descriptors,
            now.wakeups.len(),
            now.preempted.saturating_sub(last.preempted) as f64 / seconds,
            (now.cpu.saturating_sub(last.cpu)).as_secs_f64() / seconds * 100.0,
        );
        assert!(wakeups <= 2.0, "{wakeups} wake-ups a second: {last:?} {now:?}");
        // A question to a server that happens to be under way has a socket.
        assert!(now.descriptors.abs_diff(first.descriptors) <= 1, "{first:?} {now:?}");
        assert!(now.resident_kb <= first.resident_kb + 512, "{first:?} {now:?}");
        last = now;
    }
    let report = agent.report();
    assert_eq!((report.state.as_str(), report.jumps.len()), ("Synchronized", 0), "{report:#?}");
}

#[test]
fn an_agent_at_rest_wakes_seldom_and_holds_what_it_held() {
    check(2, Duration::from_secs(16));
}

/// `cargo test --test agent -- --ignored --nocapture five_minutes`; with `--profile dist` what is shipped is measured.
#[test]
#[ignore = "takes five minutes, and prints figures for people"]
fn five_minutes_at_rest() {
    check(5, Duration::from_secs(60));
}
