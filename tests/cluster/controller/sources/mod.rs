//! The sources that need nothing of ours on the nodes: real node_exporters, asked directly and through a real
//! Prometheus.

mod node_exporter;
mod prometheus;
mod proxy;

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use clockwarden::api::NodeClockStatus;

use super::lab::{Lab, SOON};
use crate::support::wait_for;

/// Exporters listen here, each on its node's own address.
const PORT: u16 = 19100;

/// Where the real exporter behind a proxy listens: not at a node's address.
fn behind(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 4, number)
}

impl Lab {
    /// Waits until a NodeClock says this.
    async fn wait_says(&self, node: &str, says: &str) -> Result<NodeClockStatus> {
        wait_for(&format!("the clock of {node} to say {says:?}"), SOON, async || {
            let status = self.clocks().get(node).await?.status.context("no status")?;
            ensure!(status.message.contains(says), "{} ({}): {}", status.state, status.reason, status.message);
            Ok(status)
        })
        .await
    }

    /// Waits until a policy says this of its source.
    async fn wait_told(&self, policy: &str, says: &str) -> Result<()> {
        wait_for(&format!("policy {policy} to say {says:?}"), SOON, async || {
            let conditions = self.tsps().get(policy).await?.status.unwrap_or_default().conditions;
            let degraded = conditions.iter().find(|c| c.type_ == "Degraded").context("no such condition yet")?;
            ensure!(degraded.message.contains(says), "{}: {}", degraded.reason, degraded.message);
            Ok(())
        })
        .await
    }
}

/// The offset that a NodeClock shows lies within its bound of the truth, and the bound is worth having.
fn is_right(status: &NodeClockStatus, truth_s: f64, bound_max_s: f64) -> Result<()> {
    let offset_s = status.offset_seconds.context("no offset")?;
    let bound_s = status.error_bound_seconds.context("no bound")?;
    eprintln!("measured {offset_s} s ± {bound_s} s, the truth is {truth_s} s");
    // The status rounds to microseconds.
    ensure!((offset_s - truth_s).abs() <= bound_s + 2e-6, "{offset_s} ± {bound_s}, and the truth is {truth_s}");
    ensure!(bound_s <= bound_max_s, "the bound is {bound_s} s");
    Ok(())
}
