//! Agents that die, drag, talk nonsense and lie.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::referee::Truth;
use super::{Bout, rounds, throughout};
use crate::controller::agents::{Manner, OneAgent};
use crate::controller::lab::{KEY, PORT, address};
use crate::support::{Outcome, run, wait_for};

#[test]
fn agents_that_are_killed_while_it_matters_change_nothing_that_is_known() -> Outcome {
    run(async {
        let count = rounds(3, 30)?;
        let mut bout = Bout::begin("deadagents", "agents killed and started again", count).await?;
        let (controller, _) = bout.lab.controller("controller-deadagents", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
            // Marked or not, whoever falls silent stays as it is. staleAfter is 4 s.
            let mut silent: Vec<u8> = wrong.iter().copied().take(1).collect();
            silent.push((1..=super::NODES).find(|number| !wrong.contains(number)).context("all are wrong")?);
            for number in &silent {
                let index = usize::from(*number) - 1;
                let manner = bout.agents[index].manner();
                bout.agents[index].kill().await;
                bout.condition(*number, "Unknown").await?;
                bout.settled(&wrong).await?;
                bout.agents[index] = OneAgent::start(address(*number), PORT, manner).await?;
            }
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
        }
        bout.end(vec![controller]).await
    })
}

#[test]
fn agents_that_drag_or_answer_nonsense_are_unknown_and_in_nobodys_way() -> Outcome {
    run(async {
        let count = rounds(1, 10)?;
        let mut bout = Bout::begin("nonsense", "agents silent, slow, endless, lying in format", count).await?;
        let (controller, _) = bout.lab.controller("controller-nonsense", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            for manner in
                [Manner::Silent, Manner::Slow, Manner::Huge, Manner::Garbage, Manner::Says(json!({"node": 7}))]
            {
                // Its clock is right all the time: nothing of this is a reason to mark it.
                bout.agents[7].become_(manner.clone());
                let wrong: Vec<u8> = bout.choice().into_iter().filter(|number| *number != 8).collect();
                for (number, agent) in (1..=7).zip(&bout.agents) {
                    let is_wrong = wrong.contains(&number);
                    let wanted = if is_wrong { Manner::ahead_ms(15_000) } else { Manner::right() };
                    if agent.manner() != wanted {
                        bout.referee.truth(&bout.lab.node(number), if is_wrong { Truth::Wrong } else { Truth::Right });
                        agent.become_(wanted);
                    }
                }
                bout.settled(&wrong).await?;
                bout.condition(8, "Unknown").await.with_context(|| format!("{manner:?}"))?;
                bout.agents[7].become_(Manner::right());
                bout.condition(8, "True").await.with_context(|| format!("{manner:?}"))?;
            }
        }
        bout.end(vec![controller]).await
    })
}

/// Reports in the right form that cannot be true. What is made of the liar's own node is not judged.
fn lies() -> Vec<Value> {
    const TEN_YEARS_NS: i64 = 315_576_000_000_000_000;
    let now = i64::try_from(crate::support::wait::wall_now().as_nanosecond()).unwrap_or(i64::MAX);
    let at = |ns: i64| json!({"receivedUnixNanos": ns, "sentUnixNanos": ns, "heldNanos": 0});
    let jump = |age: f64, amount: f64| json!({"jumps": [{"id": 1, "cause": "step", "ageSeconds": age, "amountSeconds": amount}]});
    vec![
        at(now.saturating_add(TEN_YEARS_NS)),
        at(i64::MAX),
        at(i64::MIN),
        at(0),
        json!({"heldNanos": u64::MAX}),
        json!({"sentUnixNanos": 0}),
        json!({"offsetSeconds": 1e300, "errorBoundSeconds": 1e-300}),
        json!({"offsetSeconds": -1e18, "errorBoundSeconds": 0}),
        json!({"offsetSeconds": 0, "errorBoundSeconds": -5}),
        json!({"offsetSeconds": 0, "errorBoundSeconds": 1e300}),
        json!({"sequence": 0}),
        json!({"sequence": u64::MAX}),
        jump(-1e300, 1e300),
        jump(0.0, -1e300),
        jump(1e308, 0.0),
    ]
}

#[test]
fn one_liar_is_judged_alone_and_never_moves_the_others() -> Outcome {
    run(async {
        let count = rounds(1, 10)?;
        let mut bout = Bout::begin("liar", "one agent lies: +10 years and other impossible figures", count).await?;
        let (mut controller, _) = bout.lab.controller("controller-liar", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            for lie in lies() {
                bout.open(8, Manner::Says(lie.clone()));
                // Of the honest ones, one more goes wrong and one comes right: both are seen, and nobody else is touched.
                let wrong = [1 + u8::try_from(bout.chance(7)).unwrap_or(0)];
                bout.others_wrong(&wrong);
                wait_for(&format!("{wrong:?} to be judged beside {lie}"), super::SOON, async || {
                    let mut tainted = bout.lab.tainted(KEY).await?;
                    tainted.retain(|node| *node != bout.lab.node(8));
                    let wanted: Vec<String> = wrong.iter().map(|number| bout.lab.node(*number)).collect();
                    ensure!(tainted == wanted, "{tainted:?} are tainted, not {wanted:?}");
                    Ok(())
                })
                .await?;
                ensure!(controller.ended()?.is_none(), "the controller died of {lie}");
            }
            // Ten years ahead is a clock like any other that is wrong.
            bout.open(8, Manner::Says(lies().swap_remove(0)));
            wait_for("the node ten years ahead to be tainted", super::SOON, async || {
                let tainted = bout.lab.tainted(KEY).await?;
                ensure!(tainted.contains(&bout.lab.node(8)), "{tainted:?} are");
                Ok(())
            })
            .await?;
            bout.open(8, Manner::right());
            bout.others_wrong(&[]);
            bout.settled(&[]).await?;
            throughout(Duration::from_secs(2), async || bout.settled(&[]).await).await?;
        }
        bout.end(vec![controller]).await
    })
}

impl Bout {
    /// As `only_wrong`, and the last node is left as it is.
    fn others_wrong(&self, numbers: &[u8]) {
        for (number, agent) in (1..super::NODES).zip(&self.agents) {
            let wrong = numbers.contains(&number);
            let manner = if wrong { Manner::ahead_ms(15_000) } else { Manner::right() };
            if agent.manner() != manner {
                self.referee.truth(&self.lab.node(number), if wrong { Truth::Wrong } else { Truth::Right });
                agent.become_(manner);
            }
        }
    }
}
