//! What must have been done in the end: nothing of ours is left where all is well, and a clock that has long been wrong,
//! alone, has been acted on.
//!
//! The second keeps the first honest: whoever does nothing leaves nothing behind. It is asked only where nobody could
//! doubt the answer: one policy, nothing else happening for long, few clocks wrong, nothing else on the node.

use super::marks;
use super::scenario::Scenario;
use super::server::Server;
use super::truth::{Agent, Machine};
use crate::clock::Delta;
use crate::controller::request::Kind;
use crate::policy::{Mark, Policy};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Leases run out, watches come back and errands are tried again within this.
const SETTLED: Duration = Duration::from_secs(180);

/// What the judge knows.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Those that are there and can be read.
    pub policies: Vec<&'a Policy>,
    /// There are others.
    pub unreadable: bool,
    /// The nodes on which each policy holds a mark.
    pub held: &'a BTreeMap<String, BTreeSet<String>>,
    /// When something happened last.
    pub stirred_at: Duration,
    /// Most clocks were moved at one time.
    pub is_mass_moved: bool,
}

/// The nodes that should have been acted on and were not.
#[must_use]
pub fn neglected(
    scenario: &Scenario,
    server: &Server,
    machines: &[Machine],
    facts: &Facts<'_>,
    now: Duration,
) -> Vec<String> {
    let [policy] = facts.policies.as_slice() else { return Vec::new() };
    let Action { sustained, taint } = match &policy.action.mark {
        Some(Mark::Taint { key, effect }) if !facts.unreadable && !facts.is_mass_moved => {
            Action { sustained: policy.action.sustained_for, taint: format!("{key}:{}", effect.as_str()) }
        }
        _ => return Vec::new(),
    };
    let calm = SETTLED
        .saturating_add(sustained)
        .saturating_add(policy.tolerance.stale_after)
        .saturating_add(policy.interval * 3);
    if now.saturating_sub(facts.stirred_at) < calm || super::rules::suspended(policy) {
        return Vec::new();
    }
    let node = |number: usize| server.get(Kind::Node, &format!("n{number}"));
    let labels = |it: &Value| -> BTreeMap<String, String> {
        let all = it.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let matched: Vec<usize> = (0..scenario.nodes)
        .filter(|number| node(*number).is_some_and(|it| super::rules::counts(policy, &labels(&it))))
        .collect();
    let wrong: Vec<usize> =
        matched.iter().copied().filter(|number| is_wrong(machines.get(*number), policy, now)).collect();
    let zones = scenario.zones.max(1);
    let crowded = |zone: usize| {
        let of = |list: &[usize]| list.iter().filter(|number| *number % zones == zone).count();
        of(&wrong) * 3 >= of(&matched)
    };
    let odd = matched.iter().filter(|number| machines.get(**number).is_none_or(|it| !is_plain(it))).count();
    let held = facts.held.get(&policy.name).map_or(0, BTreeSet::len);
    let room = super::judge::cap(policy.action.limit, matched.len());
    if matched.len() < 5 || wrong.len() * 3 >= matched.len() || odd * 3 >= matched.len() || wrong.len() > room {
        return Vec::new();
    }
    let is_neglected = |number: &&usize| {
        let name = format!("n{number}");
        let there = facts.held.get(&policy.name).is_some_and(|nodes| nodes.contains(&name));
        let is_plain = machines.get(**number).is_some_and(is_plain);
        let is_free = node(**number).is_some_and(|it| {
            let on = marks::present(&it);
            marks::recorded(&it).is_some()
                && it
                    .pointer("/metadata/annotations")
                    .is_none_or(|all| all.get("clockwarden.io/exempt-until").is_none())
                && !on.contains(&taint)
        });
        is_plain && is_free && !there && !crowded(*number % zones)
    };
    let neglected = wrong.iter().filter(is_neglected);
    let is_full = held >= room;
    neglected.filter(|_| !is_full).map(|number| format!("n{number} is wrong for long and was left alone")).collect()
}

struct Action {
    sustained: Duration,
    taint: String,
}

fn is_plain(machine: &Machine) -> bool {
    machine.agent == Agent::Well && machine.followed == Delta::ZERO
}

/// Beyond tolerance by so much that no yardstick could see it otherwise.
fn is_wrong(machine: Option<&Machine>, policy: &Policy, now: Duration) -> bool {
    let limit = policy.tolerance.offset_max * 2;
    machine.and_then(|it| it.claimed(now)).is_some_and(|claimed| claimed.magnitude() > limit)
}

/// What is left of ours although all is well. `ours` are the marks on a node that a controller put there, in truth.
#[must_use]
pub fn left_over(server: &Server, ours: impl Fn(&str) -> BTreeSet<String>) -> Vec<String> {
    let mut left = Vec::new();
    for (name, node) in server.all(Kind::Node) {
        let on = ours(name);
        if !on.is_empty() {
            left.push(format!("{name} still carries {}", on.into_iter().collect::<Vec<_>>().join(", ")));
        }
        match marks::recorded(node) {
            Some(record) if record.is_empty() => {}
            Some(record) => left.push(format!("{name} still has a record of {record:?}")),
            None => left.push(format!("{name} still has a record that cannot be read")),
        }
        if let Some((status, reason)) = marks::condition(node).filter(|(status, _)| status != "True") {
            left.push(format!("{name} is well and said to be {status}/{reason}"));
        }
    }
    for (name, policy) in server.all(Kind::Policy) {
        if policy.pointer("/metadata/deletionTimestamp").is_some() {
            left.push(format!("policy {name} was deleted and is still there"));
        }
    }
    let orphan = |name: &String| server.get(Kind::Node, name).is_none();
    left.extend(
        server
            .all(Kind::Clock)
            .filter(|(name, _)| orphan(name))
            .map(|(name, _)| format!("NodeClock {name} has outlived its node")),
    );
    left
}
