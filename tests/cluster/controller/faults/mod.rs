//! Faults of everything around a decision, in rounds, with a referee.
//!
//! Every fault is a test of a few rounds; `ROUNDS=50` makes them as many, and `ROUNDS=long` (`make faults`) as many as
//! the table in docs/faults.md has. A round changes which clocks are wrong, lets the fault strike at a moment that chance
//! picks, and waits until exactly the right nodes are marked. At the end all clocks are right and the policy is deleted:
//! nothing of ours may be left. What happened in between is judged by [`referee`].

mod agents;
mod clock;
mod dying;
mod plane;
mod referee;
mod sleeping;
mod storm;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use serde_json::json;

use self::referee::{Referee, Rules, Truth};
use super::agents::{Manner, OneAgent};
use super::lab::{KEY, Lab, owned};
use super::limits::many;
use crate::support::wait::mono_now;
use crate::support::{Clockwarden, http, wait_for};

/// A lease has to run out (15 s), a watch to be begun anew, on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// As many agents as nodes; three of eight may be wrong before the reference is suspected.
const NODES: u8 = 8;
/// What one attempt of a write may take, and what it takes to get there and back.
const GRACE: Duration = Duration::from_secs(6);

/// The table in docs/faults.md.
const HEADING: &str =
    "| fault | rounds | marks put on and off | most at once (limit 3) | wrong actions | lost clean-ups |";

/// How many rounds: by default, and in the long form.
fn rounds(short: usize, long: usize) -> Result<usize> {
    match std::env::var("ROUNDS") {
        Err(_) => Ok(short),
        Ok(text) if text == "long" => Ok(long),
        Ok(text) => text.parse().with_context(|| format!("ROUNDS={text}: give a number, or long")),
    }
}

/// One fault, struck again and again.
struct Bout {
    lab: Lab,
    agents: Vec<OneAgent>,
    referee: Referee,
    rounds: usize,
    fault: &'static str,
    chance: u64,
}

impl Bout {
    /// Eight nodes, all right, with somebody else's taint on each; `name` begins their names. The policy has the same name.
    async fn begin(name: &'static str, fault: &'static str, rounds: usize) -> Result<Bout> {
        Bout::begin_with(name, fault, rounds, GRACE).await
    }

    /// With more time for writes that were sent already.
    async fn begin_with(name: &'static str, fault: &'static str, rounds: usize, grace: Duration) -> Result<Bout> {
        let mut lab = Lab::begin(name).await?;
        lab.nodes(NODES).await?;
        let agents = many(NODES).await?;
        let referee = Referee::begin(&lab, Rules { limit: 3, grace });
        lab.policy(name, json!({"action": {"limit": {"maxNodes": 3}}})).await?;
        let bout = Bout { lab, agents, referee, rounds, fault, chance: seed()? };
        for number in 1..=NODES {
            bout.foreign(number, "team", true).await?;
        }
        Ok(bout)
    }

    /// Somebody else's taint comes or goes, as a careful controller writes it: with the version that it read.
    async fn foreign(&self, number: u8, key: &str, present: bool) -> Result<()> {
        let node = self.lab.node(number);
        let written = super::races::foreign(&self.lab.live(), &node, key, present).await?;
        self.referee.foreign(&written, key, present)
    }

    /// Waits until the controller knows all nodes.
    async fn ready(&self) -> Result<()> {
        for number in 1..=NODES {
            self.lab.wait_state(&self.lab.node(number), "Synchronized").await?;
        }
        Ok(())
    }

    /// These clocks are wrong from now on, and no others.
    fn only_wrong(&self, numbers: &[u8]) {
        for (number, agent) in (1..=NODES).zip(&self.agents) {
            let wrong = numbers.contains(&number);
            let manner = if wrong { Manner::ahead_ms(15_000) } else { Manner::right() };
            if agent.manner() != manner {
                self.referee.truth(&self.lab.node(number), if wrong { Truth::Wrong } else { Truth::Right });
                agent.become_(manner);
            }
        }
    }

    /// An agent does something for which nobody can be blamed.
    fn open(&self, number: u8, manner: Manner) {
        self.referee.truth(&self.lab.node(number), Truth::Open);
        if let Some(agent) = self.agents.get(usize::from(number) - 1) {
            agent.become_(manner);
        }
    }

    /// Waits until exactly these nodes are marked.
    async fn settled(&self, numbers: &[u8]) -> Result<()> {
        let wanted: Vec<String> = numbers.iter().map(|number| self.lab.node(*number)).collect();
        wait_for(&format!("{wanted:?} to be tainted, and no others"), SOON, async || {
            let tainted = self.lab.tainted(KEY).await?;
            ensure!(tainted == wanted, "{tainted:?} are");
            Ok(())
        })
        .await
    }

    /// Waits until every node's condition says what is true.
    async fn told(&self, wrong: &[u8]) -> Result<()> {
        for number in 1..=NODES {
            self.condition(number, if wrong.contains(&number) { "False" } else { "True" }).await?;
        }
        Ok(())
    }

    /// Waits until one node's condition says this: True, False or Unknown. (A NodeClock that changes all the time is
    /// written once a minute only.)
    async fn condition(&self, number: u8, wanted: &str) -> Result<()> {
        let node = self.lab.node(number);
        wait_for(&format!("the condition of {node} to be {wanted}"), SOON, async || {
            let conditions = self.lab.live().get(&node).await?.status.and_then(|status| status.conditions);
            let conditions = conditions.unwrap_or_default();
            let told = conditions.iter().find(|it| it.type_ == clockwarden::api::NODE_CONDITION);
            let told = told.map(|condition| condition.status.as_str());
            ensure!(told == Some(wanted), "it is {told:?}");
            Ok(())
        })
        .await
    }

    /// Up to so many milliseconds, by chance.
    async fn moment(&mut self, most_ms: u64) {
        let wait = self.chance(most_ms + 1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    /// A number below this one.
    fn chance(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): enough for moments.
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    /// Which clocks are wrong in this round: a new choice of up to three each time, so that some marks come and others go.
    fn choice(&mut self) -> Vec<u8> {
        let mut all: Vec<u8> = (1..=NODES).collect();
        while all.len() > 3 {
            let index = usize::try_from(self.chance(all.len() as u64)).unwrap_or(0);
            all.remove(index);
        }
        let keep = usize::try_from(self.chance(4)).unwrap_or(0);
        all.truncate(keep);
        all
    }

    /// All clocks are right and the policy goes: whatever is left then was lost. Ends with the verdict. A controller must
    /// still be running.
    async fn end(self, controllers: Vec<Clockwarden>) -> Result<()> {
        self.only_wrong(&[]);
        self.settled(&[]).await?;
        self.told(&[]).await?;
        // One mark is there when the policy goes, and goes with it.
        self.only_wrong(&[1]);
        self.settled(&[1]).await?;
        self.referee.release();
        self.lab.delete_policy(self.lab.name).await?;
        let clean = wait_for("everything of ours to be gone", SOON, async || {
            let left = self.left().await?;
            ensure!(left.is_empty(), "{left:?} are left");
            Ok(())
        });
        let lost = match clean.await {
            Ok(()) => Vec::new(),
            Err(_) => self.left().await?,
        };
        drop(controllers);
        self.foreign(1, "team", false).await?;
        let last = self.lab.live().get(&self.lab.node(1)).await?;
        let verdict = self.referee.verdict(&last).await?;
        println!("{HEADING}");
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            self.fault,
            self.rounds,
            verdict.actions,
            verdict.most,
            verdict.wrong.len(),
            lost.len()
        );
        drop(self.agents);
        self.lab.end().await?;
        ensure!(lost.is_empty(), "left behind: {lost:?}");
        ensure!(verdict.wrong.is_empty(), "{} wrong actions: {:#?}", verdict.wrong.len(), verdict.wrong);
        // Something happened that could have gone wrong.
        ensure!(verdict.actions >= 2, "nothing was done at all");
        Ok(())
    }

    /// What of ours is there.
    async fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for node in self.lab.live().list(&kube::api::ListParams::default()).await?.items {
            let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
            if taints.into_iter().any(|taint| taint.key == KEY) {
                left.push(format!("the taint on {}", node.name_any()));
            }
            if !owned(&node)?.is_empty() {
                left.push(format!("the record on {}", node.name_any()));
            }
        }
        if self.lab.tsps().get_opt(self.lab.name).await?.is_some() {
            left.push("the policy with its finalizer".to_owned());
        }
        Ok(left)
    }
}

fn seed() -> Result<u64> {
    let seed = match std::env::var("SEED") {
        Ok(text) => text.parse().with_context(|| format!("SEED={text}: give a number"))?,
        Err(_) => u64::from(std::process::id()),
    };
    println!("SEED={seed}");
    Ok(seed)
}

/// Whether the controller at this URL says that it leads; one that is dead or stopped says nothing.
async fn leads(url: &str) -> Option<bool> {
    let answer = tokio::time::timeout(Duration::from_secs(2), http::get(&format!("{url}/metrics"))).await;
    answer.ok()?.ok().map(|answer| answer.body.contains("clockwarden_leader 1"))
}

/// Waits until exactly one of them leads, and says which.
async fn one_leader(urls: &[String]) -> Result<usize> {
    wait_for("one leader", SOON, async || {
        let mut leading = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            if leads(url).await == Some(true) {
                leading.push(index);
            }
        }
        ensure!(leading.len() == 1, "{leading:?} lead");
        leading.first().copied().context("nobody leads")
    })
    .await
}

/// So long, by the tests' monotonic clock, while something is checked again and again.
async fn throughout(length: Duration, mut check: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let start = mono_now();
    while start.elapsed() < length {
        check().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
