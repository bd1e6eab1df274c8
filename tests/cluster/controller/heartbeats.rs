//! `source: lease`: nothing runs on the nodes, their heartbeats tell.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::lab::{KEY, Lab, SOON};
use crate::scan::kubelets::Kubelets;
use crate::scan::proxy::{Proxy, Traffic};
use crate::support::{Outcome, http, run, wait_for};

/// As with `nodeLeaseDurationSeconds: 8`.
const PERIOD: Duration = Duration::from_secs(2);

/// Five nodes whose heartbeats we send; nobody else does.
async fn kubelets(lab: &mut Lab) -> Result<Kubelets> {
    lab.nodes(5).await?;
    lab.nodes.values().for_each(|node| node.stop_heartbeat());
    Kubelets::of(&lab.client, lab.nodes.keys().cloned(), PERIOD).await
}

fn spec() -> Value {
    json!({"source": {"agent": null, "lease": {"maxDelay": "250ms"}}, "tolerance": {"staleAfter": "60s"}})
}

#[test]
fn a_clock_that_drifts_shows_in_its_heartbeats_and_is_tainted_until_it_is_right() -> Outcome {
    run(async {
        let mut lab = Lab::begin("beats").await?;
        let kubelets = kubelets(&mut lab).await?;
        let (controller, url) = lab.controller("controller-beats", &["--no-leader-election"]).await?;
        lab.policy("beats", spec()).await?;
        for number in 1..=5 {
            let clock = lab.wait_state(&lab.node(number), "Synchronized").await?;
            ensure!(clock.status.is_some_and(|status| status.error_bound_seconds.is_some()), "no bound");
        }
        // Ahead, then right again; behind, then right again.
        for (number, offset_ms) in [(3, 3_000), (2, -2_000)] {
            kubelets.set(&lab.node(number), offset_ms);
            lab.wait_tainted(KEY, &[number]).await?;
            kubelets.set(&lab.node(number), 0);
            lab.wait_tainted(KEY, &[]).await?;
        }
        wait_for("the API server's own clock in the metrics", SOON, async || {
            let metrics = http::get(&format!("{url}/metrics")).await?.body;
            let name = "clockwarden_control_plane_offset_seconds{component=\"kube-apiserver\"";
            let line = metrics.lines().find(|line| line.starts_with(name)).context("no such metric")?;
            let offset: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
            ensure!(offset.abs() < 0.3, "{line}");
            Ok(())
        })
        .await?;
        drop((controller, kubelets));
        lab.end().await
    })
}

#[test]
fn a_watch_of_heartbeats_that_stalls_or_is_cut_taints_nobody() -> Outcome {
    run(async {
        let mut lab = Lab::begin("stall").await?;
        let kubelets = kubelets(&mut lab).await?;
        let proxy = Proxy::start(&lab.plane.url()).await?;
        let kubeconfig = proxy.kubeconfig(&lab.plane.kubeconfig())?;
        let (controller, _) = lab.controller_as("controller-stall", kubeconfig, &["--no-leader-election"]).await?;
        lab.policy("stall", spec()).await?;
        for number in 1..=5 {
            lab.wait_state(&lab.node(number), "Synchronized").await?;
        }
        for trouble in [Traffic::Stalls, Traffic::Cut] {
            proxy.set(trouble);
            tokio::time::sleep(3 * PERIOD).await;
            proxy.set(Traffic::Flows);
        }
        // It listens again, and finds out who is really wrong; nobody else was ever touched.
        kubelets.set("stall-4", 3_000);
        lab.wait_tainted(KEY, &[4]).await?;
        let clock = lab.wait_state("stall-4", "Drifting").await?;
        ensure!(clock.status.is_some(), "no status");
        for number in [1, 2, 3, 5] {
            let status = lab.clocks().get(&lab.node(number)).await?.status.context("no status")?;
            ensure!(status.state == "Synchronized", "{number}: {} {}", status.state, status.message);
            let kinds: Vec<_> = status.history.iter().map(|incident| incident.kind.as_str()).collect();
            ensure!(!kinds.contains(&"Tainted") && !kinds.contains(&"Drifting"), "{number}: {kinds:?}");
        }
        drop((controller, kubelets));
        lab.end().await
    })
}
