//! The test support's clocks: chronyd, right and wrong, and libfaketime.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::SignedDuration;
use rustix::time::{ClockId, clock_gettime};

use crate::support::process::{has_role, role};
use crate::support::wait::wall_now;
use crate::support::{Chronyd, Faketime, Outcome, Process, run, scratch};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn chronyd_serves_and_follows_on_loopback() -> Outcome {
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
fn a_wrong_reference_misleads_whoever_follows_it() -> Outcome {
    run(async {
        let clock = Faketime::new(SignedDuration::from_secs(15))?;
        let server = Chronyd::wrong_reference(Ipv4Addr::new(127, 0, 2, 5), &clock).await?;
        let follower = Chronyd::following(Ipv4Addr::new(127, 0, 2, 6), server.ntp()).await?;
        let tracking = follower.chronyc(&["-c", "tracking"])?;
        // The fifth field is by how many seconds the system's clock is behind, as chronyc prints it.
        let behind: f64 = tracking.split(',').nth(4).context("no fifth field")?.parse()?;
        ensure!((behind - 15.0).abs() < 0.001, "{behind} in {tracking}");
        Ok(())
    })
}

#[test]
fn faketime_shifts_a_running_process_and_only_its_wall_clock() -> Outcome {
    run(async {
        let clock = Faketime::new(SignedDuration::from_millis(15_250))?;
        let mut command = role(PROBE)?;
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

const PROBE: &str = "clocks::clock_probe";

/// Prints the clocks until it is killed.
#[test]
#[ignore = "a child process of the faketime test"]
fn clock_probe() {
    while has_role(PROBE) {
        let [wall, boot, raw] = clocks_against_monotonic();
        println!("probe: {wall} {boot} {raw}");
        std::thread::sleep(Duration::from_millis(10));
    }
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
