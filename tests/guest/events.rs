//! What happens to the clock of the guest, what the agent in it makes of that, and what is seen from outside.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clockwarden::agent::report::{JumpReport, Report};
use clockwarden::clock::{Delta, Mono, OffsetInterval};
use clockwarden::runtime::mono_now;

use super::machine::{AGENT_PORT, HOST_ADDRESS, Machine};
use super::orders::{Order, Stepped};
use super::parts::{self, Found};
use super::witness;
use crate::support::{Chronyd, Outcome, run, wait_for};

/// The agent asks its references every 16 s, give or take an eighth; emulated and beside other work, later.
const ASKED_WITHIN: Duration = Duration::from_secs(60);
/// Of the guest's own time.
const STEP_NOTICED_WITHIN: Duration = Duration::from_millis(100);
/// The agent's default `--max-offset`.
const OFFSET_MAX: Duration = Duration::from_millis(500);
/// What the emulated oscillator drifts from this machine's in a minute: 3 ppm have been seen.
const DRIFT: Duration = Duration::from_millis(1);
/// Microseconds of the clock for every 10,000 of the oscillator, where nobody slews it.
const TICK: i64 = 10_000;
const SLEW_MIN: Duration = Duration::from_secs(6);
/// The rate is measured over four seconds by an emulated oscillator.
const SLEW_RATE_ERROR_PPM: f64 = 50.0;

#[test]
fn a_step_a_slew_a_pause_a_sleep_and_a_stall_of_a_guest_are_told_apart() -> Outcome {
    let parts = match parts::find()? {
        Found::Parts(parts) => parts,
        Found::Nothing { because } => {
            // The test harness hides what a test prints, but not what it writes.
            let _ = writeln!(std::io::stderr(), "guest: skipped, no virtual machine can be had here: {because}");
            return Ok(());
        }
    };
    run(async {
        let start = mono_now();
        let mut scene = Scene::set(Machine::start(&parts).await?).await?;
        println!("the guest and its agent were ready after {:.1?}", since(start));
        for event in [Event::Steps, Event::Slews, Event::Stall, Event::Pause, Event::Sleep] {
            let start = mono_now();
            scene.play(event).await.with_context(|| format!("{event:?}; the guest's console:\n{}", scene.console()))?;
            println!("{event:?} took {:.1?}", since(start));
        }
        Ok(())
    })
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Steps,
    Slews,
    Stall,
    Pause,
    Sleep,
}

/// How a step was noticed.
#[derive(Debug)]
struct Noticed {
    /// At most, by the guest's clock.
    after: Duration,
    evidence: String,
    /// Whether a reader was waiting for it.
    reader_waited: bool,
}

impl Noticed {
    fn at_once(&self) -> bool {
        self.after < STEP_NOTICED_WITHIN && self.evidence == "timerfd" && self.reader_waited
    }
}

/// A guest whose clock is right, with an agent that knows so from two references.
struct Scene {
    machine: Machine,
    _references: [Chronyd; 2],
}

impl Scene {
    async fn set(machine: Machine) -> Result<Self> {
        let references =
            [Chronyd::reference(Ipv4Addr::LOCALHOST).await?, Chronyd::reference(Ipv4Addr::LOCALHOST).await?];
        let mut arguments: Vec<String> = ["agent", "--node-name", "guest", "--chrony", "off"].map(str::to_owned).into();
        arguments.extend(["--listen".to_owned(), format!("0.0.0.0:{AGENT_PORT}")]);
        for reference in &references {
            arguments.extend(["--reference".to_owned(), format!("ntp://{HOST_ADDRESS}:{}", reference.ntp().port())]);
        }
        let start = mono_now();
        machine.orders.give::<()>(&Order::Start { arguments }).await?;
        let scene = Self { machine, _references: references };
        scene.wait_asked_since(start).await?;
        scene.set_right().await?;
        Ok(scene)
    }

    async fn play(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Steps => self.steps().await,
            Event::Slews => self.slews().await,
            Event::Stall => self.stall().await,
            Event::Pause => self.pause().await,
            Event::Sleep => self.sleep().await,
        }
    }

    /// A waiting reader is told of every step at once, through the timer that the kernel cancels.
    async fn steps(&self) -> Result<()> {
        let mut noticed = Vec::new();
        for ms in [2_000, -2_000, 10, -10, 172_800_000, -172_800_000] {
            noticed.push(self.step(Delta::from_nanos(ms * 1_000_000)).await?);
        }
        // The guest's time goes on while this machine has no time for the guest; then its threads may come to the
        // clock in another order, and late. Not always.
        let at_once = noticed.iter().filter(|noticed| noticed.at_once()).count();
        ensure!(2 * at_once >= noticed.len(), "{at_once} steps were noticed at once and by the timer: {noticed:#?}");
        self.set_right().await
    }

    /// Sets the clock by as much, and checks what a reader in the guest was told and what was seen from outside.
    async fn step(&self, by: Delta) -> Result<Noticed> {
        let (before, earlier) = self.look().await?;
        let stepped: Stepped = self.machine.orders.give(&Order::Step { nanos: by.nanos() }).await?;
        let (after, _) = self.look().await?;
        let truth = OffsetInterval::between(by, by.minus(stepped.set_within.into()));
        let seen = after.against(before);
        ensure!(seen.widened(DRIFT).overlaps(truth), "from outside it moved by {seen}, was set by {truth}");
        let jump = only(&earlier, &stepped.report, "step")?;
        check_amount(jump, truth)?;
        check_offset(&stepped.report, after)?;
        let noticed = Noticed {
            after: noticed_after(&stepped, jump)?,
            evidence: jump.evidence.clone(),
            reader_waited: reader_waited(&stepped.report, truth)?,
        };
        println!("set by {truth}: {noticed:?}, told after {:?}; from outside {seen}", stepped.told_after);
        Ok(noticed)
    }

    /// A guest starts up to a second off, since the clock of its board counts whole seconds; a pause does the rest.
    async fn set_right(&self) -> Result<()> {
        let offset = self.look().await?.0;
        if !offset.surely_within(OFFSET_MAX / 10) {
            self.step(Delta::ZERO.minus(offset.midpoint())).await?;
        }
        Ok(())
    }

    /// A clock that runs at another rate for a while, as chronyd lets it to correct an offset.
    async fn slews(&self) -> Result<()> {
        for faster_ppm in [10_000, -500] {
            self.slew(faster_ppm).await.with_context(|| format!("by {faster_ppm} ppm"))?;
        }
        Ok(())
    }

    async fn slew(&self, faster_ppm: i64) -> Result<()> {
        let (before, earlier) = self.look().await?;
        let started = mono_now();
        self.machine.orders.give::<()>(&Order::Tick { micros: TICK + faster_ppm / 100 }).await?;
        let running = mono_now();
        let told = self.wait_report("the slew to be told", |report| {
            let slew = report.slew.as_ref().context("there is none yet")?;
            // The first window is only partly of it.
            let right = (slew.rate_ppm - faster_ppm as f64).abs() < SLEW_RATE_ERROR_PPM;
            ensure!(right && since(running) >= SLEW_MIN, "the rate is another, or it is too soon");
            Ok(())
        });
        let slew = told.await?.slew.context("no slew")?;
        let ending = mono_now();
        self.machine.orders.give::<()>(&Order::Tick { micros: TICK }).await?;
        let ended = mono_now();
        let more =
            |time: Duration| Delta::from_nanos(i64::try_from(time.as_micros()).unwrap_or(0) * faster_ppm / 1_000);
        let truth = OffsetInterval::between(more(ending.since(running)), more(ended.since(started)));
        let seen = self.look().await?.0.against(before);
        println!("slewed by {truth}: told {} ppm and {} s; from outside {seen}", slew.rate_ppm, slew.amount_seconds);
        ensure!(seen.widened(DRIFT).overlaps(truth), "from outside it moved by {seen}, was slewed by {truth}");
        let so_far = interval(slew.amount_seconds, slew.error_bound_seconds)?;
        let up_to_all = OffsetInterval::between(Delta::ZERO, more(ended.since(started)));
        ensure!(
            !so_far.contains(Delta::ZERO) && so_far.overlaps(up_to_all),
            "{truth} in all, told while it lasted: {slew:?}"
        );
        let report = self.wait_report("the slew to be over", |report| {
            let jump = only(&earlier, report, "slew")?;
            ensure!(!jump.ongoing && report.slew.is_none(), "it goes on");
            Ok(())
        });
        report.await?;
        let report = self.wait_asked_since(ended).await?;
        let jump = only(&earlier, &report, "slew")?;
        ensure!(jump.evidence == "oscillator", "{jump:#?}");
        check_amount(jump, truth)?;
        check_offset(&report, self.look().await?.0)
    }

    /// A host that stops running the guest for a while: its clocks leap together and stay right.
    async fn stall(&mut self) -> Result<()> {
        let (before, earlier) = self.look().await?;
        self.machine.stall(Duration::from_secs(3)).await?;
        let continued = mono_now();
        let seen = self.look().await?.0.against(before);
        println!("stalled for 3 s: from outside {seen}");
        ensure!(seen.widened(DRIFT).contains(Delta::ZERO), "from outside it moved by {seen}");
        let report = self.wait_asked_since(continued).await?;
        check_nothing(&earlier, &report, "a stall is nothing that happens to a clock")?;
        check_offset(&report, self.look().await?.0)
    }

    /// A hypervisor that freezes the guest with all its clocks: only who is outside can see it.
    async fn pause(&mut self) -> Result<()> {
        let (before, earlier) = self.look().await?;
        let (least, most) = self.machine.pause(Duration::from_secs(5)).await?;
        let continued = mono_now();
        let truth = OffsetInterval::between(Delta::ZERO.minus(least.into()), Delta::ZERO.minus(most.into()));
        let seen = self.look().await?.0.against(before);
        println!("paused, {truth}: from outside {seen}");
        ensure!(seen.widened(DRIFT).overlaps(truth), "from outside it moved by {seen}, the pause was {truth}");
        let told = self.wait_report("the pause to be told", |report| {
            // Until a second witness has been heard it is unexplained.
            only(&earlier, report, "pause").map(drop)
        });
        told.await?;
        let report = self.wait_asked_since(continued).await?;
        let jump = only(&earlier, &report, "pause")?;
        ensure!(jump.evidence == "witness", "{jump:#?}");
        check_amount(jump, truth)?;
        check_offset(&report, self.look().await?.0)?;
        self.set_right().await
    }

    /// Suspended to RAM and woken: the wall clock moves on, rightly, while the monotonic one stands still.
    async fn sleep(&mut self) -> Result<()> {
        let (before, earlier) = self.look().await?;
        let (orders, began) = (self.machine.orders, mono_now());
        let (obeyed, slept) =
            tokio::join!(orders.give::<()>(&Order::Sleep), self.machine.wake_after(Duration::from_secs(6)));
        let (least, woken) = (slept?, mono_now());
        obeyed?;
        let seen = self.look().await?.0.against(before);
        let slept = OffsetInterval::between(least.into(), woken.since(began).into());
        println!("slept for {slept}: from outside {seen}");
        // How long it slept the kernel takes from the board's clock, in whole seconds, and takes up to two seconds
        // between that and its own for a rounding that it makes good (timekeeping_suspend).
        ensure!(seen.surely_within(Duration::from_secs(3)), "from outside it moved by {seen}");
        let report = self.wait_asked_since(woken).await?;
        // Whether the timer or somebody who compared the clocks came first, is for the scheduler to say.
        check_amount(only(&earlier, &report, "suspend")?, slept.shifted(seen))?;
        check_offset(&report, self.look().await?.0)
    }

    async fn look(&self) -> Result<(OffsetInterval, Report)> {
        witness::look(self.machine.agent).await
    }

    /// Waits until the agent has asked both references after `event`, and so has had every chance to notice it.
    async fn wait_asked_since(&self, event: Mono) -> Result<Report> {
        self.wait_report("both references to be asked again", |report| {
            let passed = since(event).as_secs_f64();
            let asked = references(report).filter(|age| *age < passed).count();
            ensure!(asked == 2, "{asked} of 2 were");
            Ok(())
        })
        .await
    }

    async fn wait_report(&self, what: &str, condition: impl Fn(&Report) -> Result<()>) -> Result<Report> {
        wait_for(what, ASKED_WITHIN, async || {
            let report = witness::report(self.machine.agent).await?;
            condition(&report).with_context(|| format!("the agent reports {report:#?}"))?;
            Ok(report)
        })
        .await
    }

    fn console(&self) -> String {
        self.machine.log().unwrap_or_else(|error| format!("{error:#}"))
    }
}

/// How long ago, in seconds of the guest, each of the references gave evidence.
fn references(report: &Report) -> impl Iterator<Item = f64> {
    let references = report.sources.iter().filter(|source| source.name.starts_with("ntp://"));
    references.filter(|source| source.error.is_none()).filter_map(|source| source.age_seconds)
}

/// What the agent has noticed since an earlier report.
fn news<'a>(earlier: &Report, report: &'a Report) -> Vec<&'a JumpReport> {
    let known = earlier.jumps.last().map_or(0, |jump| jump.number);
    report.jumps.iter().filter(|jump| jump.number > known).collect()
}

/// The one thing that the agent has noticed since, if that is its cause.
fn only<'a>(earlier: &Report, report: &'a Report, cause: &str) -> Result<&'a JumpReport> {
    match news(earlier, report).as_slice() {
        [jump] if jump.cause == cause => Ok(jump),
        news => bail!("what happened is one {cause}, but noticed was {news:#?}"),
    }
}

/// Both by the monotonic clock of the guest: when the agent says that it noticed, and when the setting began.
fn noticed_after(stepped: &Stepped, jump: &JumpReport) -> Result<Duration> {
    let began = Duration::from_nanos(stepped.began);
    let noticed = Duration::try_from_secs_f64(jump.monotonic_noticed_seconds.context("noticed when?")?)?;
    noticed.checked_sub(began).with_context(|| format!("noticed at {noticed:?}, before it began at {began:?}"))
}

fn check_nothing(earlier: &Report, report: &Report, why: &str) -> Result<()> {
    let news = news(earlier, report);
    ensure!(news.is_empty(), "{why}, but noticed was {news:#?}");
    Ok(())
}

fn check_amount(jump: &JumpReport, truth: OffsetInterval) -> Result<()> {
    let amount = interval(jump.amount_seconds, jump.error_bound_seconds)?;
    ensure!(amount.overlaps(truth), "it was by {truth}, but noticed was {jump:#?}");
    // Known well enough to tell it from nothing, and from another one.
    ensure!(amount.bound() < truth.midpoint().magnitude() / 4, "known to within {:?} only: {jump:#?}", amount.bound());
    Ok(())
}

/// Whether the question was waiting when the clock was set: then, from its arrival to the answer, the wall clock went
/// on by how long it was held and by the step.
fn reader_waited(report: &Report, step: OffsetInterval) -> Result<bool> {
    let walked = report.sent_unix_nanos.saturating_sub(report.received_unix_nanos);
    let more = Delta::from_nanos(walked.saturating_sub(i64::try_from(report.held_nanos)?));
    Ok(step.widened(Duration::from_millis(5)).contains(more))
}

/// The agent's offset and state are those that the outside witness sees: its references tell this machine's time.
fn check_offset(report: &Report, outside: OffsetInterval) -> Result<()> {
    let (Some(offset), Some(bound)) = (report.offset_seconds, report.error_bound_seconds) else {
        bail!("the agent knows no offset: {report:#?}");
    };
    let inside = interval(offset, bound)?;
    ensure!(inside.widened(DRIFT).overlaps(outside), "the agent says {inside}, from outside it is {outside}");
    // Where neither is certain, the state is that of before.
    let state = if inside.surely_beyond(OFFSET_MAX) { "Drifting" } else { "Synchronized" };
    let certain = inside.surely_beyond(OFFSET_MAX) || inside.surely_within(OFFSET_MAX);
    ensure!(!certain || report.state == state, "from outside it is {outside}, but {report:#?}");
    Ok(())
}

fn interval(offset_s: f64, bound_s: f64) -> Result<OffsetInterval> {
    let offset = Delta::from_seconds(offset_s).context("an impossible offset")?;
    Ok(OffsetInterval::new(offset, Duration::try_from_secs_f64(bound_s)?))
}

fn since(start: Mono) -> Duration {
    mono_now().since(start)
}
