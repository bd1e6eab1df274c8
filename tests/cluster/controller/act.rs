//! The main job, with real agents and real wrong clocks: drift, mark, recovery, no mark.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::lab::{KEY, Lab, SOON, owned};
use crate::support::{Chronyd, Outcome, run, wait_for};

#[test]
fn a_drifting_node_is_tainted_and_let_go_when_its_clock_is_right_again() -> Outcome {
    run(async {
        let mut lab = Lab::begin("act").await?;
        lab.nodes(3).await?;
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 3, 1)).await?;
        let mut agents = Vec::new();
        for number in 1..=3 {
            agents.push(lab.agent(number, Some(&reference)).await?);
        }
        let (controller, url) = lab.controller("controller-act", &[]).await?;
        lab.policy("act", json!({})).await?;
        for number in 1..=3 {
            lab.wait_state(&lab.node(number), "Synchronized").await?;
        }

        agents[2].clock.set(SignedDuration::from_secs(15))?;
        lab.wait_tainted(KEY, &[3]).await?;
        let clock = lab.wait_state("act-3", "Drifting").await?.status.context("no status")?;
        let (offset, bound) =
            (clock.offset_seconds.context("no offset")?, clock.error_bound_seconds.context("no bound")?);
        ensure!((offset - 15.0).abs() <= bound && bound < 0.1, "offset {offset} with bound {bound} is not 15 s");
        let node = lab.live().get("act-3").await?;
        let conditions = node.status.clone().and_then(|s| s.conditions).unwrap_or_default();
        let condition = conditions.iter().find(|c| c.type_ == "ClockSynchronized").context("no condition")?;
        ensure!(condition.status == "False" && condition.reason.as_deref() == Some("BeyondTolerance"), "{condition:?}");
        for reason in ["ClockStepped", "ClockDrifting", "NodeTainted"] {
            lab.wait_event("act-3", reason).await?;
        }
        let metrics = crate::support::http::get(&format!("{url}/metrics")).await?.body;
        let shown = |name: &str| -> Result<f64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.with_context(|| format!("no {name} in {metrics}"))?.parse()?)
        };
        for name in ["clockwarden_node_offset_seconds{node=\"act-3\"}", "clockwarden_cluster_skew_seconds"] {
            ensure!((shown(name)? - 15.0).abs() < 0.1, "{name} {}", shown(name)?);
        }
        ensure!(shown("clockwarden_cluster_skew_error_bound_seconds")? < 0.1, "{metrics}");
        // Two of the three agree with one another, and with the controller.
        let of = |name: &str| shown(&format!("clockwarden_consensus_{name}{{policy=\"act\"}}"));
        let (bound, agreeing) = (of("error_bound_seconds")?, of("nodes")?);
        ensure!(of("offset_seconds")?.abs() <= bound && bound < 0.1 && (1.5..2.5).contains(&agreeing), "{metrics}");
        ensure!(metrics.contains("\nclockwarden_recommended_leeway_seconds 30.0\n"), "{metrics}");
        ensure!(metrics.contains("clockwarden_leader 1"), "{metrics}");

        agents[2].clock.set(SignedDuration::ZERO)?;
        lab.wait_tainted(KEY, &[]).await?;
        lab.wait_state("act-3", "Synchronized").await?;
        for reason in ["ClockRecovered", "NodeUntainted"] {
            lab.wait_event("act-3", reason).await?;
        }
        let node = lab.live().get("act-3").await?;
        ensure!(
            owned(&node)?.is_empty() && node.metadata.annotations.unwrap_or_default().is_empty(),
            "a record is left"
        );
        drop(controller);
        lab.end().await
    })
}

#[test]
fn cordon_comes_and_goes_and_a_persons_cordon_stays() -> Outcome {
    run(async {
        let mut lab = Lab::begin("cordon").await?;
        lab.nodes(3).await?;
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 3, 2)).await?;
        let mut agents = Vec::new();
        for number in 1..=3 {
            agents.push(lab.agent(number, Some(&reference)).await?);
        }
        // A person cordoned node 2 before.
        let by_hand = Patch::Merge(json!({"spec": {"unschedulable": true}}));
        lab.live().patch("cordon-2", &PatchParams::default(), &by_hand).await?;
        let (controller, _) = lab.controller("controller-cordon", &[]).await?;
        let tolerance = json!({"maxOffset": "1s"});
        lab.policy("cordon", json!({"action": {"type": "Cordon"}, "tolerance": tolerance})).await?;
        lab.wait_state("cordon-3", "Synchronized").await?;
        // The wrong ones are the majority in number, but not all: own sources and consensus say the same of node 3.
        agents[2].clock.set(SignedDuration::from_secs(-15))?;
        let cordoned = async |node: &str| -> Result<bool> {
            Ok(lab.live().get(node).await?.spec.and_then(|s| s.unschedulable).unwrap_or(false))
        };
        wait_for("node 3 to be cordoned", SOON, async || {
            ensure!(cordoned("cordon-3").await?, "it is not");
            Ok(())
        })
        .await?;
        ensure!(lab.taints("cordon-3").await?.iter().all(|key| key != KEY), "a cordon is no taint of ours");
        lab.wait_event("cordon-3", "NodeCordoned").await?;

        agents[2].clock.set(SignedDuration::ZERO)?;
        wait_for("node 3 to be uncordoned", SOON, async || {
            ensure!(!cordoned("cordon-3").await?, "it is cordoned still");
            Ok(())
        })
        .await?;

        // Now the node that a person cordoned drifts, and recovers: their cordon was never ours to lift.
        agents[1].clock.set(SignedDuration::from_secs(20))?;
        lab.wait_state("cordon-2", "Drifting").await?;
        wait_for("the decision to leave a foreign cordon alone", SOON, async || {
            let decisions = lab.clocks().get("cordon-2").await?.status.unwrap_or_default().decisions;
            ensure!(decisions.iter().any(|d| d.decision == "Leave/ForeignCordon"), "{decisions:?}");
            Ok(())
        })
        .await?;
        agents[1].clock.set(SignedDuration::ZERO)?;
        lab.wait_state("cordon-2", "Synchronized").await?;
        ensure!(cordoned("cordon-2").await?, "a person's cordon was lifted");
        drop(controller);
        lab.end().await
    })
}

#[test]
fn what_we_put_on_goes_when_the_policy_goes_or_changes_and_other_taints_stay() -> Outcome {
    run(async {
        let mut lab = Lab::begin("goes").await?;
        lab.nodes(3).await?;
        let foreign =
            Patch::Merge(json!({"spec": {"taints": [{"key": "team", "value": "a", "effect": "NoSchedule"}]}}));
        lab.live().patch("goes-3", &PatchParams::default(), &foreign).await?;
        let agents = super::limits::many(3).await?;
        let (controller, _) = lab.controller("controller-goes", &[]).await?;
        lab.policy("goes", json!({})).await?;
        agents[2].become_(super::agents::Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[3]).await?;

        // The key changes.
        lab.change_policy("goes", json!({"action": {"taint": {"key": "example.com/clock"}}})).await?;
        lab.wait_tainted("example.com/clock", &[3]).await?;
        lab.wait_tainted(KEY, &[]).await?;
        // The selector changes.
        lab.change_policy("goes", json!({"nodeSelector": {"matchLabels": {"lab": "nowhere"}}})).await?;
        lab.wait_tainted("example.com/clock", &[]).await?;
        lab.change_policy("goes", json!({"nodeSelector": {"matchLabels": {"lab": "goes"}}})).await?;
        lab.wait_tainted("example.com/clock", &[3]).await?;
        // The node is relabelled.
        let relabel = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"lab": value}}}));
        lab.live().patch("goes-3", &PatchParams::default(), &relabel("elsewhere")).await?;
        wait_for("the relabelled node to be let go", SOON, async || {
            let taints = lab.taints("goes-3").await?;
            ensure!(!taints.iter().any(|key| key == "example.com/clock"), "it has {taints:?}");
            Ok(())
        })
        .await?;
        lab.live().patch("goes-3", &PatchParams::default(), &relabel("goes")).await?;
        lab.wait_tainted("example.com/clock", &[3]).await?;
        // The policy goes: its finalizer holds it until the node is free.
        lab.delete_policy("goes").await?;
        wait_for("the policy to be gone", SOON, async || {
            ensure!(lab.tsps().get_opt("goes").await?.is_none(), "it is there still");
            Ok(())
        })
        .await?;
        let taints = lab.taints("goes-3").await?;
        ensure!(taints.contains(&"team".to_owned()), "somebody else's taint is gone: {taints:?}");
        ensure!(!taints.iter().any(|k| k == "example.com/clock" || k == KEY), "ours is left: {taints:?}");
        drop((controller, agents));
        lab.end().await
    })
}
