//! The controller: watch -> index -> evaluate -> plan -> apply.
//!
//! ```text
//! watch (nodes, policies, NodeClocks) ─┐
//! sources (agents, exporters, …) ──────┼─▶ the loop below: index ─▶ evaluate ─▶ plan ─▶ apply ─▶ API server
//! elect (leader lease) ────────────────┘        ▲                                       │
//!                                               └──────── what a write answered ────────┘
//! ```
//!
//! One loop owns the index and performs one write after the other, a few per round, then looks again: nothing is
//! queued, so nothing that is queued can be out of date. A replica that does not lead evaluates all the same, and
//! takes over knowing since when everything has been how.

pub mod apply;
pub mod args;
pub mod connection;
pub mod elect;
pub mod evaluate;
pub mod fleet;
pub mod http;
pub mod lease;
pub mod plan;
pub mod policy_status;
pub mod record;
pub mod references;
pub mod request;
pub mod sources;
pub mod watch;

pub use args::ControllerArgs;

use crate::agent::clocks;
use crate::clock::{Mono, Sample};
use crate::runtime::{CancellationToken, Tasks, mono_now};
use crate::telemetry;
use anyhow::Context;
use apply::{Answer, Write, WriteError, Writer};
use elect::Leadership;
use evaluate::{Evaluation, Memory};
use fleet::Fleet;
use http::Published;
use kube::{Api, Client};
use lease::{Election, Periods};
use policy_status::Shown;
use references::References;
use sources::lease::{ControlPlane, Leases};
use sources::{Observations, Pollers};
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver};
use watch::Told;

/// Rounds are at least this far apart, so that a fleet that all speaks at once costs one evaluation and not many.
const ROUND_MIN: Duration = Duration::from_millis(20);
/// Ages matter: what nothing happens to grows stale all the same.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Writes in one round, before everything is looked at anew.
const WRITES_MAX: usize = 32;

/// Runs until SIGTERM.
///
/// # Errors
/// If no API server is configured, a port is taken, or a task ends unasked.
pub async fn run(args: ControllerArgs) -> anyhow::Result<ExitCode> {
    // Fails only if a provider was chosen already, which is then the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default()
        .await
        .context("no cluster to work with: set KUBECONFIG, or run inside a cluster with a service account")?;
    let mut tasks = Tasks::new().context("signals cannot be listened for")?;
    let identity = identity();
    let leadership = if args.no_leader_election {
        Leadership::sole()
    } else {
        Leadership::elected(Election::new(identity.clone(), Periods::default()))
    };
    let election = Api::namespaced(client.clone(), &args.lease_namespace);
    tasks.spawn("leader election", elect::run(leadership.clone(), election, tasks.stop()));
    let (tell, told) = mpsc::channel(1024);
    tasks.spawn("watches", watch::run(client.clone(), tell, tasks.stop()));
    let leases = Leases { client: client.clone(), control_plane: ControlPlane::default() };
    let writer = Writer::new(client, leadership.clone(), identity.clone());
    let published = Published::new(leadership.clone(), writer.written(), leases.control_plane.clone());
    tasks.spawn("http", http::serve(args.listen, published.clone(), tasks.stop()).await?);
    let control = Control {
        fleet: Fleet::default(),
        memory: Memory::default(),
        shown: Shown::default(),
        ledgers: HashMap::new(),
        observations: Observations::default(),
        leases,
        references: References::default(),
        failing: HashMap::new(),
        writer,
        leadership,
        published,
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
    fleet: Fleet,
    memory: Memory,
    shown: Shown,
    ledgers: HashMap<String, record::Ledger>,
    observations: Observations,
    leases: Leases,
    references: References,
    /// What failed lately: how often in a row, and not to be tried before.
    failing: HashMap<String, (u32, Mono)>,
    writer: Writer,
    leadership: Leadership,
    published: Published,
}

impl Control {
    async fn run(mut self, mut told: Receiver<Told>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut pollers = Pollers::new(self.observations.clone()).with_leases(self.leases.clone());
        let mut pause = ROUND_MIN;
        loop {
            let observations = self.observations.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                event = told.recv() => match event {
                    Some(event) => self.learn(event),
                    None => return if stop.is_cancelled() { Ok(()) } else { Err(anyhow::anyhow!("the watches ended")) },
                },
                () = observations.changed() => {}
                () = self.leadership.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
            let began = mono_now();
            while let Ok(event) = told.try_recv() {
                self.learn(event);
            }
            pause = ROUND_MAX;
            if self.fleet.synced() {
                pollers.set(&evaluate::wanted(&self.fleet));
                self.references.set(&evaluate::references(&self.fleet));
                pause = self.round(&stop).await;
            }
            let rest = ROUND_MIN.saturating_sub(mono_now().since(began));
            tokio::time::sleep(rest).await;
        }
    }

    fn learn(&mut self, event: Told) {
        match event {
            Told::Node(change) => self.fleet.nodes.apply(change),
            Told::Policy(change) => self.fleet.policies.apply(change),
            Told::Clock(change) => self.fleet.clocks.apply(change),
        }
    }

    /// Evaluates, and performs the most urgent writes. Returns how long nothing need be done.
    async fn round(&mut self, stop: &CancellationToken) -> Duration {
        let clocks = clocks::sample();
        let now = clocks.after;
        let (evaluation, plan) = self.look(&clocks);
        let due = evaluation.due.unwrap_or(ROUND_MAX).min(ROUND_MAX);
        self.published.publish(&self.fleet, &evaluation);
        if !self.leadership.leads() {
            return due;
        }
        let plan: Vec<Write> = plan.into_iter().filter(|write| self.may_try(write, now)).collect();
        let more = plan.len() > WRITES_MAX;
        for write in plan.iter().take(WRITES_MAX) {
            if stop.is_cancelled() {
                return due;
            }
            self.perform(write).await;
        }
        // What was written may make something else due (a finalizer, a record of what was done): look again soon.
        if more || !plan.is_empty() { ROUND_MIN } else { due }
    }

    fn look(&mut self, clocks: &Sample) -> (Evaluation, Vec<Write>) {
        let (fleet, memory, shown, references) = (&self.fleet, &mut self.memory, &mut self.shown, &self.references);
        self.observations.with(|observed| {
            let evaluation =
                evaluate::evaluate(fleet, observed, &|policy| references.ours(policy, clocks), memory, clocks);
            let plan = plan::plan(fleet, &evaluation, observed, shown, &mut self.ledgers, clocks);
            (evaluation, plan)
        })
    }

    fn may_try(&self, write: &Write, now: Mono) -> bool {
        self.failing.get(&write.about()).is_none_or(|(_, not_before)| now >= *not_before)
    }

    async fn perform(&mut self, write: &Write) {
        match self.writer.perform(write).await {
            Ok(answer) => {
                self.failing.remove(&write.about());
                self.take_in(write, answer);
            }
            Err(WriteError::NotLeading) => tracing::info!(write = write.about(), "not written: we no longer lead"),
            Err(error) => {
                let failures = self.failing.get(&write.about()).map_or(1, |(count, _)| count.saturating_add(1));
                let wait = Duration::from_millis(500).saturating_mul(1 << failures.min(6));
                self.failing.insert(write.about(), (failures, mono_now().after(wait)));
                tracing::warn!(write = write.about(), failures, error = telemetry::chain(&error), "not written");
            }
        }
    }

    /// What the API server answered is newer than what the watch has told so far.
    fn take_in(&mut self, write: &Write, answer: Answer) {
        match (write, answer) {
            (_, Answer::Node(node)) => self.fleet.nodes.put(*node),
            (_, Answer::Policy(policy)) => self.fleet.policies.put(*policy),
            (_, Answer::Clock(clock)) => self.fleet.clocks.put(*clock),
            (Write::Marks { node, .. } | Write::Condition { node, .. }, Answer::Gone) => self.fleet.nodes.remove(node),
            (Write::Clock { node, .. }, Answer::Gone) => self.fleet.clocks.remove(node),
            (Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. }, Answer::Gone) => {
                self.fleet.policies.remove(policy);
            }
            (Write::Event { .. }, Answer::Gone) | (_, Answer::Done) => {}
        }
    }
}
