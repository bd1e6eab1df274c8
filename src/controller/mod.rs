//! The controller: watch -> engine -> errands -> API server.
//!
//! ```text
//! watch (nodes, policies, NodeClocks) ─┐
//! sources (agents, exporters, …) ──────┼─▶ the loop below ─▶ engine (a pure state machine) ─▶ hands ─▶ API server
//! references (NTP servers) ────────────┤                          ▲                             │
//! elect (leader lease) ────────────────┘                          └────── what a write came to ──┘
//! audit (lists, now and then) ─▶ metrics and PolicyReports; apart from all the above but for the lease, and that it is
//!                                told when a policy has changed
//! ```
//!
//! One loop owns the engine; a few hands perform errands beside it, each one write at a time, never two for one object.
//! A replica that does not lead has no hands, but its engine knows since when everything has been how.

pub mod args;
pub mod audit;
pub mod ballot;
pub mod client;
pub mod connection;
pub mod elect;
pub mod engine;
pub mod errand;
pub mod evaluate;
pub mod fleet;
pub mod gate;
pub mod hands_off;
pub mod http;
pub mod lean;
pub mod lease;
pub mod policy_status;
pub mod record;
pub mod references;
pub mod request;
pub mod sources;
pub mod suspect;
pub mod totals;
pub mod watch;
pub mod write;

pub use args::ControllerArgs;

use crate::agent::clocks;
use crate::clock::Mono;
use crate::runtime::{CancellationToken, Tasks};
use anyhow::Context;
use client::{Deputy, Performer};
use elect::Leadership;
use engine::Engine;
use errand::{Errand, Step};
use fleet::Specs;
use gate::Gate;
use http::{Published, Written};
use kube::{Client, Config};
use lease::{Election, Periods};
use references::References;
use request::Verb;
use sources::lease::{ControlPlane, Leases};
use sources::{Observations, Pollers};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch::{self as latest, Sender};
use tokio::task::JoinSet;
use watch::Told;
use write::{Answer, WriteError};

/// So many writes are under way at once.
const HANDS: usize = 8;
/// One request takes no longer. It is the time between our last moment of leading (the renew deadline, 10 s) and the
/// first of anybody else (the lease's duration, 15 s): what we began while we led has ended before another begins.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// The control loop looks about at least this often.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Whom to ask is looked at anew no more often than this: it costs a look at every node, and joining nodes come in heaps.
const ASKING_SPACING: Duration = Duration::from_millis(250);
/// When asked to stop, errands that are under way may take so long to end.
const STOP_MAX: Duration = Duration::from_secs(6);

/// Runs until SIGTERM.
///
/// # Errors
/// If no API server is configured, a port is taken, or a task ends unasked.
pub async fn run(args: ControllerArgs) -> anyhow::Result<ExitCode> {
    // Fails only if a provider was chosen already, which is then the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    connection::allow_connections();
    let config = Config::infer()
        .await
        .context("no cluster to work with: set KUBECONFIG, or run inside a cluster with a service account")?;
    let client = Client::try_from(config.clone()).context("the cluster's configuration cannot be used")?;
    let mut tasks = Tasks::new().context("signals cannot be listened for")?;
    let identity = identity();
    let leadership = if args.no_leader_election {
        Leadership::sole()
    } else {
        Leadership::elected(Election::new(identity.clone(), Periods::default()))
    };
    let candidate = Performer::new(client.clone(), identity.clone(), args.lease_namespace.clone());
    tasks.spawn("leader election", elect::run(leadership.clone(), candidate, tasks.stop()));
    let deputy = Deputy::new(config, identity.clone(), args.lease_namespace.clone());
    let (tell, told) = mpsc::channel(1024);
    tasks.spawn("watches", watch::run(client.clone(), tell, tasks.stop()));
    let leases = Leases { client, control_plane: ControlPlane::default() };
    let (figures, written) = (audit::Figures::default(), Written::default());
    let (specs, changed) = latest::channel(Specs::default());
    let rounds = audit::Rounds::new(
        audit::rounds::When { period: args.audit_interval, specs: changed },
        args.lease_namespace,
        audit::cluster::Cluster::new(leases.client.clone()),
        deputy.clone(),
        leadership.clone(),
        figures.clone(),
        written.clone(),
    );
    tasks.spawn("audit", rounds.run(tasks.stop()));
    let engine = Arc::new(Mutex::new(Engine::default()));
    let published =
        Published::new(leadership.clone(), written.clone(), leases.control_plane.clone(), Arc::clone(&engine), figures);
    tasks.spawn("http", http::serve(args.listen, published, tasks.stop()).await?);
    let observations = Observations::default();
    let control = Control {
        engine,
        pollers: Pollers::new(observations.clone()).with_leases(leases),
        observations,
        references: References::default(),
        asked: None,
        hands: JoinSet::new(),
        deputy,
        leadership,
        term: None,
        written,
        specs,
    };
    tasks.spawn("control loop", control.run(told, tasks.stop()));
    tracing::info!(identity, listen = %args.listen, "controller started");
    tasks.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// Host, process and chance: a restarted process is another candidate.
fn identity() -> String {
    use std::hash::{BuildHasher, RandomState};
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}_{}_{:08x}", std::process::id(), RandomState::new().hash_one(0) & 0xffff_ffff)
}

struct Control {
    engine: Arc<Mutex<Engine>>,
    observations: Observations,
    pollers: Pollers,
    references: References,
    /// When it was last looked at whom to ask.
    asked: Option<Mono>,
    hands: JoinSet<(Errand, Result<Answer, WriteError>)>,
    deputy: Deputy,
    leadership: Leadership,
    /// The latest in which we led.
    term: Option<Gate>,
    written: Written,
    /// For who works by the policies beside us.
    specs: Sender<Specs>,
}

impl Control {
    async fn run(mut self, mut told: Receiver<Told>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut pause = Duration::ZERO;
        loop {
            let observations = self.observations.clone();
            let mut news: Vec<Told> = Vec::new();
            let mut ended = None;
            tokio::select! {
                () = stop.cancelled() => break,
                count = told.recv_many(&mut news, 256) => if count == 0 && !stop.is_cancelled() {
                    anyhow::bail!("the watches ended");
                },
                () = observations.changed() => {}
                () = self.references.changed() => {}
                () = self.leadership.changed() => {}
                Some(hand) = self.hands.join_next() => ended = Some(hand.context("a write panicked")?),
                () = tokio::time::sleep(pause) => {}
            }
            pause = self.round(news, ended);
        }
        // The lease is given up when these have ended.
        let rest = async { while self.hands.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_MAX, rest).await.is_err() {
            tracing::warn!("writes are still under way");
        }
        Ok(())
    }

    /// Takes in what happened and begins what is due. Returns how long nothing need be done.
    fn round(&mut self, news: Vec<Told>, ended: Option<(Errand, Result<Answer, WriteError>)>) -> Duration {
        let clocks = clocks::sample();
        let engine = Arc::clone(&self.engine);
        let mut engine = lock(&engine);
        let has_policies = news.iter().any(|told| matches!(told, Told::Policy(_)));
        for event in news {
            engine.learn(event, &clocks);
        }
        if has_policies && engine.fleet().policies.synced() {
            let now = engine.fleet().specs();
            self.specs.send_if_modified(|specs| std::mem::replace(specs, now.clone()) != now);
        }
        for (source, node, observation) in self.observations.take() {
            engine.know(&source, &node, observation, &clocks);
        }
        for (reference, measured) in self.references.take() {
            engine.heard(&reference, measured);
        }
        let others = std::iter::from_fn(|| self.hands.try_join_next()).filter_map(Result::ok);
        for (errand, result) in ended.into_iter().chain(others).collect::<Vec<_>>() {
            engine.answered(errand, result, &clocks);
        }
        let term = self.term(&mut engine);
        engine.settle(&clocks);
        self.leadership.set_outlier(engine.is_outlier());
        while let Some(term) = term.as_ref().filter(|_| self.hands.len() < HANDS) {
            let Some(errand) = engine.next(&clocks) else { break };
            let (deputy, leadership) = (self.deputy.clone(), self.leadership.clone());
            let (engine, written) = (Arc::clone(&self.engine), self.written.clone());
            self.hands.spawn(perform(errand, term.clone(), deputy, leadership, engine, written));
        }
        let asking = self.ask(&mut engine, clocks.after);
        let may_begin = self.hands.len() < HANDS && term.is_some();
        let idle = engine.due(may_begin).map_or(ROUND_MAX, |at| at.since(clocks.after));
        idle.min(asking).min(ROUND_MAX)
    }

    /// The term of leading that lasts, if one does. Another one begins when all is over that was begun in the last.
    fn term(&mut self, engine: &mut Engine) -> Option<Gate> {
        let term = self.leadership.term()?;
        if self.term.as_ref().is_none_or(|last| !last.is(&term)) {
            if !self.hands.is_empty() {
                return None;
            }
            engine.begin_term();
            self.term = Some(term.clone());
        }
        Some(term)
    }

    /// Makes exactly those be asked that the policies want. Returns when to look again.
    fn ask(&mut self, engine: &mut Engine, now: Mono) -> Duration {
        let rest = self.asked.map_or(Duration::ZERO, |at| at.after(ASKING_SPACING).since(now));
        if !engine.fleet().synced() || !rest.is_zero() {
            return if rest.is_zero() { ROUND_MAX } else { rest };
        }
        if engine.asking_changed() {
            self.asked = Some(now);
            self.pollers.set(&sources::wanted(engine.fleet()));
            self.references.set(&references::wanted(engine.fleet()));
        }
        ROUND_MAX
    }
}

/// The engine is left whole by every method.
fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Performs one errand, asking before each request whether its term still lasts, and before a change whether it is still wanted.
async fn perform(
    mut errand: Errand,
    term: Gate,
    deputy: Deputy,
    leadership: Leadership,
    engine: Arc<Mutex<Engine>>,
    written: Written,
) -> (Errand, Result<Answer, WriteError>) {
    let mut last = None;
    loop {
        let request = match errand.step(last) {
            Step::Done(result) => return (errand, result),
            Step::Ask(request) => request,
        };
        if request.verb != Verb::Get && !lock(&engine).confirms(errand.write(), &clocks::sample()) {
            return (errand, Err(WriteError::Superseded));
        }
        let Some(underway) = leadership.underway(&term) else { return (errand, Err(WriteError::NotLeading)) };
        let outcome = deputy.perform(&request, REQUEST_MAX, &term).await;
        drop(underway);
        if request.verb != Verb::Get && outcome.is_ok() {
            written.count(errand.write().kind());
        }
        last = Some(outcome);
    }
}
