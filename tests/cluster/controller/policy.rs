//! What people say about a policy and about single nodes: suspend, Observe, exemptions, control-plane nodes.

use anyhow::{Context, Result, ensure};
use clockwarden::api::time_sync_policy::NodeCounts;
use clockwarden::runtime::{timestamp, wall_now};
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::agents::Manner;
use super::lab::{KEY, Lab, SOON, owned};
use super::limits::many;
use crate::support::{Outcome, run, wait_for};

/// Changes the metadata of a node.
async fn change_node(lab: &Lab, number: u8, metadata: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    lab.live().patch(&lab.node(number), &PatchParams::default(), &patch).await.context("cannot change the node")?;
    Ok(())
}

/// Waits until the policy's decision about a node is this one.
async fn wait_decision(lab: &Lab, number: u8, policy: &str, word: &str) -> Result<()> {
    let name = lab.node(number);
    wait_for(&format!("the decision {word} of {policy} about {name}"), SOON, async || {
        let status = lab.clocks().get(&name).await?.status.unwrap_or_default();
        let decision = status.decisions.iter().find(|d| d.policy == policy).context("no decision yet")?;
        ensure!(decision.decision == word, "it is {}", decision.decision);
        Ok(())
    })
    .await
}

/// Waits until the counts of a policy are as `is` wants them.
async fn wait_counts(lab: &Lab, policy: &str, is: impl Fn(&NodeCounts) -> bool) -> Result<()> {
    wait_for(&format!("the counts of {policy}"), SOON, async || {
        let counts = lab.tsps().get(policy).await?.status.and_then(|s| s.nodes).context("no counts")?;
        ensure!(is(&counts), "{counts:?}");
        Ok(())
    })
    .await
}

/// The status, reason and message of a condition of a policy.
async fn condition(lab: &Lab, policy: &str, type_: &str) -> Result<(String, String, String)> {
    let conditions = lab.tsps().get(policy).await?.status.unwrap_or_default().conditions;
    let found = conditions.into_iter().find(|c| c.type_ == type_).context("no such condition")?;
    Ok((found.status, found.reason, found.message))
}

#[test]
fn a_suspended_policy_does_nothing_new_undoes_and_says_what_it_would_do() -> Outcome {
    run(async {
        let mut lab = Lab::begin("suspend").await?;
        lab.nodes(5).await?;
        let agents = many(5).await?;
        let (controller, _) = lab.controller("controller-suspend", &[]).await?;
        lab.policy("suspend", json!({})).await?;
        lab.wait_state("suspend-5", "Synchronized").await?;
        agents[0].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[1]).await?;

        lab.change_policy("suspend", json!({"suspend": true})).await?;
        wait_for("the policy to be suspended", SOON, async || {
            let (status, reason, _) = condition(&lab, "suspend", "Suspended").await?;
            ensure!((status.as_str(), reason.as_str()) == ("True", "Suspended"), "{status} {reason}");
            Ok(())
        })
        .await?;
        agents[1].become_(Manner::ahead_ms(15_000));
        let policy = lab.wait_degraded("suspend", "WouldAct").await?;
        let (_, _, message) = condition(&lab, "suspend", "Degraded").await?;
        ensure!(message.contains("would taint 1 node") && message.contains("(suspend-2)"), "{message}");
        drop(policy);
        lab.wait_event("suspend", "WouldAct").await?;
        wait_counts(&lab, "suspend", |c| (c.drifting, c.acted, c.would_act) == (2, 1, 1)).await?;
        wait_decision(&lab, 2, "suspend", "WouldAct/Suspended").await?;
        ensure!(lab.tainted(KEY).await? == ["suspend-1"], "a suspended policy tainted a node");

        // What is there goes when the clock is right again, and does not come back.
        agents[0].become_(Manner::right());
        lab.wait_tainted(KEY, &[]).await?;
        ensure!(owned(&lab.live().get("suspend-1").await?)?.is_empty(), "a record is left");
        lab.change_policy("suspend", json!({"suspend": false})).await?;
        lab.wait_tainted(KEY, &[2]).await?;
        drop(controller);
        lab.end().await
    })
}

#[test]
fn observing_takes_off_what_was_there_and_tells_what_would_be() -> Outcome {
    run(async {
        let mut lab = Lab::begin("observe").await?;
        lab.nodes(5).await?;
        let agents = many(5).await?;
        let (controller, _) = lab.controller("controller-observe", &[]).await?;
        lab.policy("observe", json!({})).await?;
        lab.wait_state("observe-5", "Synchronized").await?;
        agents[0].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[1]).await?;
        lab.change_policy("observe", json!({"action": {"type": "Observe"}})).await?;
        lab.wait_tainted(KEY, &[]).await?;
        lab.wait_degraded("observe", "WouldAct").await?;
        agents[1].become_(Manner::ahead_ms(15_000));
        wait_counts(&lab, "observe", |c| (c.drifting, c.acted, c.would_act) == (2, 0, 2)).await?;
        let (status, _, message) = condition(&lab, "observe", "Degraded").await?;
        ensure!(
            status == "False" && message.contains("would taint 2 nodes") && message.contains("observe-1, observe-2"),
            "{message}"
        );
        lab.wait_event("observe", "WouldAct").await?;
        wait_decision(&lab, 1, "observe", "WouldAct/Drifting").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "a policy that observes tainted a node");

        // The caution about an action stands there before anything is done.
        ensure!(condition(&lab, "observe", "Caution").await?.1 == "NothingEvicted", "no caution is due yet");
        agents.iter().for_each(|agent| agent.become_(Manner::right()));
        lab.change_policy("observe", json!({"action": {"type": "Taint", "taint": {"effect": "NoExecute"}}})).await?;
        wait_for("the caution about NoExecute", SOON, async || {
            let (status, reason, _) = condition(&lab, "observe", "Caution").await?;
            ensure!((status.as_str(), reason.as_str()) == ("True", "NoExecuteEvicts"), "{status} {reason}");
            Ok(())
        })
        .await?;
        drop(controller);
        lab.end().await
    })
}

#[test]
fn an_exempt_node_is_let_go_until_its_exemption_ends() -> Outcome {
    run(async {
        let mut lab = Lab::begin("exempt").await?;
        lab.nodes(5).await?;
        let agents = many(5).await?;
        let (controller, _) = lab.controller("controller-exempt", &[]).await?;
        lab.policy("exempt", json!({})).await?;
        lab.wait_state("exempt-5", "Synchronized").await?;
        agents[0].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[1]).await?;

        let until = |text: &str| json!({"annotations": {"clockwarden.io/exempt-until": text}});
        change_node(&lab, 1, until("2200-01-01T00:00:00Z")).await?;
        lab.wait_tainted(KEY, &[]).await?;
        wait_decision(&lab, 1, "exempt", "Leave/ExemptFarAhead").await?;
        lab.wait_state("exempt-1", "Drifting").await?;
        wait_counts(&lab, "exempt", |c| (c.drifting, c.acted, c.exempt) == (1, 0, 1)).await?;

        // What cannot be read stops the new, and is told.
        change_node(&lab, 1, until("tomorrow")).await?;
        wait_decision(&lab, 1, "exempt", "Leave/UnreadableExemption").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "a node was tainted whose exemption cannot be read");

        // It ends by itself, without any news from the node or about it.
        let soon = timestamp(wall_now()) + SignedDuration::from_secs(4);
        change_node(&lab, 1, until(&soon.to_string())).await?;
        wait_decision(&lab, 1, "exempt", "Leave/Exempt").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "an exempt node was tainted");
        lab.wait_tainted(KEY, &[1]).await?;
        ensure!(timestamp(wall_now()) > soon, "the exemption ended before its time");

        // A node that is not drifting shows that its annotation was read.
        change_node(&lab, 2, until("2200-01-01T00:00:00Z")).await?;
        wait_decision(&lab, 2, "exempt", "Leave/ExemptFarAhead").await?;
        drop(controller);
        lab.end().await
    })
}

#[test]
fn control_plane_nodes_are_reported_and_only_acted_on_where_a_policy_asks_for_them() -> Outcome {
    run(async {
        let mut lab = Lab::begin("masters").await?;
        lab.nodes(5).await?;
        let agents = many(5).await?;
        change_node(&lab, 1, json!({"labels": {"node-role.kubernetes.io/control-plane": ""}})).await?;
        let (controller, _) = lab.controller("controller-masters", &[]).await?;
        lab.policy("masters", json!({})).await?;
        lab.wait_state("masters-5", "Synchronized").await?;
        agents[0].become_(Manner::ahead_ms(15_000));
        agents[1].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[2]).await?;
        wait_decision(&lab, 1, "masters", "Leave/ControlPlane").await?;
        wait_counts(&lab, "masters", |c| (c.matched, c.drifting, c.acted) == (5, 2, 1)).await?;

        let asking = json!({"nodeSelector": {"matchLabels": {
            "lab": "masters", "node-role.kubernetes.io/control-plane": "",
        }}});
        lab.policy("masters-too", asking).await?;
        lab.wait_tainted(KEY, &[1, 2]).await?;
        wait_decision(&lab, 1, "masters", "Leave/ControlPlane").await?;
        wait_decision(&lab, 1, "masters-too", "Act/Drifting").await?;

        // A tainted worker that becomes a control-plane node is let go by the policy that does not ask for such, and taken
        // over by the one that does.
        change_node(&lab, 2, json!({"labels": {"node-role.kubernetes.io/control-plane": ""}})).await?;
        wait_decision(&lab, 2, "masters", "Leave/ControlPlane").await?;
        lab.delete_policy("masters-too").await?;
        lab.wait_tainted(KEY, &[]).await?;
        drop(controller);
        lab.end().await
    })
}
