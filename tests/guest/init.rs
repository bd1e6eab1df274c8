//! The first process of the guest: this test binary once more, running only the ignored test below.
//!
//! It makes the machine usable (mounts, modules, network) and then takes orders, most of which are about the clock.
//! So it must never run anywhere else: besides being process 1, which it would be in a container too, it wants to be
//! named on the command line of the *kernel*.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::agent::report::Report;
use clockwarden::clock::{Delta, Mono};
use clockwarden::runtime::{mono_now, wall_now};
use rustix::time::{ClockId, Timespec, clock_settime};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::image;
use super::machine::{AGENT_PORT, GUEST_ADDRESS, ORDERS_PORT};
use super::orders::{Order, Stepped};
use crate::support::process::has_role;
use crate::support::{self, Outcome, http, wait_for};

/// A word of the kernel's command line, which the kernel puts into the environment of process 1.
pub(crate) const ROLE: &str = "CLOCKWARDEN_TEST_ROLE=init::first_process_of_the_guest";
/// What the test harness needs to be told to run this and nothing else.
pub(crate) const ARGUMENTS: &str = "--ignored --nocapture --exact init::first_process_of_the_guest";

/// By then the reader's question has reached the agent and waits there; the report says whether it did.
const ASKED_BEFORE: Duration = Duration::from_secs(1);
/// The longest that the agent holds a question.
const HOLD: &str = "30s";
const NETWORK_WITHIN: Duration = Duration::from_secs(60);

#[test]
#[ignore = "it is the first process of the guest; anywhere else it does nothing"]
fn first_process_of_the_guest() -> Outcome {
    if !has_role("init::first_process_of_the_guest") {
        return Ok(());
    }
    support::run(async {
        let mut first = First::of_the_guest()?;
        mount("sysfs", "/sys")?;
        mount("devtmpfs", "/dev")?;
        load_modules()?;
        bring_up_network().await?;
        let listener = TcpListener::bind(("0.0.0.0", ORDERS_PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            if let Err(error) = first.answer(stream).await {
                println!("a connection failed: {error:#}");
            }
        }
    })
}

fn busybox(arguments: &[&str]) -> Result<()> {
    let output = Command::new(image::BUSYBOX).args(arguments).output().context("cannot run busybox")?;
    ensure!(output.status.success(), "busybox {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn mount(kind: &str, path: &str) -> Result<()> {
    busybox(&["mount", "-t", kind, kind, path])
}

fn load_modules() -> Result<()> {
    let Ok(order) = fs::read_to_string(format!("{}/order", image::MODULES)) else { return Ok(()) };
    order.lines().try_for_each(|name| busybox(&["insmod", &format!("{}/{name}", image::MODULES)]))
}

async fn bring_up_network() -> Result<()> {
    busybox(&["ifconfig", "lo", "127.0.0.1", "up"])?;
    wait_for("the network", NETWORK_WITHIN, async || {
        busybox(&["ifconfig", "eth0", GUEST_ADDRESS, "netmask", "255.255.255.0", "up"])
    })
    .await
}

/// The first process of the guest: only the guest has one, and only it touches the clock.
struct First {
    agent: Option<Child>,
}

impl First {
    fn of_the_guest() -> Result<Self> {
        ensure!(rustix::process::getpid().is_init(), "not process 1: this is no guest");
        if !Path::new("/proc/cmdline").exists() {
            mount("proc", "/proc")?;
        }
        let kernel = fs::read_to_string("/proc/cmdline").context("the kernel's command line")?;
        ensure!(kernel.split_whitespace().any(|word| word == ROLE), "the kernel was not started as that of a guest");
        Ok(Self { agent: None })
    }

    async fn answer(&mut self, stream: TcpStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let done = match serde_json::from_str(&line) {
            Ok(order) => self.obey(order).await.map_err(|error| format!("{error:#}")),
            Err(error) => Err(format!("{line:?} is no order: {error}")),
        };
        stream.write_all(serde_json::to_string(&done)?.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }

    async fn obey(&mut self, order: Order) -> Result<Value> {
        match order {
            Order::Hello => {}
            Order::Start { arguments } => {
                ensure!(self.agent.is_none(), "there is an agent already");
                let agent = Command::new(image::AGENT).args(arguments).env("NO_COLOR", "1").spawn();
                self.agent = Some(agent.context("cannot start the agent")?);
            }
            Order::Step { nanos } => return Ok(serde_json::to_value(self.step(nanos).await?)?),
            Order::Tick { micros } => busybox(&["adjtimex", "-q", "-t", &micros.to_string()])?,
            // Returns when somebody has woken the machine.
            Order::Sleep => fs::write("/sys/power/state", "mem").context("the machine does not sleep")?,
        }
        Ok(Value::Null)
    }

    async fn step(&self, nanos: i64) -> Result<Stepped> {
        let (_, report) = ask("").await?;
        let reader = tokio::spawn(next_jump(report));
        tokio::time::sleep(ASKED_BEFORE).await;
        // A guest that is put aside between reading the clock and setting it sets it by less: better begin again.
        let (before, target) = loop {
            let before = mono_now();
            let target = wall_now().plus(Delta::from_nanos(nanos));
            if mono_now().since(before) < Duration::from_millis(1) {
                break (before, target.unix_nanos());
            }
        };
        let billion = 1_000_000_000;
        let target = Timespec { tv_sec: target.div_euclid(billion), tv_nsec: target.rem_euclid(billion) };
        clock_settime(ClockId::Realtime, target).context("cannot set the clock")?;
        let set = mono_now();
        let (told, report) = reader.await.context("the reader failed")??;
        Ok(Stepped { began: before.nanos(), set_within: set.since(before), told_after: told.since(before), report })
    }
}

/// Asks for news until there is one more jump, and says when that was known here.
async fn next_jump(mut report: Report) -> Result<(Mono, Report)> {
    let known = report.jumps.last().map_or(0, |jump| jump.number);
    loop {
        let question = format!("?after={}&wait={HOLD}&instance={}", report.sequence, report.instance);
        let asked = mono_now();
        let told;
        (told, report) = ask(&question).await?;
        if report.jumps.last().is_some_and(|jump| jump.number > known) {
            return Ok((told, report));
        }
        ensure!(told.since(asked) < Duration::from_secs(29), "no news of a jump: {report:?}");
    }
}

/// The agent's report, and when its answer had arrived: reading it takes an emulated machine some milliseconds.
async fn ask(question: &str) -> Result<(Mono, Report)> {
    let answer = http::get(&format!("http://127.0.0.1:{AGENT_PORT}/v1/clock{question}")).await?;
    let told = mono_now();
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok((told, serde_json::from_str(&answer.body)?))
}

/// Naming the role is not enough, and being process 1 is not either.
#[test]
fn no_other_machine_is_taken_for_the_guest() {
    assert!(First::of_the_guest().is_err());
    let kernel = fs::read_to_string("/proc/cmdline").unwrap();
    assert!(!kernel.contains(ROLE), "this machine was started as a guest: {kernel}");
}
