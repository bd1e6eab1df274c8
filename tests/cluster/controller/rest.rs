//! Nothing is wrong: nothing is written. Something is: how soon is it seen?

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::agents::{Manner, OneAgent};
use super::lab::{KEY, Lab, PORT, SOON};
use crate::support::requests::writes_of;
use crate::support::wait::mono_now;
use crate::support::{Chronyd, FakeNode, NodeSpec, Outcome, run, wait_for};

#[test]
fn two_hundred_healthy_nodes_cost_no_write() -> Outcome {
    run(async {
        let mut lab = Lab::begin("rest").await?;
        let mut agents = Vec::new();
        let nodes: Vec<NodeSpec> = (0..200u8)
            .map(|n| NodeSpec::new(&format!("rest-{n}"), Ipv4Addr::new(127, 0, 4, n + 1)).label("lab", "rest"))
            .collect();
        for number in 0..200u8 {
            agents.push(OneAgent::start(Ipv4Addr::new(127, 0, 4, number + 1), PORT, Manner::right()).await?);
        }
        let client = lab.client.clone();
        let made: Vec<FakeNode> = futures::stream::iter(nodes)
            .map(|spec| FakeNode::create(client.clone(), spec))
            .buffer_unordered(8)
            .try_collect()
            .await?;
        lab.nodes = made.into_iter().map(|node| (node.name().to_owned(), node)).collect();
        let kubeconfig = lab.plane.kubeconfig_for("controller-rest", &["system:masters"])?;
        let (controller, _) = lab.controller_as("controller-rest", kubeconfig, &[]).await?;
        // The defaults of interval and staleAfter: a busy machine must not look like silent agents.
        lab.policy("rest", json!({"interval": "10s", "tolerance": {"staleAfter": "60s"}})).await?;
        let writes = || -> Result<usize> {
            let all = writes_of(&lab.plane, "controller-rest")?;
            let lease = |w: &&_| !is_lease(w);
            Ok(all.iter().filter(lease).count())
        };
        wait_for("all 200 nodes to be told synchronized", Duration::from_secs(120), async || {
            let nodes = lab.tsps().get("rest").await?.status.and_then(|s| s.nodes).unwrap_or_default();
            ensure!((nodes.matched, nodes.synchronized) == (200, 200), "{nodes:?}");
            let clocks = lab.clocks().list(&kube::api::ListParams::default()).await?.items;
            let told = clocks.iter().filter(|c| c.status.as_ref().is_some_and(|s| s.state == "Synchronized")).count();
            ensure!(told == 200, "{told} NodeClocks are told");
            Ok(())
        })
        .await?;
        // What was decided is written by now, or it would be written in the next rounds, which follow one another
        // within a second. A minute of rest is the measurement itself.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = writes()?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let written = writes()? - before;
        println!("200 healthy nodes: {written} writes other than the lease in a minute ({before} to get there)");
        ensure!(written == 0, "{written} writes although nothing changed");
        drop((controller, agents));
        lab.end().await
    })
}

fn is_lease(write: &crate::support::requests::AuditedWrite) -> bool {
    write.object_ref.as_ref().and_then(|o| o.resource.as_deref()) == Some("leases")
}

/// A timing is a figure, not a verdict: the test fails only if a step is not seen at all.
#[test]
fn from_a_step_to_the_taint_on_the_api_server() -> Outcome {
    run(async {
        let mut lab = Lab::begin("step").await?;
        lab.nodes(3).await?;
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 3, 3)).await?;
        let mut agents = Vec::new();
        for number in 1..=3 {
            agents.push(lab.agent(number, Some(&reference)).await?);
        }
        let (controller, _) = lab.controller("controller-step", &[]).await?;
        lab.policy(
            "step",
            json!({"action": {"recoveredFor": "0s"}, "interval": "10s", "tolerance": {"staleAfter": "60s"}}),
        )
        .await?;
        lab.wait_state("step-3", "Synchronized").await?;
        let watch = watcher(lab.live(), watcher::Config::default().fields("metadata.name=step-3")).default_backoff();
        let mut watch = std::pin::pin!(watch.applied_objects());
        let has = |node: &Node| {
            node.spec.as_ref().and_then(|s| s.taints.as_ref()).is_some_and(|all| all.iter().any(|t| t.key == KEY))
        };
        let mut took = Vec::new();
        for _ in 0..20 {
            for (offset, wanted) in [(15, true), (0, false)] {
                let stepped = mono_now();
                agents[2].clock.set(SignedDuration::from_secs(offset))?;
                let seen = async {
                    while let Some(node) = watch.try_next().await? {
                        if has(&node) == wanted {
                            return Ok(());
                        }
                    }
                    anyhow::bail!("the watch ended")
                };
                tokio::time::timeout(SOON, seen).await??;
                if wanted {
                    took.push(stepped.elapsed());
                }
            }
        }
        took.sort();
        println!("step to taint, 20 rounds: median {:?}, greatest {:?}", took[10], took[19]);
        drop((controller, agents));
        lab.end().await
    })
}
