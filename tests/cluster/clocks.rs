//! The test support's clocks and processes: chronyd, libfaketime, and that nothing outlives a test process.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::SignedDuration;
use rustix::time::{ClockId, clock_gettime};

use crate::support::wait::wall_now;
use crate::support::{Chronyd, Faketime, Process, run, scratch, wait_for};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn chronyd_serves_and_follows_on_loopback() -> Result<()> {
    run(async {
        let server = Chronyd::reference(Ipv4Addr::new(127, 0, 2, 1)).await?;
        let tracking = server.chronyc(&["tracking"])?;
        ensure!(tracking.contains("Stratum         : 8"), "{tracking}");

        let follower = Chronyd::following(Ipv4Addr::new(127, 0, 2, 2), server.ntp()).await?;
        let tracking = follower.chronyc(&["tracking"])?;
        ensure!(tracking.contains("Stratum         : 9"), "{tracking}");
        ensure!(follower.socket().exists(), "no socket at {}", follower.socket().display());
        Ok(())
    })
}

#[test]
fn faketime_shifts_a_running_process_and_only_its_wall_clock() -> Result<()> {
    run(async {
        let clock = Faketime::new(SignedDuration::from_millis(15_250))?;
        let mut command = role("clock_probe")?;
        clock.apply(&mut command);
        let log = scratch::directory("clock-probe")?.join("log");
        let mut probe = Process::spawn("clock-probe", command, &log)?;
        for offset_ms in [15_250, -3_600_000, 250, 0] {
            clock.set(SignedDuration::from_millis(offset_ms))?;
            let what = format!("the probe to be {offset_ms} ms off");
            let text = probe.log_path().to_owned();
            probe
                .wait_ready(&what, SOON, async || {
                    let [wall, boot, raw] = last_probe(&text)?;
                    let [own_wall, own_boot, own_raw] = clocks_against_monotonic();
                    let shown = wall - own_wall;
                    ensure!((shown - offset_ms as f64).abs() < 5.0, "it is {shown} ms off");
                    ensure!((boot - own_boot).abs() < 5.0, "CLOCK_BOOTTIME is off: {boot} ms, here {own_boot} ms");
                    ensure!((raw - own_raw).abs() < 5.0, "CLOCK_MONOTONIC_RAW is off: {raw} ms, here {own_raw} ms");
                    Ok(())
                })
                .await?;
        }
        probe.kill()?;
        let left = Path::new("/dev/shm").join(format!("faketime_shm_{}", probe.pid()));
        ensure!(!left.exists(), "{} is left", left.display());
        Ok(())
    })
}

#[test]
fn nothing_outlives_a_test_process_that_is_killed() -> Result<()> {
    run(async {
        let log = scratch::directory("victim")?.join("log");
        let mut victim = Process::spawn("victim", role("victim")?, &log)?;
        let line = victim.wait_line("victim: ", Duration::from_secs(60)).await?;
        let (_, text) = line.split_once("victim: ").context("no text after the mark")?;
        let mut words = text.split_whitespace();
        let directory = PathBuf::from(words.next().context("no directory")?);
        let pids: Vec<&str> = words.collect();
        ensure!(pids.len() == 3 && directory.exists(), "{line}");
        for pid in &pids {
            ensure!(is_running(pid), "{pid} does not run");
        }

        victim.kill()?;
        wait_for("all that it has started to be gone", SOON, async || {
            let left: Vec<_> = pids.iter().filter(|pid| is_running(pid)).collect();
            ensure!(left.is_empty(), "the processes {left:?} still run");
            ensure!(!directory.exists(), "{} still exists", directory.display());
            Ok(())
        })
        .await
    })
}

// --- roles: this test binary again, as a child of one of the tests above

const ROLE: &str = "CLOCKWARDEN_TEST_ROLE";

/// This binary, running only the named function below.
fn role(name: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--ignored", "--nocapture", "--exact", &format!("clocks::{name}")]).env(ROLE, name);
    Ok(command)
}

fn has_role(name: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == name)
}

/// Prints the clocks until it is killed.
#[test]
#[ignore = "a child process of the faketime test"]
fn clock_probe() {
    while has_role("clock_probe") {
        let [wall, boot, raw] = clocks_against_monotonic();
        println!("probe: {wall} {boot} {raw}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts two daemons and a process with a wrong clock, tells their numbers, and waits to be killed.
#[test]
#[ignore = "a child process of the test that kills it"]
fn victim() -> Result<()> {
    if !has_role("victim") {
        return Ok(());
    }
    run(async {
        let mut first = Chronyd::reference(Ipv4Addr::new(127, 0, 2, 3)).await?;
        let mut second = Chronyd::reference(Ipv4Addr::new(127, 0, 2, 4)).await?;
        let mut sleep = Command::new("sleep");
        Faketime::new(SignedDuration::from_secs(5))?.apply(sleep.arg("600"));
        let directory = scratch::directory("sleep")?;
        let sleep = Process::spawn("sleep", sleep, &directory.join("log"))?;
        println!(
            "victim: {} {} {} {}",
            directory.parent().context("no parent")?.display(),
            first.process().pid(),
            second.process().pid(),
            sleep.pid(),
        );
        std::future::pending().await
    })
}

/// Wall, boot and raw monotonic time less CLOCK_MONOTONIC, in milliseconds.
///
/// CLOCK_MONOTONIC is one for the whole machine, so the difference to another process's does not depend on
/// when each was read.
fn clocks_against_monotonic() -> [f64; 3] {
    let ms = |id| {
        let time = clock_gettime(id);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let monotonic = ms(ClockId::Monotonic);
    let wall = wall_now().as_nanosecond() as f64 / 1e6;
    [wall - monotonic, ms(ClockId::Boottime) - monotonic, ms(ClockId::MonotonicRaw) - monotonic]
}

fn last_probe(log: &Path) -> Result<[f64; 3]> {
    let text = std::fs::read_to_string(log)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let line = whole.lines().rev().find_map(|line| line.split_once("probe: "));
    let (_, numbers) = line.context("the probe has printed nothing yet")?;
    let numbers: Vec<f64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [wall, boot, raw] = numbers[..] else { bail!("not three numbers: {numbers:?}") };
    Ok([wall, boot, raw])
}

/// A process that has ended and waits for its parent is not running.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
