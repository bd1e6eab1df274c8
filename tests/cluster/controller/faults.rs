//! Controllers that die, and two at once.

use anyhow::{Result, ensure};
use serde_json::json;

use super::agents::Manner;
use super::lab::{KEY, Lab, SOON};
use super::limits::many;

use crate::support::requests::writes_of;
use crate::support::{Outcome, http, run, wait_for};

#[test]
fn a_controller_killed_between_decision_and_write_loses_and_doubles_nothing() -> Outcome {
    run(async {
        let mut lab = Lab::begin("killed").await?;
        lab.nodes(8).await?;
        let agents = many(8).await?;
        let sole = ["--no-leader-election"];
        let (mut controller, _) = lab.controller("controller-killed", &sole).await?;
        lab.policy("killed", json!({})).await?;
        lab.wait_state("killed-8", "Synchronized").await?;
        // Three nodes drift; the controller dies at a different point of acting on it each time.
        for round in 0..10u64 {
            let wrong = round % 2 == 0;
            for agent in &agents[..3] {
                agent.become_(if wrong { Manner::ahead_ms(15_000) } else { Manner::right() });
            }
            tokio::time::sleep(std::time::Duration::from_millis(round * 4)).await;
            controller.kill()?;
            controller = lab.controller(&format!("controller-killed-{round}"), &sole).await?.0;
            lab.wait_tainted(KEY, if wrong { &[1, 2, 3] } else { &[] }).await?;
            // Every node tells the story so far once, in turn, whatever the killed one had told already.
            let turns = usize::try_from(round)? + 1;
            let story: Vec<_> = ["Tainted", "Untainted"].into_iter().cycle().take(turns).collect();
            for node in ["killed-1", "killed-2", "killed-3"] {
                wait_for(&format!("the history of {node} to be complete"), SOON, async || {
                    let history = lab.clocks().get(node).await?.status.unwrap_or_default().history;
                    let mut marks: Vec<_> = history.iter().map(|i| i.kind.as_str()).collect();
                    marks.retain(|kind| ["Tainted", "Untainted"].contains(kind));
                    ensure!(marks == story, "{marks:?}");
                    Ok(())
                })
                .await?;
            }
        }
        drop((controller, agents));
        lab.end().await
    })
}

#[test]
fn of_two_controllers_one_acts_and_the_other_takes_over() -> Outcome {
    run(async {
        let mut lab = Lab::begin("two").await?;
        lab.nodes(3).await?;
        let agents = many(3).await?;
        let users = ["controller-a", "controller-b"];
        let mut controllers = Vec::new();
        for user in users {
            let kubeconfig = lab.plane.kubeconfig_for(user, &["system:masters"])?;
            controllers.push(lab.controller_as(user, kubeconfig, &[]).await?);
        }
        lab.policy("two", json!({})).await?;
        lab.wait_state("two-3", "Synchronized").await?;
        let leading = async || -> Result<Vec<usize>> {
            let mut leading = Vec::new();
            for (index, (_, url)) in controllers.iter().enumerate() {
                // One that was killed answers nothing.
                if let Ok(answer) = http::get(&format!("{url}/metrics")).await
                    && answer.body.contains("clockwarden_leader 1")
                {
                    leading.push(index);
                }
            }
            Ok(leading)
        };
        let first = wait_for("one leader", SOON, async || {
            let leading = leading().await?;
            ensure!(leading.len() == 1, "{} lead", leading.len());
            Ok(leading[0])
        })
        .await?;
        agents[2].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[3]).await?;
        let idle = 1 - first;
        let by_idle = writes_of(&lab.plane, users[idle])?;
        let by_idle: Vec<_> = by_idle.iter().filter(|w| !is_lease(w)).collect();
        ensure!(by_idle.is_empty(), "the controller without the lease wrote: {by_idle:?}");

        // The leader stops in good order and releases the lease: the other takes over without waiting it out.
        controllers[first].0.signal(rustix::process::Signal::TERM)?;
        controllers[first].0.wait_end(SOON).await?;
        agents[2].become_(Manner::right());
        lab.wait_tainted(KEY, &[]).await?;
        let by_idle = writes_of(&lab.plane, users[idle])?;
        ensure!(by_idle.iter().any(|w| !is_lease(w)), "the other one did not take over");
        drop((controllers, agents));
        lab.end().await
    })
}

fn is_lease(write: &crate::support::requests::AuditedWrite) -> bool {
    write.object_ref.as_ref().and_then(|o| o.resource.as_deref()) == Some("leases")
}
