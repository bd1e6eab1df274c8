//! The history of a clock: what drifted and was repaired is still told, whoever was killed meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::api::Incident;
use clockwarden::runtime::mono_now;
use serde_json::json;

use super::agents::Manner;
use super::lab::{KEY, Lab, SOON};
use super::limits::many;
use crate::support::{Outcome, binary, run, wait_for};

async fn history(lab: &Lab, node: &str) -> Result<Vec<Incident>> {
    Ok(lab.clocks().get(node).await?.status.unwrap_or_default().history)
}

#[test]
fn a_drift_is_one_incident_with_peak_and_area_although_the_controller_is_killed_in_it() -> Outcome {
    run(async {
        let mut lab = Lab::begin("drifted").await?;
        lab.nodes(4).await?;
        let agents = many(4).await?;
        let sole = ["--no-leader-election"];
        let (mut controller, _) = lab.controller("controller-drifted", &sole).await?;
        lab.policy("drifted", json!({})).await?;
        lab.wait_state("drifted-4", "Synchronized").await?;
        let began = mono_now();
        agents[3].become_(Manner::ahead_ms(2_000));
        lab.wait_tainted(KEY, &[4]).await?;
        agents[3].become_(Manner::ahead_ms(5_000));
        // It is the time that is measured.
        tokio::time::sleep(Duration::from_secs(4)).await;
        // A new decision is written at once, and the figures along with it.
        lab.change_policy("drifted", json!({"action": {"type": "Observe"}})).await?;
        let known = wait_for("peak and area to be told", SOON, async || {
            let all = history(&lab, "drifted-4").await?;
            let drift = all.into_iter().find(|it| it.kind == "Drifting").context("no drift")?;
            ensure!(drift.measured_seconds.is_some_and(|seconds| seconds > 3.0), "{drift:?}");
            Ok(drift)
        })
        .await?;
        controller.kill()?;
        let (controller, _) = lab.controller("controller-drifted-2", &sole).await?;
        lab.wait_tainted(KEY, &[]).await?;
        agents[3].become_(Manner::right());
        lab.wait_state("drifted-4", "Synchronized").await?;
        let lasted = mono_now().since(began).as_secs_f64();
        let all = history(&lab, "drifted-4").await?;
        let drifts: Vec<&Incident> = all.iter().filter(|it| it.kind == "Drifting").collect();
        ensure!(drifts.len() == 1, "{drifts:?}");
        let drift = drifts[0];
        let (area, measured) =
            (drift.area_seconds_squared.context("no area")?, drift.measured_seconds.context("no time")?);
        ensure!(drift.until.is_some() && drift.peak_seconds.is_some_and(|it| (it - 5.0).abs() < 0.1), "{drift:?}");
        ensure!(
            Some(area) >= known.area_seconds_squared && Some(measured) >= known.measured_seconds,
            "{known:?} {drift:?}"
        );
        println!("{area} s² in {measured} s of evidence; {lasted} s in all");
        ensure!(measured <= lasted && area <= 5.1 * lasted && measured > 3.0, "{area} {measured} {lasted}");
        let mean = area / measured;
        ensure!((1.9..=5.1).contains(&mean), "{mean} on average");

        // And status tells it.
        let mut command = binary::command(["status", "drifted-4", "--kubeconfig"])?;
        command.arg(lab.plane.kubeconfig());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.contains("Drifting: +5.0") && text.contains("at worst"), "{text}");
        ensure!(text.contains("Untainted: no longer: taint clockwarden.io/clock-drift"), "{text}");
        drop((controller, agents));
        lab.end().await
    })
}
