//! From a scenario that fails to a short one that fails in the same way.
//!
//! Greedy: something is left out, and stays left out if the same rule is still broken. What a delay was may change with
//! it, since chance is drawn in order; so a step that looks harmless may not be possible, and another is tried.
//! Does not know: what failing is; it is asked.

use super::scenario::What;
use super::scenario::{Event, Scenario, Who};
use std::time::Duration;

/// The shortest that was found with at most so many trials.
pub fn shrink(scenario: &Scenario, trials: usize, mut fails: impl FnMut(&Scenario) -> bool) -> Scenario {
    let mut best = scenario.clone();
    let mut left = trials;
    loop {
        let mut is_better = false;
        for candidate in smaller(&best) {
            if left == 0 {
                return best;
            }
            left -= 1;
            if fails(&candidate) {
                best = candidate;
                is_better = true;
                break;
            }
        }
        if !is_better {
            return best;
        }
    }
}

/// Everything that is one step smaller, the largest steps first.
fn smaller(it: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let count = it.events.len();
    let mut size = count;
    while size > 0 {
        for from in (0..count).step_by(size) {
            let mut events = it.events.clone();
            events.drain(from..(from + size).min(count));
            all.push(Scenario { events, ..it.clone() });
        }
        size /= 2;
    }
    for nodes in [it.nodes / 4, it.nodes / 2, it.nodes * 3 / 4, it.nodes.saturating_sub(1)] {
        if nodes >= 1 && nodes < it.nodes {
            all.push(fewer_nodes(it, nodes));
        }
    }
    if it.controllers > 1 {
        all.push(Scenario { controllers: it.controllers - 1, ..it.clone() });
    }
    if it.zones > 1 {
        all.push(Scenario { zones: 1, ..it.clone() });
    }
    for number in 0..it.policies.len() {
        if it.policies.len() > 1 {
            let mut policies = it.policies.clone();
            policies.remove(number);
            all.push(Scenario { policies, ..it.clone() });
        }
        for setting in 0..it.policies.get(number).map_or(0, |policy| policy.settings.len()) {
            let mut policies = it.policies.clone();
            if let Some(policy) = policies.get_mut(number) {
                policy.settings.remove(setting);
            }
            all.push(Scenario { policies, ..it.clone() });
        }
    }
    let last = it.events.iter().map(|event| event.at + event.lasts.unwrap_or_default()).max().unwrap_or_default();
    for end in [it.end / 2, last + Duration::from_secs(60)] {
        let end = Duration::from_secs(end.as_secs().max(1));
        if end < it.end {
            let events: Vec<Event> = it.events.iter().filter(|event| event.at < end).cloned().collect();
            all.push(Scenario { events, end, ..it.clone() });
        }
    }
    let earliest = it.events.first().map(|event| event.at).unwrap_or_default();
    if earliest > Duration::from_secs(60) {
        let by = Duration::from_secs(earliest.as_secs() - 30);
        let earlier = |event: &Event| Event { at: event.at - by, ..event.clone() };
        let events = it.events.iter().map(earlier).collect();
        all.push(Scenario { events, end: it.end.saturating_sub(by), ..it.clone() });
    }
    all
}

fn fewer_nodes(it: &Scenario, nodes: usize) -> Scenario {
    let clamp = |who: &Who| match who {
        Who::Nodes(range) => Who::Nodes((*range.start()).min(nodes - 1)..=(*range.end()).min(nodes - 1)),
        Who::Zone(_) | Who::All => who.clone(),
    };
    let events = it.events.iter().map(|event| {
        let what = match &event.what {
            What::Machine(who, deed) => What::Machine(clamp(who), *deed),
            What::Meddle(who, meddling) => What::Meddle(clamp(who), meddling.clone()),
            What::Replica(..) | What::Api(_) | What::Policy(_) | What::PolicyGone(_) => event.what.clone(),
        };
        Event { what, ..event.clone() }
    });
    Scenario { nodes, events: events.collect(), ..it.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::random::{Size, scenario};
    use crate::drill::scenario::Deed;

    #[test]
    fn what_a_failure_does_not_need_goes() {
        let is_step = |event: &Event| matches!(event.what, What::Machine(_, Deed::Step(_)));
        let fails = |it: &Scenario| it.events.iter().any(is_step);
        let seed = (0..).find(|seed| fails(&scenario(*seed, Size::SHORT))).unwrap();
        let found = shrink(&scenario(seed, Size::SHORT), 1_000, fails);
        assert_eq!((found.nodes, found.controllers, found.policies.len(), found.events.len()), (1, 1, 1, 1));
        assert!(found.policies[0].settings.is_empty() && fails(&found));
    }
}
