//! One size of cluster: everything that is measured at it, one thing after the other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clockwarden::api::{NodeClock, TimeSyncPolicy};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, PostParams};
use serde::Serialize;
use serde_json::json;

use crate::Settings;
use crate::agents::Agents;
use crate::cluster::{self, Cluster};
use crate::eye::Eye;
use crate::gauge::{Counts, Requests, Usage, Used, metric, percentile, resident_mib};
use crate::support::wait::mono_now;
use crate::support::{Clockwarden, Component, http, wait_for};

const POLICY: &str = "scale";
/// How far a clock is moved: far beyond the tolerance of 500 ms.
const STEP: Duration = Duration::from_secs(15);
/// At most so long may anything take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two rounds: what followed the last (records, events, statuses) must not be in the way of the next.
const PAUSE: Duration = Duration::from_millis(400);
/// A controller that asked for nothing so long is at rest.
const QUIET: Duration = Duration::from_secs(3);
/// As often as Prometheus scrapes by the habit of many.
const SCRAPE: Duration = Duration::from_secs(15);

/// What was measured with one number of nodes. Times in seconds or milliseconds as the names say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) nodes: usize,
    pub(crate) heartbeats_per_second: f64,
    pub(crate) heartbeats_failed: u64,
    pub(crate) node_bytes: usize,
    pub(crate) node_clock_bytes: usize,
    pub(crate) report_bytes: usize,
    pub(crate) first_start: Start,
    pub(crate) rest: Rest,
    pub(crate) step: Option<Rounds>,
    pub(crate) drift: Vec<Drift>,
    pub(crate) restart: Start,
}

/// A start of the controller.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Start {
    /// Until every node is known.
    pub(crate) known_seconds: f64,
    /// Until everything is written that is to be written.
    pub(crate) told_seconds: f64,
    pub(crate) controller: Used,
    pub(crate) api_server: Used,
    pub(crate) resident_mib: f64,
    pub(crate) peak_mib: f64,
    pub(crate) requests: Counts,
}

/// Nothing happens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rest {
    pub(crate) controller: Used,
    pub(crate) api_server: Used,
    pub(crate) resident_mib: f64,
    pub(crate) peak_mib: f64,
    pub(crate) requests: Counts,
}

/// One node's clock is stepped, again and again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rounds {
    pub(crate) rounds: usize,
    /// From the step to the taint, seen by a watch: median, p99, greatest.
    pub(crate) step_ms: [f64; 3],
    /// From the agent's answer to the taint: the same.
    pub(crate) evidence_ms: [f64; 3],
    /// From the return of the right time to the end of the taint.
    pub(crate) recovery_ms: [f64; 3],
    pub(crate) controller: Used,
    pub(crate) api_server: Used,
    pub(crate) requests: Counts,
}

/// Many drift at once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drift {
    pub(crate) percent: usize,
    pub(crate) drifted: usize,
    pub(crate) limit: usize,
    pub(crate) tainted: usize,
    pub(crate) most: usize,
    pub(crate) tainted_seconds: f64,
    pub(crate) recovered_seconds: f64,
    pub(crate) api_server_cpu_per_taint_ms: f64,
    pub(crate) peak_mib: f64,
    pub(crate) requests: Counts,
}

/// What a trial works on.
struct Trial<'a> {
    settings: &'a Settings,
    count: usize,
    cluster: Cluster,
    agents: Agents,
    eye: Eye,
    controller: Clockwarden,
    listen: SocketAddr,
    requests: Requests,
}

/// Measures everything with `count` nodes.
pub(crate) async fn run(settings: &Settings, count: usize, say: &dyn Fn(&str)) -> Result<Figures> {
    say("starting etcd and kube-apiserver");
    let mut cluster = Cluster::start().await?;
    let agents = Agents::start(count)?;
    say(&format!("making {count} nodes, whose kubelets renew their leases every {:?}", settings.heartbeat));
    cluster.populate(count, settings.heartbeat).await?;
    let eye = Eye::open(cluster.client.clone()).await?;
    write_policy(&cluster, agents.port).await?;
    say("starting the controller");
    let requests = Requests::of(cluster.audit_log.clone());
    let listen: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (beats, began) = (cluster.heartbeats(), mono_now());
    let controller = start(&cluster, listen)?;
    let mut trial = Trial { settings, count, cluster, agents, eye, controller, listen, requests };
    let first_start = trial.started().await?;
    say("resting");
    let rest = trial.rest().await?;
    let step = if settings.rounds > 0 {
        say(&format!("stepping one node's clock, {} rounds", settings.rounds));
        Some(trial.rounds().await?)
    } else {
        None
    };
    let mut drift = Vec::new();
    for percent in settings.drift.iter().copied() {
        say(&format!("{percent}% of the nodes drift at once"));
        drift.push(trial.drift(percent).await?);
    }
    say("starting the controller anew");
    let ended = trial.controller.terminate(Duration::from_secs(20)).await?;
    ensure!(ended.success(), "the controller ended with {ended}");
    trial.requests.take()?;
    trial.controller = start(&trial.cluster, listen)?;
    let restart = trial.started().await?;
    let (sent, failed) = trial.cluster.heartbeats();
    Ok(Figures {
        nodes: count,
        heartbeats_per_second: (sent - beats.0) as f64 / began.elapsed().as_secs_f64(),
        heartbeats_failed: failed - beats.1,
        node_bytes: trial.bytes_of_a_node().await?,
        node_clock_bytes: trial.bytes_of_a_node_clock().await?,
        report_bytes: trial.agents.report_bytes()?,
        first_start,
        rest,
        step,
        drift,
        restart,
    })
}

async fn write_policy(cluster: &Cluster, port: u16) -> Result<()> {
    let policy: TimeSyncPolicy = serde_json::from_value(json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": POLICY},
        "spec": {
            "source": {"agent": {"port": port}}, "interval": "10s",
            "action": {"sustainedFor": "0s", "recoveredFor": "0s", "limit": {"maxNodes": "10%"}},
        },
    }))?;
    Api::all(cluster.client.clone())
        .create(&PostParams::default(), &policy)
        .await
        .context("cannot create the policy")?;
    Ok(())
}

fn start(cluster: &Cluster, listen: SocketAddr) -> Result<Clockwarden> {
    let listen = listen.to_string();
    let args = ["controller", "--listen", &listen, "--lease-namespace", cluster::NAMESPACE];
    Clockwarden::start("controller", args, |command| {
        command.env("KUBECONFIG", &cluster.kubeconfig);
    })
}

impl Trial<'_> {
    fn usage(&self) -> Result<(Usage, Usage)> {
        let api_server = self.cluster.plane.pid(Component::ApiServer)?;
        Ok((Usage::of(self.controller.pid())?, Usage::of(api_server)?))
    }

    async fn page(&self) -> Result<String> {
        let answer = http::get(&format!("http://{}/metrics", self.listen)).await?;
        ensure!(answer.status == 200, "/metrics says {}", answer.status);
        Ok(answer.body)
    }

    /// From the start of the process until all is known and told.
    async fn started(&mut self) -> Result<Start> {
        let (began, before) = (mono_now(), self.usage()?);
        let series = format!("clockwarden_nodes{{policy=\"{POLICY}\",state=\"Synchronized\"}} ");
        wait_for("all nodes to be known", PATIENCE, async || {
            let known = metric(&self.page().await?, &series).unwrap_or(0.0);
            ensure!(known == self.count as f64, "{known} of {} nodes are known to be synchronized", self.count);
            Ok(())
        })
        .await?;
        let known_seconds = began.elapsed().as_secs_f64();
        let told = self.quiet().await?;
        let after = self.usage()?;
        let told_seconds = told.duration_since(began).as_secs_f64().max(known_seconds);
        self.told().await?;
        let (resident_mib, peak_mib) = resident_mib(self.controller.pid())?;
        Ok(Start {
            known_seconds,
            told_seconds,
            controller: after.0.since(&before.0),
            api_server: after.1.since(&before.1),
            resident_mib,
            peak_mib,
            requests: self.requests.take()?,
        })
    }

    /// Whether the API server has what there is to be told: the policy's status, and every node's.
    async fn told(&self) -> Result<()> {
        let policies: Api<TimeSyncPolicy> = Api::all(self.cluster.client.clone());
        let status = policies.get(POLICY).await?.status.and_then(|status| status.nodes).unwrap_or_default();
        ensure!(usize::try_from(status.synchronized).ok() == Some(self.count), "{status:?}");
        let clocks: Api<NodeClock> = Api::all(self.cluster.client.clone());
        let all = clocks.list(&ListParams::default()).await?.items;
        let told = all.iter().filter(|it| it.status.as_ref().is_some_and(|status| status.state == "Synchronized"));
        let told = told.count();
        ensure!(told == self.count, "{told} of {} NodeClocks are told", self.count);
        Ok(())
    }

    /// Waits until the controller has asked for nothing but its lease for a while. Returns when it asked last.
    ///
    /// The audit log says so at no cost; to list what it writes, again and again, would be most of what is measured.
    async fn quiet(&mut self) -> Result<Instant> {
        let (began, mut last) = (mono_now(), mono_now());
        while last.elapsed() < QUIET {
            ensure!(began.elapsed() < PATIENCE, "the controller does not come to rest");
            tokio::time::sleep(QUIET / 10).await;
            if self.requests.look()?.keys().any(|kind| !kind.ends_with(" leases")) {
                last = mono_now();
            }
        }
        Ok(last)
    }

    async fn rest(&mut self) -> Result<Rest> {
        self.quiet().await?;
        self.requests.take()?;
        let before = self.usage()?;
        let began = mono_now();
        while began.elapsed() < self.settings.rest {
            tokio::time::sleep(SCRAPE.min(self.settings.rest)).await;
            self.page().await?;
        }
        let after = self.usage()?;
        let (resident_mib, peak_mib) = resident_mib(self.controller.pid())?;
        Ok(Rest {
            controller: after.0.since(&before.0),
            api_server: after.1.since(&before.1),
            resident_mib,
            peak_mib,
            requests: self.requests.take()?,
        })
    }

    async fn rounds(&mut self) -> Result<Rounds> {
        let (mut step, mut evidence, mut recovery) = (Vec::new(), Vec::new(), Vec::new());
        let before = self.usage()?;
        for round in 0..self.settings.rounds {
            // Another node each time, from all over the cluster.
            let number = round * 37 % self.count;
            let node = cluster::name(number);
            let stepped = self.agents.set(number, STEP)?;
            let seen = self.eye.node(&node, true, PATIENCE).await?;
            let answered = self.agents.answered(number).context("a taint without evidence")?;
            step.push(seen.duration_since(stepped).as_secs_f64() * 1e3);
            evidence.push(seen.saturating_duration_since(answered).as_secs_f64() * 1e3);
            let restored = self.agents.set(number, Duration::ZERO)?;
            let gone = self.eye.node(&node, false, PATIENCE).await?;
            recovery.push(gone.duration_since(restored).as_secs_f64() * 1e3);
            tokio::time::sleep(PAUSE + Duration::from_millis(u64::try_from(round % 10)? * 17)).await;
        }
        let after = self.usage()?;
        Ok(Rounds {
            rounds: self.settings.rounds,
            step_ms: spread(step),
            evidence_ms: spread(evidence),
            recovery_ms: spread(recovery),
            controller: after.0.since(&before.0),
            api_server: after.1.since(&before.1),
            requests: self.requests.take()?,
        })
    }

    async fn drift(&mut self, percent: usize) -> Result<Drift> {
        self.quiet().await?;
        let drifted = self.count * percent / 100;
        let limit = (self.count / 10).max(1);
        let expected = drifted.min(limit);
        self.eye.most();
        self.requests.take()?;
        let idle = self.api_server_cores().await?;
        let (began, before) = (mono_now(), self.usage()?);
        // From all over the cluster, and no zone more than another.
        let numbers: BTreeSet<usize> = (0..drifted).map(|index| index * self.count / drifted.max(1)).collect();
        for number in &numbers {
            self.agents.set(*number, STEP)?;
        }
        let tainted = self.eye.tainted(expected, PATIENCE).await?;
        let busy = self.usage()?.1.since(&before.1);
        // Whoever does too much does it now.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (left, most) = (self.eye.now(), self.eye.most());
        ensure!(left == expected, "{left} nodes are tainted, and {expected} should be");
        let restored = mono_now();
        for number in &numbers {
            self.agents.set(*number, Duration::ZERO)?;
        }
        let recovered = self.eye.tainted(0, PATIENCE).await?;
        self.quiet().await?;
        let per_taint = (busy.cpu_seconds - idle * busy.seconds).max(0.0) / expected.max(1) as f64;
        Ok(Drift {
            percent,
            drifted: numbers.len(),
            limit,
            tainted: left,
            most,
            tainted_seconds: tainted.duration_since(began).as_secs_f64(),
            recovered_seconds: recovered.duration_since(restored).as_secs_f64(),
            api_server_cpu_per_taint_ms: per_taint * 1e3,
            peak_mib: resident_mib(self.controller.pid())?.1,
            requests: self.requests.take()?,
        })
    }

    /// What the API server does anyway, mostly for heartbeats.
    async fn api_server_cores(&self) -> Result<f64> {
        let before = self.usage()?.1;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(self.usage()?.1.since(&before).cores())
    }

    async fn bytes_of_a_node(&self) -> Result<usize> {
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        Ok(serde_json::to_vec(&nodes.get(&cluster::name(0)).await?)?.len())
    }

    async fn bytes_of_a_node_clock(&self) -> Result<usize> {
        let clocks: Api<NodeClock> = Api::all(self.cluster.client.clone());
        let all = clocks.list(&ListParams::default()).await?.items;
        Ok(serde_json::to_vec(&all)?.len() / all.len().max(1))
    }
}

/// Median, p99 and the greatest.
fn spread(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_by(f64::total_cmp);
    [percentile(&all, 50), percentile(&all, 99), percentile(&all, 100)]
}
