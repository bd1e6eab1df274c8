//! `source: nodeExporter`, against Debian's.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::proxy::{Manner, Proxy};
use super::{PORT, is_right};
use crate::controller::bad_input::resident_kib;
use crate::controller::lab::{KEY, Lab, address};
use crate::support::{Chronyd, Faketime, NodeExporter, Outcome, run, wait_for};

fn source() -> Value {
    json!({"agent": null, "nodeExporter": {"port": PORT}})
}

/// Real ones at the addresses of the nodes 1 to `count`.
async fn real(count: u8) -> Result<Vec<NodeExporter>> {
    let mut all = Vec::new();
    for number in 1..=count {
        all.push(NodeExporter::start(address(number), PORT, &[]).await?);
    }
    Ok(all)
}

/// Nothing between: the node's clock is right, and the reference is what is 3 s behind.
#[test]
fn a_real_exporter_is_measured_within_its_bound_and_tainted_when_beyond() -> Outcome {
    run(async {
        let mut lab = Lab::begin("exporter").await?;
        lab.nodes(1).await?;
        let _exporters = real(1).await?;
        let clock = Faketime::new(SignedDuration::from_secs(-3))?;
        let reference = Chronyd::wrong_reference(Ipv4Addr::new(127, 0, 3, 11), &clock).await?;
        let (controller, _) = lab.controller("controller-exporter", &[]).await?;
        let references = json!([format!("ntp://{}", reference.ntp())]);
        let spec = json!({"source": source(), "references": references, "tolerance": {"staleAfter": "60s"}});
        lab.policy("exporter", spec).await?;
        lab.wait_tainted(KEY, &[1]).await?;
        let status = lab.wait_state("exporter-1", "Drifting").await?.status.context("no status")?;
        is_right(&status, 3.0, 0.25)?;
        clock.set(SignedDuration::ZERO)?;
        lab.wait_tainted(KEY, &[]).await?;
        let status = lab.wait_state("exporter-1", "Synchronized").await?.status.context("no status")?;
        is_right(&status, 0.0, 0.25)?;
        drop(controller);
        lab.end().await
    })
}

/// The page of a real exporter with its time moved, as if the node's clock had been set.
#[test]
fn of_three_nodes_the_one_whose_clock_is_set_is_tainted_and_the_step_is_kept() -> Outcome {
    run(async {
        let mut lab = Lab::begin("stepped").await?;
        lab.nodes(3).await?;
        let mut exporters = real(2).await?;
        let third = Proxy::start(3, address(3), Manner::Ahead(0)).await?;
        // The controller's own clock is nobody's yardstick.
        let ahead = Faketime::new(SignedDuration::from_millis(200))?;
        let controller = lab.controller_with("controller-stepped", &ahead).await?;
        lab.policy("stepped", json!({"source": source()})).await?;
        lab.wait_state("stepped-3", "Synchronized").await?;
        third.become_(Manner::Ahead(-15));
        lab.wait_tainted(KEY, &[3]).await?;
        let status = lab.wait_state("stepped-3", "Drifting").await?.status.context("no status")?;
        is_right(&status, -15.0, 0.25)?;
        let stepped: Vec<f64> =
            status.history.iter().filter(|i| i.kind == "Stepped").filter_map(|i| i.offset_seconds).collect();
        ensure!(stepped.len() == 1 && (stepped[0] + 15.0).abs() < 0.25, "{:?}", status.history);
        lab.wait_event("stepped-3", "ClockStepped").await?;
        third.become_(Manner::Ahead(0));
        lab.wait_tainted(KEY, &[]).await?;
        // 2^32 ns of a kernel on KVM, while the clock is right, condemn nobody: the state stays as it was measured.
        third.become_(Manner::Spurious);
        // An exporter that is restarted is asked again, and that is no step.
        let before = lab.wait_state("stepped-1", "Synchronized").await?;
        drop(exporters.remove(0));
        lab.wait_says("stepped-1", "cannot be reached").await?;
        let _again = NodeExporter::start(address(1), PORT, &[]).await?;
        let after = lab.wait_state("stepped-1", "Synchronized").await?;
        let history = after.status.context("no status")?.history;
        ensure!(history.iter().all(|incident| incident.kind != "Stepped"), "{before:?} {history:?}");
        ensure!(lab.tainted(KEY).await?.is_empty(), "a node was tainted for a figure of its kernel");
        drop(controller);
        lab.end().await
    })
}

#[test]
fn each_way_of_being_no_measurement_is_told_and_costs_no_memory() -> Outcome {
    run(async {
        let mut lab = Lab::begin("pages").await?;
        lab.nodes(12).await?;
        let manners = [
            (Manner::Garbage, "is no page of metrics"),
            (Manner::Huge, "longer than 16777216 bytes"),
            (Manner::Slow, "did not answer within"),
            (Manner::Silent, "did not answer within"),
            (Manner::Cached, "out of a cache"),
            (Manner::Frozen, "is the same as before"),
            (Manner::Timestamped, "carries a timestamp (1795000000000)"),
            (Manner::Locked, "answered 401 Unauthorized"),
        ];
        let mut proxies = Vec::new();
        for number in 1..=8 {
            proxies.push(Proxy::start(number, address(number), Manner::Ahead(0)).await?);
        }
        let _timeless = NodeExporter::start(address(9), PORT, &["--no-collector.time"]).await?;
        let _without = NodeExporter::start(address(10), PORT, &["--no-collector.timex"]).await?;
        let _statless = NodeExporter::start(address(11), PORT, &["--no-collector.stat"]).await?;
        let (mut controller, _) = lab.controller("controller-pages", &[]).await?;
        let tolerance = json!({"staleAfter": "4s", "maxUnsynchronized": "2s"});
        lab.policy("pages", json!({"source": source()})).await?;
        lab.wait_state("pages-8", "Synchronized").await?;
        lab.wait_says("pages-9", "--no-collector.time").await?;
        lab.wait_says("pages-12", "cannot be reached").await?;
        // Switched off collectors cost the filter, not the measurement.
        lab.wait_state("pages-10", "Synchronized").await?;
        lab.wait_state("pages-11", "Synchronized").await?;
        let before = resident_kib(controller.pid())?;
        for (proxy, (manner, _)) in proxies.iter().zip(&manners) {
            proxy.become_(manner.clone());
        }
        for (number, (_, says)) in (1..).zip(&manners) {
            let status = lab.wait_says(&lab.node(number), says).await?;
            ensure!(status.state == "Unknown" && status.reason == "SourceUnavailable", "{status:?}");
        }
        lab.wait_degraded("pages", "SourceUnavailable").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "nonsense got a node tainted");
        ensure!(controller.ended()?.is_none(), "the controller ended");
        let grown = resident_kib(controller.pid())?.saturating_sub(before);
        eprintln!("the controller grew by {grown} KiB");
        ensure!(grown < 32 * 1024, "the controller grew by {grown} KiB at its highest");
        proxies.iter().for_each(|proxy| proxy.become_(Manner::Ahead(0)));
        lab.wait_state("pages-1", "Synchronized").await?;
        // Nothing vouches for these clocks; where the figures are missing, it is said which.
        lab.change_policy("pages", json!({ "tolerance": tolerance })).await?;
        lab.wait_says("pages-10", "--no-collector.timex").await?;
        let status = lab.wait_state("pages-11", "Unknown").await?.status.context("no status")?;
        ensure!(status.reason == "Unsynchronized", "{status:?}");
        drop((controller, proxies));
        lab.end().await
    })
}

/// A policy that changes over to another source knows nothing at first.
#[test]
fn changing_over_to_another_source_forgets_the_old_one() -> Outcome {
    run(async {
        let mut lab = Lab::begin("over").await?;
        lab.nodes(3).await?;
        let exporters = real(3).await?;
        let (controller, _) = lab.controller("controller-over", &[]).await?;
        lab.policy("over", json!({"source": source()})).await?;
        lab.wait_state("over-3", "Synchronized").await?;
        lab.change_policy("over", json!({"source": {"nodeExporter": null, "agent": {"port": 19555}}})).await?;
        lab.wait_says("over-3", "agent of node over-3").await?;
        lab.change_policy("over", json!({"source": {"agent": null, "nodeExporter": {"port": PORT}}})).await?;
        wait_for("the exporters to be asked again", super::SOON, async || {
            let status = lab.clocks().get("over-3").await?.status.context("no status")?;
            ensure!(status.state == "Synchronized", "{}", status.message);
            Ok(())
        })
        .await?;
        drop((controller, exporters));
        lab.end().await
    })
}
