//! The agent: measures one node's clock and tells whoever asks.
//!
//! ```text
//! sources (kernel, chrony, sntp, …) --poll--> Outcome ──┐
//! watch (timerfd, comparison)       --------> Jump    ──┴─▶ state::Core ──report──▶ http ──▶ controller, people
//!                                                             └─▶ history (a file, if one is named)
//! ```
//!
//! Tasks: one for each source (waits for its next time, or for the clock being set), one thread that watches for
//! settings, one that serves, one that keeps the history. They share a [`board::Board`]; the [`state::Core`] on it is pure and does the thinking.
//! The agent sets nothing, needs no rights, and holds no Kubernetes credentials.

pub mod args;
pub mod board;
pub mod clocks;
pub mod history;
pub mod http;
pub mod jumps;
mod metrics;
pub mod once;
pub mod poll;
pub mod report;
pub mod serve;
pub mod sources;
pub mod state;
pub mod watch;

use crate::clock::Tolerance;
use crate::runtime::Tasks;
use anyhow::Context as _;
use args::AgentArgs;
use board::Board;
use history::History;
use sources::{Settings, Source};
use state::{Core, Identity};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Runs the agent until it is told to stop, or once.
///
/// # Errors
/// If the address cannot be listened on, or a task ends although nobody asked it to.
pub async fn run(args: AgentArgs) -> anyhow::Result<ExitCode> {
    if let (Some(path), Some(owner)) = (&args.history, args.history_owner) {
        owner.give(path);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings {
        references: args.references.clone(),
        chrony: args.chrony.clone(),
        ntpd_rs: args.ntpd_rs.clone(),
        host_root: args.host_root.clone(),
    };
    let sources = sources::all(&settings);
    let mut core = core(&args, &sources)?;
    if args.once {
        return once::run(core, sources, &args).await;
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", args.listen))?;
    let address = listener.local_addr()?;
    let names: Vec<&str> = sources.iter().map(|source| source.name()).collect();
    tracing::info!(%address, sources = names.join(","), "agent listening");

    let mut history = None;
    if let Some(path) = &args.history {
        let (file, past) = History::open(path);
        let boot = history::boot(core.instance());
        core.jumps_mut().resume(past, boot, &clocks::sample());
        history = file;
    }
    let board = Arc::new(Board::new(core));
    let mut tasks = Tasks::new().context("cannot listen for signals")?;
    for (number, source) in sources.into_iter().enumerate() {
        tasks.spawn("source", poll::run(board.clone(), number, source, tasks.stop()));
    }
    let (watched, stop) = (board.clone(), tasks.stop());
    tasks.spawn("watch", async move {
        tokio::task::spawn_blocking(move || watch::run(&watched, &stop)).await.context("the step watcher failed")
    });
    if let Some(history) = history {
        tasks.spawn("history", history::keep(board.clone(), history, tasks.stop()));
    }
    let router = http::router(board, tasks.stop());
    tasks.spawn("http", serve::run(listener, router, serve::Limits::default(), tasks.stop()));
    tasks.run().await?;
    Ok(ExitCode::SUCCESS)
}

fn core(args: &AgentArgs, sources: &[Box<dyn Source>]) -> anyhow::Result<Core> {
    let mut instance = [0u8; 8];
    rustix::rand::getrandom(&mut instance, rustix::rand::GetRandomFlags::empty()).context("no random bytes")?;
    let node = match &args.node_name {
        Some(name) if !name.is_empty() => name.clone(),
        Some(_) | None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let who = Identity { node, instance: format!("{:016x}", u64::from_ne_bytes(instance)) };
    let tolerance = Tolerance { offset_max: args.max_offset, ..TOLERANCE };
    let names: Vec<&str> = sources.iter().map(|source| source.name()).collect();
    Ok(Core::new(who, tolerance, &names, clocks::sample()))
}

/// The agent's own tolerance, apart from `--max-offset`. A controller judges by its policy.
///
/// Evidence may be older than a policy lets an agent's answer be: a reference at rest is asked every 64 s (72 s with
/// jitter), and one lost answer must not make the clock unknown. Its bound grows with its age all the same.
const TOLERANCE: Tolerance = Tolerance {
    offset_max: Duration::from_millis(500),
    error_max: Duration::from_secs(2),
    unsynchronized_max: Duration::from_secs(300),
    stale_after: Duration::from_secs(150),
};
