//! The limit, suspicion, silence: when nothing more is to be done.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use jiff::SignedDuration;
use kube::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::agents::{Manner, OneAgent};
use super::lab::{KEY, Lab, PORT, SOON, address};
use crate::support::{Chronyd, Faketime, Outcome, run, wait_for};

/// Agents for the nodes 1 to `count`, all right.
pub(super) async fn many(count: u8) -> Result<Vec<OneAgent>> {
    let mut agents = Vec::new();
    for number in 1..=count {
        agents.push(OneAgent::start(address(number), PORT, Manner::right()).await?);
    }
    Ok(agents)
}

#[test]
fn the_limit_holds_and_undoing_works_while_it_is_reached() -> Outcome {
    run(async {
        let mut lab = Lab::begin("limit").await?;
        lab.nodes(10).await?;
        let agents = many(10).await?;
        let (controller, _) = lab.controller("controller-limit", &[]).await?;
        lab.policy("limit", json!({"action": {"limit": {"maxNodes": 2}}})).await?;
        let most = most_tainted(&lab);
        lab.wait_state("limit-10", "Synchronized").await?;
        for agent in &agents[..4] {
            agent.become_(Manner::ahead_ms(15_000));
        }
        let policy = lab.wait_degraded("limit", "ActionLimited").await?;
        lab.wait_event("limit", "ActionLimited").await?;
        wait_for("two nodes to be tainted", SOON, async || {
            let tainted = lab.tainted(KEY).await?;
            ensure!(tainted.len() == 2, "{tainted:?}");
            Ok(())
        })
        .await?;
        drop(policy);
        wait_for("the counts to be told", SOON, async || {
            let nodes = lab.tsps().get("limit").await?.status.and_then(|s| s.nodes).context("no counts")?;
            ensure!((nodes.matched, nodes.drifting, nodes.acted) == (10, 4, 2), "{nodes:?}");
            Ok(())
        })
        .await?;
        // One of the two recovers: it is let go although the limit is reached, and its place is taken by another.
        let first = lab.tainted(KEY).await?.first().cloned().context("none is tainted")?;
        let index = (1..=10u8).find(|n| lab.node(*n) == first).context("no such node")?;
        agents[usize::from(index) - 1].become_(Manner::right());
        wait_for("the recovered node to be let go and another to take its place", SOON, async || {
            let tainted = lab.tainted(KEY).await?;
            ensure!(tainted.len() == 2 && !tainted.contains(&first), "{tainted:?}");
            Ok(())
        })
        .await?;
        agents.iter().for_each(|agent| agent.become_(Manner::right()));
        lab.wait_tainted(KEY, &[]).await?;
        let most = most.stop().await?;
        ensure!(most == 2, "{most} nodes were tainted at one moment, and the limit is 2");
        drop(controller);
        lab.end().await
    })
}

/// Counts, by a watch, how many nodes of the lab were tainted at one moment, at most.
fn most_tainted(lab: &Lab) -> Most {
    let selector = format!("lab={}", lab.name);
    let watch = watcher(lab.live(), watcher::Config::default().labels(&selector));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let counting = tokio::spawn(async move {
        let mut watch = std::pin::pin!(watch.applied_objects());
        let mut stopped = std::pin::pin!(stopped);
        let (mut now, mut most) = (std::collections::BTreeSet::new(), 0);
        loop {
            let node = tokio::select! {
                node = watch.try_next() => node?.context("the watch ended")?,
                _ = &mut stopped => return Ok(most),
            };
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
            if taints.iter().any(|taint| taint.key == KEY) {
                now.insert(node.name_any());
            } else {
                now.remove(&node.name_any());
            }
            most = most.max(now.len());
        }
    });
    Most { stop, counting }
}

struct Most {
    stop: tokio::sync::oneshot::Sender<()>,
    counting: tokio::task::JoinHandle<Result<usize>>,
}

impl Most {
    async fn stop(self) -> Result<usize> {
        // If the counting has ended by itself, its error says why.
        let _ = self.stop.send(());
        self.counting.await?
    }
}

#[test]
fn a_fleet_that_moves_together_is_suspected_and_not_tainted() -> Outcome {
    run(async {
        let mut lab = Lab::begin("shift").await?;
        lab.nodes(5).await?;
        let agents = many(5).await?;
        let (controller, _) = lab.controller("controller-shift", &[]).await?;
        lab.policy("shift", json!({})).await?;
        lab.wait_state("shift-5", "Synchronized").await?;
        agents.iter().for_each(|agent| agent.become_(Manner::ahead_ms(15_000)));
        lab.wait_degraded("shift", "ReferenceSuspect").await?;
        lab.wait_event("shift", "ReferenceSuspect").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "a node was tainted although all moved alike");
        // The same without any source of their own: then it may as well be the controller that is wrong.
        agents.iter().for_each(|a| a.become_(Manner::Ahead { nanos: -15_000_000_000, has_sources: false }));
        lab.wait_degraded("shift", "ReferenceSuspect").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "a node was tainted although all moved alike");
        agents.iter().for_each(|agent| agent.become_(Manner::right()));
        lab.wait_degraded("shift", "AsExpected").await?;
        drop(controller);
        lab.end().await
    })
}

#[test]
fn silent_agents_are_unknown_and_nothing_is_done_unless_the_policy_says_so() -> Outcome {
    run(async {
        let mut lab = Lab::begin("silent").await?;
        lab.nodes(4).await?;
        let mut agents = many(4).await?;
        let (controller, _) = lab.controller("controller-silent", &[]).await?;
        lab.policy("silent", json!({})).await?;
        lab.wait_state("silent-1", "Synchronized").await?;
        agents[0].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[1]).await?;
        // A tainted node that falls silent stays tainted; a healthy one that does is left alone.
        agents[0].become_(Manner::Silent);
        drop(agents.pop());
        for node in ["silent-1", "silent-4"] {
            let status = lab.wait_state(node, "Unknown").await?.status.context("no status")?;
            ensure!(status.message.contains("127.0.1."), "the message names no address: {}", status.message);
            lab.wait_event(node, "ClockUnknown").await?;
        }
        lab.wait_degraded("silent", "SourceUnavailable").await?;
        ensure!(lab.tainted(KEY).await? == ["silent-1"], "silence changed what is tainted");
        lab.change_policy("silent", json!({"action": {"onUnknown": "Act"}})).await?;
        lab.wait_tainted(KEY, &[1, 4]).await?;
        drop(controller);
        lab.end().await
    })
}

#[test]
fn a_reference_decides_between_two_halves_and_against_a_wrong_controller() -> Outcome {
    run(async {
        let mut lab = Lab::begin("halves").await?;
        lab.nodes(4).await?;
        let agents = many(4).await?;
        let without = |ms: i64| Manner::Ahead { nanos: ms * 1_000_000, has_sources: false };
        agents.iter().for_each(|agent| agent.become_(without(0)));
        // The controller's own clock is 20 s ahead: every right node is 20 s behind it, and only the reference knows.
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 3, 4)).await?;
        let clock = Faketime::new(SignedDuration::from_secs(20))?;
        let controller = lab.controller_with("controller-halves", &clock).await?;
        let references = json!([format!("ntp://{}", reference.ntp())]);
        lab.policy("halves", json!({ "references": references })).await?;
        lab.wait_state("halves-4", "Synchronized").await?;
        for agent in agents.iter().take(2) {
            agent.become_(without(-15_000));
        }
        lab.wait_tainted(KEY, &[1, 2]).await?;
        agents.iter().for_each(|agent| agent.become_(without(0)));
        lab.wait_tainted(KEY, &[]).await?;

        // Without the reference two halves are two halves: nothing is known, and nothing is done.
        lab.change_policy("halves", json!({ "references": [] })).await?;
        for agent in agents.iter().take(2) {
            agent.become_(without(-15_000));
        }
        let status = lab.wait_state("halves-1", "Unknown").await?.status.context("no status")?;
        ensure!(status.reason == "NoYardstick", "{}: {}", status.reason, status.message);
        ensure!(lab.tainted(KEY).await?.is_empty(), "a node was tainted although nothing says which half is right");

        // A step of the controller's own clock moves no node.
        lab.change_policy("halves", json!({ "references": references })).await?;
        agents.iter().for_each(|agent| agent.become_(without(0)));
        lab.wait_state("halves-1", "Synchronized").await?;
        let before = lab.clocks().get("halves-1").await?;
        clock.set(SignedDuration::from_secs(-40))?;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        ensure!(lab.tainted(KEY).await?.is_empty(), "the controller's own step got a node tainted");
        let after = lab.clocks().get("halves-1").await?;
        ensure!(before.metadata.resource_version == after.metadata.resource_version, "the node was written: {after:?}");
        drop((controller, agents));
        lab.end().await
    })
}
