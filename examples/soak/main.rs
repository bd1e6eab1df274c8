//! Puts the controller through many random days, and through one long quiet month, and says how fast that went.
//!
//! `make soak SEEDS=10000`. Every thread takes the next seed; the first that breaks a rule is shrunk to a short scenario,
//! which goes into a file of `tests/fleet/` once the bug is fixed. What the rules are stands in docs/drill.md.

use anyhow::bail;
use clap::Parser;
use clockwarden::drill::random::{self, Size};
use clockwarden::drill::{Ran, Scenario, script, shrink};
use clockwarden::runtime::mono_now;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How much is to be gone through.
#[derive(Debug, Parser)]
struct Args {
    /// How many random days.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many at once; as many as there are cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// Short scenarios with few nodes, as in the tests, instead of days.
    #[arg(long)]
    short: bool,
    /// Leave the month out.
    #[arg(long)]
    no_month: bool,
}

/// A thousand nodes for a month: one fails every hour and is repaired, the leader is killed every day.
fn month() -> anyhow::Result<Scenario> {
    use std::fmt::Write as _;
    let mut text = "nodes 1000 zones 4\ncontrollers 2\npolicy p interval=30m stale=90m\nend 720h\n".to_owned();
    for hour in 1..719_u32 {
        writeln!(text, "at {hour}h n{} step +{}s for 20m", hour * 7 % 1_000, 1 + hour % 50)?;
        if hour % 24 == 0 {
            writeln!(text, "at {hour}h1s c{} kill for 1m", hour / 24 % 2)?;
        }
    }
    Ok(script::read(&text)?)
}

fn told(ran: &Ran) -> String {
    ran.broken.iter().map(|broken| format!("  {broken}\n")).collect()
}

/// How to have it again, and the short of it.
fn report(seed: u64, scenario: &Scenario, ran: &Ran) -> String {
    let rule = ran.broken.first().map(|broken| broken.rule);
    let fails = |it: &Scenario| clockwarden::drill::run(it, None).broken.first().map(|broken| broken.rule) == rule;
    let short = shrink::shrink(scenario, 1_000, fails);
    let again = clockwarden::drill::run(&short, None);
    format!("SEED={seed}\n{}shrunk:\n{short}{}{}", told(ran), told(&again), again.journal)
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let (size, last) = (if args.short { Size::SHORT } else { Size::DAY }, args.seed.saturating_add(args.seeds));
    let (next, is_over) = (AtomicU64::new(args.seed), AtomicBool::new(false));
    let sums: Mutex<(u64, f64, u64, u64)> = Mutex::default();
    let failed: Mutex<Option<String>> = Mutex::default();
    let began = mono_now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    let scenario = random::scenario(seed, size);
                    let ran = clockwarden::drill::run(&scenario, None);
                    if !ran.broken.is_empty() && !is_over.swap(true, Ordering::Relaxed) {
                        println!("SEED={seed}: a rule was broken; looking for a shorter scenario\n{}", told(&ran));
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(report(seed, &scenario, &ran));
                    }
                    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                    let (runs, hours, writes, played) = *sums;
                    *sums = (runs + 1, hours + ran.node_hours, writes + ran.writes, played + ran.played);
                    if (runs + 1) % 100 == 0 {
                        println!("{} runs, {:.0} s", runs + 1, mono_now().since(began).as_secs_f64());
                    }
                }
            });
        }
    });
    let (runs, hours, writes, played) = *sums.lock().unwrap_or_else(PoisonError::into_inner);
    let took = mono_now().since(began).as_secs_f64();
    println!(
        "{runs} runs, {hours:.0} node-hours, {writes} writes, {played} events in {took:.1} s on {threads} threads"
    );
    println!("{:.0} node-hours a second, {:.0} on each thread", hours / took, hours / took / threads as f64);
    if let Some(report) = failed.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        bail!("a rule was broken\n{report}");
    }
    if !args.no_month {
        let (scenario, began) = (month()?, mono_now());
        let ran = clockwarden::drill::run(&scenario, None);
        let took = mono_now().since(began).as_secs_f64();
        println!(
            "a month of 1,000 nodes: {took:.1} s, {:.0} node-hours a second, {} writes",
            ran.node_hours / took,
            ran.writes
        );
        if !ran.broken.is_empty() {
            bail!("a rule was broken\n{}", told(&ran));
        }
    }
    Ok(ExitCode::SUCCESS)
}
