//! A person and the controller, who both cordon the same node; and a record that a person has scribbled in.

use anyhow::{Context, Result, ensure};
use clockwarden::api::MARKS_ANNOTATION;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::agents::{Manner, OneAgent};
use super::lab::{KEY, Lab, SOON};
use super::limits::many;
use crate::support::{Outcome, run, wait_for};

/// As `kubectl cordon` and `kubectl uncordon` write it.
async fn by_hand(lab: &Lab, node: &str, cordon: bool) -> Result<()> {
    let value = if cordon { json!(true) } else { json!(null) };
    let patch = Patch::Strategic(json!({"spec": {"unschedulable": value}}));
    lab.live().patch(node, &PatchParams::apply("kubectl-cordon"), &patch).await?;
    Ok(())
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

fn record(node: &Node) -> &str {
    node.metadata.annotations.as_ref().and_then(|all| all.get(MARKS_ANNOTATION)).map_or("", String::as_str)
}

async fn wait_cordon(lab: &Lab, node: &str, cordoned: bool, recorded: &str) -> Result<()> {
    wait_for(&format!("{node} to be cordoned: {cordoned}, and recorded as {recorded:?}"), SOON, async || {
        let live = lab.live().get(node).await?;
        ensure!(is_cordoned(&live) == cordoned, "cordoned: {}", is_cordoned(&live));
        ensure!(record(&live) == recorded, "the record is {}", record(&live));
        Ok(())
    })
    .await
}

async fn begin(name: &'static str) -> Result<(Lab, Vec<OneAgent>)> {
    let mut lab = Lab::begin(name).await?;
    lab.nodes(3).await?;
    let agents = many(3).await?;
    lab.policy(name, json!({"action": {"type": "Cordon"}})).await?;
    Ok((lab, agents))
}

#[test]
fn a_cordon_that_a_person_lifted_and_put_on_again_is_theirs_and_outlives_the_recovery() -> Outcome {
    run(async {
        let (lab, agents) = begin("again").await?;
        let (controller, _) = lab.controller("controller-again", &[]).await?;
        lab.wait_state("again-3", "Synchronized").await?;
        agents[2].become_(Manner::ahead_ms(15_000));
        wait_cordon(&lab, "again-3", true, r#"{"cordon":["again"]}"#).await?;
        by_hand(&lab, "again-3", false).await?;
        wait_cordon(&lab, "again-3", false, r#"{"lifted":["again"]}"#).await?;
        by_hand(&lab, "again-3", true).await?;
        agents[2].become_(Manner::right());
        wait_cordon(&lab, "again-3", true, "").await?;
        lab.wait_state("again-3", "Synchronized").await?;
        // Nobody lifts it later, and the next drift leaves it alone.
        agents[2].become_(Manner::ahead_ms(15_000));
        wait_for("the decision to leave a foreign cordon alone", SOON, async || {
            let decisions = lab.clocks().get("again-3").await?.status.unwrap_or_default().decisions;
            ensure!(decisions.iter().any(|d| d.decision == "Leave/ForeignCordon"), "{decisions:?}");
            Ok(())
        })
        .await?;
        agents[2].become_(Manner::right());
        lab.wait_state("again-3", "Synchronized").await?;
        wait_cordon(&lab, "again-3", true, "").await?;
        drop((controller, agents));
        lab.end().await
    })
}

#[test]
fn a_cordon_lifted_and_put_on_again_while_the_controller_was_dead_is_theirs_too() -> Outcome {
    run(async {
        let (lab, agents) = begin("unseen").await?;
        let sole = ["--no-leader-election"];
        let (mut controller, _) = lab.controller("controller-unseen", &sole).await?;
        lab.wait_state("unseen-3", "Synchronized").await?;
        agents[2].become_(Manner::ahead_ms(15_000));
        wait_cordon(&lab, "unseen-3", true, r#"{"cordon":["unseen"]}"#).await?;
        controller.kill()?;
        by_hand(&lab, "unseen-3", false).await?;
        by_hand(&lab, "unseen-3", true).await?;
        agents[2].become_(Manner::right());
        let (controller, _) = lab.controller("controller-unseen-2", &sole).await?;
        wait_cordon(&lab, "unseen-3", true, "").await?;
        drop((controller, agents));
        lab.end().await
    })
}

#[test]
fn a_policy_waits_for_the_repair_of_a_record_that_somebody_scribbled_in() -> Outcome {
    run(async {
        let mut lab = Lab::begin("scribble").await?;
        lab.nodes(8).await?;
        let agents = many(8).await?;
        let (controller, _) = lab.controller("controller-scribble", &[]).await?;
        lab.policy("scribble", json!({})).await?;
        lab.wait_state("scribble-8", "Synchronized").await?;
        agents.iter().take(2).for_each(|agent| agent.become_(Manner::ahead_ms(15_000)));
        lab.wait_tainted(KEY, &[1, 2]).await?;
        let write = async |text: Option<&str>, taints: Option<()>| -> Result<()> {
            let mut patch = json!({"metadata": {"annotations": {MARKS_ANNOTATION: text}}});
            if taints.is_some() {
                patch["spec"] = json!({"taints": null});
            }
            lab.live().patch("scribble-2", &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(())
        };
        write(Some("{\"taints\": oops"), None).await?;
        lab.delete_policy("scribble").await?;
        // Everything that can be told apart is undone; the rest keeps the policy.
        lab.wait_tainted(KEY, &[2]).await?;
        let policy = lab.tsps().get_opt("scribble").await?.context("the policy went and left its taint behind")?;
        ensure!(policy.metadata.deletion_timestamp.is_some(), "it is not being deleted");
        // A person repairs it as the message says: the annotation and the marks go.
        write(None, Some(())).await?;
        wait_for("the policy to be gone", SOON, async || {
            ensure!(lab.tsps().get_opt("scribble").await?.is_none(), "it is there still");
            Ok(())
        })
        .await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "the taint came back");
        drop((controller, agents));
        lab.end().await
    })
}
