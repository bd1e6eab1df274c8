//! Somebody else writes to the same node at the same moment, and nobody loses.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::agents::Manner;
use super::lab::{KEY, Lab, SOON};
use super::limits::many;
use crate::support::{Outcome, run, wait_for};

const ROUNDS: usize = 100;

/// Adds or removes a foreign taint the way that a careful controller does: with the resourceVersion that it read.
pub(super) async fn foreign(nodes: &Api<Node>, node: &str, key: &str, present: bool) -> Result<Node> {
    loop {
        let live = nodes.get(node).await?;
        let mut taints = live.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
        taints.retain(|taint| taint.key != key);
        if present {
            taints.push(Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() });
        }
        let version = live.metadata.resource_version;
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}}));
        match nodes.patch(node, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            written => return written.map_err(Into::into),
        }
    }
}

#[test]
fn a_foreign_taint_added_at_the_same_moment_survives_a_hundred_times() -> Outcome {
    run(async {
        let mut lab = Lab::begin("race").await?;
        lab.nodes(3).await?;
        let agents = many(3).await?;
        let (controller, _) = lab.controller("controller-race", &[]).await?;
        lab.policy("race", json!({"action": {"recoveredFor": "0s"}})).await?;
        lab.wait_state("race-3", "Synchronized").await?;
        for round in 0..ROUNDS {
            // Odd rounds race against our untainting, even ones against our tainting.
            let on = round % 2 == 0;
            let key = format!("foreign/{round}");
            agents[2].become_(if on { Manner::ahead_ms(15_000) } else { Manner::right() });
            foreign(&lab.live(), "race-3", &key, true).await?;
            if round >= 2 {
                foreign(&lab.live(), "race-3", &format!("foreign/{}", round - 2), false).await?;
            }
            let mut wanted: Vec<String> = (round.saturating_sub(1)..=round).map(|r| format!("foreign/{r}")).collect();
            if on {
                wanted.push(KEY.to_owned());
            }
            wanted.sort();
            wait_for(&format!("round {round} to end with {wanted:?}"), SOON, async || {
                let mut taints = lab.taints("race-3").await?;
                taints.retain(|key| key != "node.kubernetes.io/not-ready");
                taints.sort();
                for foreign in wanted.iter().filter(|key| *key != KEY) {
                    ensure!(taints.contains(foreign), "{foreign} was lost: {taints:?}");
                }
                ensure!(taints == wanted, "the taints are {taints:?}");
                Ok(())
            })
            .await?;
        }
        drop((controller, agents));
        lab.end().await
    })
}
