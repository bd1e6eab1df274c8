//! What the heartbeats of a cluster mean: every clock's state, against what, and how far apart the clocks are.
//!
//! Pure: estimates go in, a [`Survey`] comes out. The yardstick is this machine's clock, unless three nodes or more are
//! of one mind that is surely beyond tolerance from it: then this machine is the outlier (or every heartbeat comes
//! equally late), and the cluster's own time is the yardstick. Fifty clocks do not go wrong alike at once.
//!
//! Does not know: leases, requests, how it is printed.

use crate::clock::consensus::{self, Consensus};
use crate::clock::heartbeat::Estimate;
use crate::clock::time::Human;
use crate::clock::{Judgement, Mono, OffsetInterval, Standing, State, Tolerance, Why, standing};
use crate::duration;
use crate::heartbeats::Holder;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A kubelet renews every 10 s, and a lease runs out after 40 s: after that, what was known is no evidence.
const STALE: Duration = Duration::from_secs(40);
/// Uncertainty is shown and makes no state of its own: a heartbeat that is late by minutes is in doubt, not unknown.
const ANY_BOUND: Duration = Duration::MAX;

/// What the offsets are measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yardstick {
    /// This machine's clock.
    Here,
    /// The cluster's own time, since this machine is the outlier; positive: the cluster is ahead of it.
    Cluster(Consensus),
}

/// One clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Whose.
    pub holder: Holder,
    /// Its state.
    pub state: State,
    /// Why it is unknown, for people.
    pub reason: Option<String>,
    /// Where it is against the yardstick; `None` if it was not heard.
    pub interval: Option<OffsetInterval>,
    /// How many heartbeats this rests on.
    pub samples: usize,
}

/// How far apart the two clocks are that differ most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    /// By how much.
    pub interval: OffsetInterval,
    /// The clock that is furthest ahead.
    pub first: Holder,
    /// The clock that is furthest behind.
    pub last: Holder,
    /// The leeway that it takes.
    pub leeway: Duration,
    /// The leeway that is enough once the drifting clocks are right, if there are some and others too.
    pub leeway_when_right: Option<Duration>,
}

/// A cluster's clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The nodes, worst first.
    pub nodes: Vec<Clock>,
    /// The control plane, worst first.
    pub control_plane: Vec<Clock>,
    /// What offsets are against.
    pub yardstick: Yardstick,
    /// How far apart; `None` if no clock is known well enough.
    pub skew: Option<Skew>,
}

impl Survey {
    /// All clocks.
    pub fn clocks(&self) -> impl Iterator<Item = &Clock> {
        self.nodes.iter().chain(&self.control_plane)
    }

    /// 0 all within, 1 some beyond, 2 could not tell.
    #[must_use]
    pub fn exit(&self) -> u8 {
        let is = |wanted: fn(State) -> bool| self.clocks().any(|clock| wanted(clock.state));
        if is(|state| state == State::Drifting) {
            1
        } else if self.nodes.is_empty() || is(|state| matches!(state, State::Unknown(_))) {
            2
        } else {
            0
        }
    }
}

/// The state of every clock so far, so that one late heartbeat does not change it.
#[derive(Debug, Default)]
pub struct Standings(BTreeMap<Holder, Standing>);

fn judge(estimate: &Estimate, interval: OffsetInterval, limit: Duration) -> Judgement {
    if estimate.age > STALE {
        return Judgement::Nothing(Why::Stale);
    }
    let tolerance = Tolerance {
        offset_max: limit,
        error_max: ANY_BOUND,
        unsynchronized_max: Duration::MAX,
        stale_after: Duration::MAX,
    };
    // The interval is as of now already.
    standing::judge(interval, Duration::ZERO, Duration::ZERO, &tolerance)
}

impl Standings {
    /// Takes in what is known of every clock now.
    pub fn observe(&mut self, estimates: &BTreeMap<Holder, Estimate>, limit: Duration, now: Mono) {
        for (holder, estimate) in estimates {
            let standing = self.0.entry(holder.clone()).or_insert_with(|| Standing::new(now));
            *standing = standing.observe(judge(estimate, estimate.interval, limit), now);
        }
    }

    /// The state of one; unknown if it was never heard.
    #[must_use]
    pub fn state(&self, holder: &Holder) -> State {
        self.0.get(holder).map_or(State::Unknown(Why::NeverMeasured), Standing::state)
    }
}

/// The picture: everyone in `names` and everyone heard, judged with the tolerance `limit`.
#[must_use]
pub fn survey(
    names: &BTreeSet<String>,
    estimates: &BTreeMap<Holder, Estimate>,
    standings: &Standings,
    limit: Duration,
) -> Survey {
    let fresh = |estimate: &Estimate| estimate.settled && estimate.age <= STALE;
    let is_node = |holder: &Holder| matches!(holder, Holder::Node(_));
    let voters: Vec<OffsetInterval> =
        estimates.iter().filter(|(who, it)| is_node(who) && fresh(it)).map(|(_, it)| it.interval).collect();
    let yardstick = match consensus::consensus(&voters, limit) {
        Ok(found) if found.interval.surely_beyond(limit) => Yardstick::Cluster(found),
        Ok(_) | Err(_) => Yardstick::Here,
    };
    let clock = |holder: Holder| {
        let Some(estimate) = estimates.get(&holder) else {
            return Clock {
                holder,
                state: State::Unknown(Why::NeverMeasured),
                reason: None,
                interval: None,
                samples: 0,
            };
        };
        let (interval, state) = match yardstick {
            Yardstick::Here => (estimate.interval, standings.state(&holder)),
            Yardstick::Cluster(found) => {
                let interval = estimate.interval.against(found.interval);
                // Nothing was judged against the cluster before: there is no state that doubt would keep.
                let anew = Standing::new(Mono::default()).observe(judge(estimate, interval, limit), Mono::default());
                (interval, anew.state())
            }
        };
        let reason = matches!(state, State::Unknown(_)).then(|| reason(estimate, interval, limit));
        Clock { holder, state, reason, interval: Some(interval), samples: estimate.samples }
    };
    let heard = || estimates.keys().cloned();
    let named = names.iter().cloned().map(Holder::Node);
    let nodes: BTreeSet<Holder> = named.chain(heard().filter(is_node)).collect();
    let components = heard().filter(|holder| !is_node(holder));
    // A component that has fallen silent has been replaced or moved: it is no clock of the cluster any more.
    let components = components.filter(|holder| estimates.get(holder).is_some_and(|it| it.age <= STALE));
    let mut nodes: Vec<Clock> = nodes.into_iter().map(clock).collect();
    let mut control_plane: Vec<Clock> = components.map(clock).collect();
    nodes.sort_by(worst_first);
    control_plane.sort_by(worst_first);
    // As measured: between two clocks the yardstick does not matter, and its own error would count twice.
    let known: Vec<Known<'_>> = nodes
        .iter()
        .chain(&control_plane)
        .filter_map(|clock| {
            let estimate = estimates.get(&clock.holder).filter(|it| fresh(it))?;
            Some(Known { holder: &clock.holder, drifting: clock.state == State::Drifting, interval: estimate.interval })
        })
        .collect();
    let skew = skew(&known);
    Survey { nodes, control_plane, yardstick, skew }
}

/// Why a clock that was heard is in no state.
fn reason(estimate: &Estimate, interval: OffsetInterval, limit: Duration) -> String {
    if estimate.age > STALE {
        return format!("its last heartbeat came {} ago", Human(estimate.age));
    }
    if !estimate.settled {
        return "heard once, or never twice alike: that proves no clock to be behind; listen longer (--for)".to_owned();
    }
    format!(
        "between {} and {}: on either side of the limit of {}",
        interval.low(),
        interval.high(),
        duration::format(limit)
    )
}

/// Drifting, then unknown, then by how far off; equals by name.
fn worst_first(one: &Clock, other: &Clock) -> std::cmp::Ordering {
    let rank = |clock: &Clock| match clock.state {
        State::Drifting => 0,
        State::Unknown(_) => 1,
        State::Synchronized => 2,
    };
    let off = |clock: &Clock| clock.interval.map(|it| it.midpoint().magnitude());
    rank(one).cmp(&rank(other)).then(off(other).cmp(&off(one))).then(one.holder.cmp(&other.holder))
}

/// A clock that is known well enough to be compared with others.
struct Known<'s> {
    holder: &'s Holder,
    drifting: bool,
    interval: OffsetInterval,
}

fn skew(known: &[Known<'_>]) -> Option<Skew> {
    let all: Vec<OffsetInterval> = known.iter().map(|it| it.interval).collect();
    let right: Vec<OffsetInterval> = known.iter().filter(|it| !it.drifting).map(|it| it.interval).collect();
    let interval = consensus::pairwise_skew(&all)?;
    let midpoint = |it: &&Known<'_>| it.interval.midpoint();
    let (first, last) = (known.iter().max_by_key(midpoint)?, known.iter().min_by_key(midpoint)?);
    let when_right = if right.len() < all.len() { consensus::pairwise_skew(&right) } else { None };
    Some(Skew {
        interval,
        first: first.holder.clone(),
        last: last.holder.clone(),
        leeway: consensus::leeway(interval),
        leeway_when_right: when_right.map(consensus::leeway),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Delta;

    const LIMIT: Duration = Duration::from_millis(500);

    fn ms(ms: i64) -> Delta {
        Delta::from_nanos(ms * 1_000_000)
    }

    /// Of `name low..high settled age_s`.
    fn estimates(heard: &[(&str, i64, i64, bool, u64)]) -> BTreeMap<Holder, Estimate> {
        heard
            .iter()
            .map(|(name, low, high, settled, age)| {
                let holder = match name.split_once('/') {
                    Some((_, instance)) => {
                        Holder::Component { component: "kube-apiserver", instance: instance.to_owned() }
                    }
                    None => Holder::Node((*name).to_owned()),
                };
                let interval = OffsetInterval::between(ms(*low), ms(*high));
                let age = Duration::from_secs(*age);
                (holder, Estimate { interval, settled: *settled, samples: if *settled { 3 } else { 1 }, age })
            })
            .collect()
    }

    fn look(heard: &[(&str, i64, i64, bool, u64)]) -> Survey {
        let names = ["a", "b", "c"].map(str::to_owned).into();
        let heard = estimates(heard);
        let mut standings = Standings::default();
        standings.observe(&heard, LIMIT, Mono::from_nanos(1));
        survey(&names, &heard, &standings, LIMIT)
    }

    /// `name:S name:D …`, worst first, the control plane after a bar; and the exit code.
    fn check(heard: &[(&str, i64, i64, bool, u64)], expected: &str, exit: u8) -> Survey {
        let found = look(heard);
        let list = |clocks: &[Clock]| -> String {
            let words = clocks.iter().map(|clock| {
                let name = match &clock.holder {
                    Holder::Node(name) => name.clone(),
                    Holder::Component { instance, .. } => instance.clone(),
                };
                format!("{name}:{}", &clock.state.as_str()[..1])
            });
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(format!("{} | {}", list(&found.nodes), list(&found.control_plane)), expected, "{found:#?}");
        assert_eq!(found.exit(), exit, "{found:#?}");
        for clock in found.clocks().filter(|clock| clock.interval.is_some()) {
            assert_eq!(clock.reason.is_some(), matches!(clock.state, State::Unknown(_)), "{clock:?}");
        }
        found
    }

    #[test]
    fn the_worst_come_first_and_the_exit_code_says_whether_all_is_well() {
        let right = ("a", -3, 50, true, 1);
        check(&[right, ("b", -2, 50, true, 1), ("c", 290, 350, true, 1)], "c:S b:S a:S | ", 0);
        check(&[right, ("b", -2, 50, true, 1), ("c", 2_997, 3_050, true, 1)], "c:D b:S a:S | ", 1);
        check(&[right, ("c", -803, -750, true, 1)], "c:D b:U a:S | ", 1);
        check(&[right, ("c", 480, 530, true, 1)], "c:U b:U a:S | ", 2);
        check(&[], "a:U b:U c:U | ", 2);
        check(&[right, ("b", -2, 50, true, 41), ("c", 0, 50, true, 1)], "b:U c:S a:S | ", 2);
        let components = [("cp/one", -1_003, -950, true, 1), ("cp/gone", 5_000, 5_050, true, 60)];
        let nodes = [right, ("b", 0, 50, true, 1), ("c", 0, 50, true, 1)];
        check(&[&nodes[..], &components[..]].concat(), "b:S c:S a:S | one:D", 1);
    }

    #[test]
    fn one_heartbeat_below_the_limit_is_no_drift_and_one_above_is() {
        let others = [("a", -3, 50, true, 1), ("b", -2, 50, true, 1)];
        check(&[&others[..], &[("c", -3_000, 0, false, 1)]].concat(), "c:U b:S a:S | ", 2);
        check(&[&others[..], &[("c", 2_997, 3_249, false, 1)]].concat(), "c:D b:S a:S | ", 1);
    }

    #[test]
    fn a_late_heartbeat_at_the_end_keeps_the_state() {
        let names = ["a".to_owned()].into();
        let mut standings = Standings::default();
        standings.observe(&estimates(&[("a", -3, 50, true, 1)]), LIMIT, Mono::from_nanos(1));
        let late = estimates(&[("a", -7_000, 50, true, 0)]);
        standings.observe(&late, LIMIT, Mono::from_nanos(2));
        assert_eq!(survey(&names, &late, &standings, LIMIT).exit(), 0);
    }

    #[test]
    fn a_machine_that_is_the_outlier_itself_is_told_so_and_accuses_nobody() {
        let all = [("a", -5_003, -4_950, true, 1), ("b", -5_002, -4_950, true, 1), ("c", -2_001, -1_950, true, 1)];
        let found = check(&all, "c:D a:S b:S | ", 1);
        assert!(matches!(found.yardstick, Yardstick::Cluster(it) if it.agreeing == 2), "{found:?}");
        // Two alone outvote nobody; a single far one is the outlier itself.
        assert_eq!(look(&all[..2]).yardstick, Yardstick::Here);
        let one = [("a", -5_003, -4_950, true, 1), ("b", -2, 50, true, 1), ("c", -1, 50, true, 1)];
        assert_eq!(look(&one).yardstick, Yardstick::Here);
        // Beats that do not agree have no vote.
        let once = all.map(|(name, low, _, _, age)| (name, low, 0, false, age));
        assert_eq!(look(&once).yardstick, Yardstick::Here);
    }

    #[test]
    fn skew_is_between_the_two_that_differ_most_and_the_leeway_covers_all_of_it() {
        let right = [("a", -3, 50, true, 1), ("b", -2, 48, true, 1)];
        let found = look(&[&right[..], &[("c", -803, -750, true, 1)]].concat()).skew.unwrap();
        assert!(found.interval.contains(ms(800)) && found.interval.bound() <= Duration::from_millis(54), "{found:?}");
        assert_eq!((found.leeway, found.leeway_when_right), (Duration::from_secs(1), Some(Duration::from_secs(1))));
        assert_eq!((found.first, found.last), (Holder::Node("a".to_owned()), Holder::Node("c".to_owned())));
        // Neither who was heard once nor who has fallen silent is known well enough.
        assert_eq!(look(&[("a", -9_000, 0, false, 1), ("b", 5_000, 5_050, true, 99)]).skew, None);
    }
}
