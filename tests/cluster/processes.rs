//! The test support's processes: failures are explained, logs kept, and nothing outlives a test process.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::SignedDuration;

use crate::support::process::{has_role, role};
use crate::support::wait::mono_now;
use crate::support::{Chronyd, Clockwarden, Faketime, Outcome, Process, binary, run, scratch, wait_for};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn nothing_outlives_a_test_process_that_is_killed() -> Outcome {
    run(async {
        let log = scratch::directory("victim")?.join("log");
        let mut victim = Process::spawn("victim", role(VICTIM)?, &log)?;
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

#[test]
fn our_own_binary_starts_answers_and_ends_when_asked() -> Outcome {
    run(async {
        let args = ["agent", "--listen", "127.0.3.1:9555", "--chrony", "off"];
        let mut agent = Clockwarden::start("agent", args, |_| {})?;
        agent.wait_http("http://127.0.3.1:9555/healthz", SOON).await?;
        let status = agent.terminate(SOON).await?;
        ensure!(status.success(), "{status}: {}", agent.log()?);

        let refused = binary::output(["no-such-command"])?;
        ensure!(!refused.status.success() && !refused.stderr.is_empty(), "{refused:?}");
        Ok(())
    })
}

#[test]
fn a_failed_test_keeps_its_directory_and_says_where_it_is() -> Outcome {
    run(async {
        let log = scratch::directory("failing")?.join("log");
        let mut failing = Process::spawn("failing", role(FAILING)?, &log)?;
        let status = failing.wait_end(SOON).await?;
        let text = failing.log()?;
        ensure!(!status.success() && text.contains("as it shall"), "{status}: {text}");
        let kept = text.lines().find_map(|line| line.split_once(" are kept in ")).context("nothing is kept")?;
        let kept = PathBuf::from(kept.1);
        // The watchdog acts after the end of its process: what it removes, it has removed by then.
        let watchdog = text.lines().find_map(|line| line.strip_prefix("watchdog: ")).context("no watchdog")?;
        wait_for("the watchdog to end", SOON, async || {
            ensure!(!is_running(watchdog), "{watchdog} still runs");
            Ok(())
        })
        .await?;
        assert_eq!(std::fs::read_to_string(kept.join("0-evidence/log"))?, "what happened\n");
        std::fs::remove_dir_all(&kept)?;
        Ok(())
    })
}

#[test]
fn waiting_for_a_process_that_ends_shows_its_log_at_once() -> Outcome {
    run(async {
        let log = scratch::directory("ending")?.join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the disk is on fire; exit 3"]);
        let start = mono_now();
        let mut process = Process::spawn("ending", command, &log)?;
        let outcome = process.wait_line("ready", Duration::from_secs(600)).await;
        let error = format!("{:#}", outcome.err().context("it is not ready")?);
        ensure!(error.contains("exit status: 3") && error.contains("the disk is on fire"), "{error}");
        ensure!(start.elapsed() < SOON, "after {:?}", start.elapsed());
        Ok(())
    })
}

#[test]
fn waiting_in_vain_tells_the_last_reason() -> Outcome {
    run(async {
        let mut looks = 0;
        let outcome: Result<()> = wait_for("the moon", Duration::from_millis(100), async || {
            looks += 1;
            bail!("clouds, seen {looks} times")
        })
        .await;
        let error = format!("{:#}", outcome.err().context("no moon")?);
        ensure!(error.contains("in vain for the moon"), "{error}");
        ensure!(looks > 1 && error.ends_with(&format!("clouds, seen {looks} times")), "{error}");

        let hung: Result<()> = wait_for("nothing", Duration::from_millis(100), std::future::pending).await;
        let error = format!("{:#}", hung.err().context("not hung")?);
        ensure!(error.contains("hung"), "{error}");
        Ok(())
    })
}

const VICTIM: &str = "processes::victim";
const FAILING: &str = "processes::failing";

/// Starts two daemons and a process with a wrong clock, tells their numbers, and waits to be killed.
#[test]
#[ignore = "a child process of the test that kills it"]
fn victim() -> Outcome {
    if !has_role(VICTIM) {
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

/// Fails, with something to keep.
#[test]
#[ignore = "a child process of the test that looks at what it keeps"]
fn failing() -> Outcome {
    if !has_role(FAILING) {
        return Ok(());
    }
    run(async {
        std::fs::write(scratch::directory("evidence")?.join("log"), "what happened\n")?;
        println!("watchdog: {}", scratch::watchdog()?);
        bail!("it fails, as it shall")
    })
}

/// A process that has ended and waits for its parent is not running.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
