//! Controllers that die, and two at once.

use anyhow::{Context, ensure};
use serde_json::json;

use super::{Bout, leads, rounds};
use crate::controller::agents::Manner;
use crate::controller::lab::{KEY, Lab, SOON};
use crate::controller::limits::many;
use crate::support::requests::{AuditedWrite, writes_of};
use crate::support::{Outcome, run, wait_for};

#[test]
fn a_controller_killed_between_decision_and_write_loses_and_doubles_nothing() -> Outcome {
    run(async {
        let count = rounds(10, 200)?;
        let mut bout = Bout::begin("killed", "controller killed (SIGKILL) and started again", count).await?;
        let sole = ["--no-leader-election"];
        let (mut controller, _) = bout.lab.controller("controller-killed", &sole).await?;
        bout.ready().await?;
        for round in 0..count {
            let wrong: &[u8] = if round % 2 == 0 { &[1, 2, 3] } else { &[] };
            bout.only_wrong(wrong);
            // It dies at a different point of acting on it each time.
            bout.moment(40).await;
            controller.kill()?;
            controller = bout.lab.controller(&format!("controller-killed-{round}"), &sole).await?.0;
            bout.settled(wrong).await?;
            // Every node tells the story so far once, in turn, whatever the killed one had told already.
            for number in 1..=3 {
                wait_for(&format!("the history of node {number} to be complete"), SOON, async || {
                    let history =
                        bout.lab.clocks().get(&bout.lab.node(number)).await?.status.unwrap_or_default().history;
                    let mut marks: Vec<_> = history.iter().map(|i| i.kind.as_str()).collect();
                    marks.retain(|kind| ["Tainted", "Untainted"].contains(kind));
                    let last = if wrong.is_empty() { "Untainted" } else { "Tainted" };
                    ensure!(marks.last() == Some(&last), "{marks:?}");
                    ensure!(marks.windows(2).all(|pair| pair[0] != pair[1]), "told twice: {marks:?}");
                    // A history is bounded; until then, it is complete.
                    ensure!(marks.len() == round + 1 || history.len() > 10 && round > 10, "{marks:?}");
                    Ok(())
                })
                .await?;
            }
        }
        bout.end(vec![controller]).await
    })
}

#[test]
fn of_two_controllers_one_acts_and_the_other_takes_over() -> Outcome {
    run(async {
        let mut lab = Lab::begin("two").await?;
        lab.nodes(3).await?;
        let agents = many(3).await?;
        let users = ["controller-a", "controller-b"];
        let (mut controllers, mut urls) = (Vec::new(), Vec::new());
        for user in users {
            let kubeconfig = lab.plane.kubeconfig_for(user, &["system:masters"])?;
            let (controller, url) = lab.controller_as(user, kubeconfig, &[]).await?;
            controllers.push(controller);
            urls.push(url);
        }
        lab.policy("two", json!({})).await?;
        lab.wait_state("two-3", "Synchronized").await?;
        let first = super::one_leader(&urls).await?;
        agents[2].become_(Manner::ahead_ms(15_000));
        lab.wait_tainted(KEY, &[3]).await?;
        let idle = 1 - first;
        let by_idle = writes_of(&lab.plane, users[idle])?;
        let by_idle: Vec<_> = by_idle.iter().filter(|w| !is_lease(w)).collect();
        ensure!(by_idle.is_empty(), "the controller without the lease wrote: {by_idle:?}");

        // The leader stops in good order and releases the lease: the other takes over without waiting it out.
        controllers[first].terminate(SOON).await?;
        agents[2].become_(Manner::right());
        lab.wait_tainted(KEY, &[]).await?;
        ensure!(leads(&urls[idle]).await.context("it does not answer")?, "it acts and does not say that it leads");
        let by_idle = writes_of(&lab.plane, users[idle])?;
        ensure!(by_idle.iter().any(|w| !is_lease(w)), "the other one did not take over");
        drop((controllers, agents));
        lab.end().await
    })
}

fn is_lease(write: &AuditedWrite) -> bool {
    write.object_ref.as_ref().and_then(|o| o.resource.as_deref()) == Some("leases")
}
