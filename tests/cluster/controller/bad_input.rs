//! Agents that answer nonsense: a condition, an event, no taint, no crash, bounded memory.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::agents::Manner;
use super::lab::{KEY, Lab, SOON};
use super::limits::many;
use crate::support::{Outcome, run, wait_for};

/// Resident memory of a process, in KiB.
pub(super) fn resident_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

#[test]
fn garbage_silence_floods_and_dribbles_become_unknown_with_their_reason() -> Outcome {
    run(async {
        let mut lab = Lab::begin("bad").await?;
        lab.nodes(7).await?;
        let agents = many(7).await?;
        let (mut controller, _) = lab.controller("controller-bad", &[]).await?;
        lab.policy("bad", json!({"action": {"onUnknown": "Ignore"}})).await?;
        lab.wait_state("bad-7", "Synchronized").await?;
        let before = resident_kib(controller.pid())?;
        let manners = [Manner::Garbage, Manner::Huge, Manner::Slow, Manner::Silent];
        for (agent, manner) in agents.iter().zip(manners) {
            agent.become_(manner);
        }
        for (node, says) in [
            ("bad-1", "is no report"),
            ("bad-2", "longer than 65536 bytes"),
            ("bad-3", "did not answer within"),
            ("bad-4", "did not answer within"),
        ] {
            wait_for(&format!("{node} to be told as {says:?}"), SOON, async || {
                let status = lab.clocks().get(node).await?.status.context("no status")?;
                ensure!(
                    status.state == "Unknown" && status.message.contains(says),
                    "{}: {}",
                    status.state,
                    status.message
                );
                Ok(())
            })
            .await?;
            lab.wait_event(node, "ClockUnknown").await?;
        }
        lab.wait_degraded("bad", "SourceUnavailable").await?;
        ensure!(lab.tainted(KEY).await?.is_empty(), "nonsense got a node tainted");
        ensure!(controller.ended()?.is_none(), "the controller ended");
        let grown = resident_kib(controller.pid())?.saturating_sub(before);
        ensure!(grown < 32 * 1024, "the controller grew by {grown} KiB at its highest");
        // Good manners are believed again.
        agents.iter().for_each(|agent| agent.become_(Manner::right()));
        lab.wait_state("bad-1", "Synchronized").await?;
        drop((controller, agents));
        lab.end().await
    })
}
