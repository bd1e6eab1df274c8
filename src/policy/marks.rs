//! What we put on nodes, and whose it is.
//!
//! A mark is a taint (by key and effect) or a cordon. Which marks are ours, and for which policies, is written on the
//! node itself, in one annotation, in the same patch as the mark; whatever is not named there is somebody else's and
//! is never touched, even if it looks like ours. Several policies may want the same mark: it goes when the last of
//! them lets go. That a person lifted a cordon of ours is a mark, too: without it the next cordon, which is theirs,
//! would pass for ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// New pods go elsewhere.
    NoSchedule,
    /// New pods go elsewhere if they can.
    PreferNoSchedule,
    /// Running pods are evicted too.
    NoExecute,
}

impl Effect {
    /// As the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::NoSchedule => "NoSchedule",
            Effect::PreferNoSchedule => "PreferNoSchedule",
            Effect::NoExecute => "NoExecute",
        }
    }

    /// From the API's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Effect> {
        [Effect::NoSchedule, Effect::PreferNoSchedule, Effect::NoExecute].into_iter().find(|e| e.as_str() == text)
    }
}

/// One thing that can be put on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// A taint; key and effect together are its identity, as in Kubernetes.
    Taint {
        /// `clockwarden.io/clock-drift`.
        key: String,
        /// What it does.
        effect: Effect,
    },
    /// `spec.unschedulable: true`.
    Cordon,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Taint { key, effect } => write!(f, "taint {key}:{}", effect.as_str()),
            Mark::Cordon => f.write_str("cordon"),
        }
    }
}

/// The marks of one node, each with the policies that hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// What is there, or is to be there, for whom.
    pub held: BTreeMap<Mark, BTreeSet<String>>,
    /// Policies whose cordon a person lifted. None of them puts it back, and a cordon that is there now is the
    /// person's; the entry goes when the policy lets go, because the clock has recovered or the policy is deleted.
    pub lifted: BTreeSet<String>,
}

impl Marks {
    /// Whether this policy holds any mark, or held a cordon that a person lifted.
    #[must_use]
    pub fn held_by(&self, policy: &str) -> bool {
        self.lifted.contains(policy) || self.held.values().any(|policies| policies.contains(policy))
    }

    /// Whether this policy holds this very mark, or held it as a cordon that a person lifted.
    #[must_use]
    pub fn held_as(&self, mark: &Mark, policy: &str) -> bool {
        let is_lifted = *mark == Mark::Cordon && self.lifted.contains(policy);
        is_lifted || self.held.get(mark).is_some_and(|policies| policies.contains(policy))
    }

    /// Whether a cordon is held, or was and a person lifted it.
    #[must_use]
    pub fn is_about_cordons(&self) -> bool {
        self.held.contains_key(&Mark::Cordon) || !self.lifted.is_empty()
    }

    /// One more holder.
    pub fn hold(&mut self, mark: Mark, policy: &str) {
        self.held.entry(mark).or_default().insert(policy.to_owned());
    }

    /// What of it is this policy's: desired again, it keeps everything of the policy as it is.
    #[must_use]
    pub fn of(&self, policy: &str) -> Marks {
        let held = self.held.iter().filter(|(_, policies)| policies.contains(policy));
        Marks {
            held: held.map(|(mark, _)| (mark.clone(), BTreeSet::from([policy.to_owned()]))).collect(),
            lifted: self.lifted.get(policy).cloned().into_iter().collect(),
        }
    }

    /// Takes in the marks of another policy on the same node.
    pub fn join(&mut self, other: Marks) {
        for (mark, policies) in other.held {
            self.held.entry(mark).or_default().extend(policies);
        }
        self.lifted.extend(other.lifted);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.lifted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_and_marks_are_spelled_as_kubernetes_spells_them() {
        for (effect, text) in [
            (Effect::NoSchedule, "NoSchedule"),
            (Effect::PreferNoSchedule, "PreferNoSchedule"),
            (Effect::NoExecute, "NoExecute"),
        ] {
            assert_eq!((effect.as_str(), Effect::parse(text)), (text, Some(effect)));
            assert_eq!(Mark::Taint { key: "a/b".into(), effect }.to_string(), format!("taint a/b:{text}"));
        }
        assert_eq!((Effect::parse("noschedule"), Effect::parse("")), (None, None));
        assert_eq!(Mark::Cordon.to_string(), "cordon");
    }

    #[test]
    fn a_mark_is_held_by_those_who_asked_and_a_lifted_cordon_by_those_who_lost_it() {
        let taint = Mark::Taint { key: "a/b".into(), effect: Effect::NoExecute };
        let mut marks = Marks::default();
        assert!(marks.is_empty() && !marks.held_by("one"));
        marks.hold(Mark::Cordon, "one");
        marks.hold(Mark::Cordon, "two");
        marks.hold(taint.clone(), "two");
        assert!(!marks.is_empty() && marks.held_by("one") && marks.held_by("two") && !marks.held_by("three"));
        marks.join(Marks { held: BTreeMap::new(), lifted: BTreeSet::from(["three".to_owned()]) });
        assert!(marks.held_by("three"));

        // A cordon that was lifted is the policy's as a cordon, and as nothing else.
        for (policy, cordon, tainted) in
            [("one", true, false), ("two", true, true), ("three", true, false), ("four", false, false)]
        {
            assert_eq!(
                (marks.held_as(&Mark::Cordon, policy), marks.held_as(&taint, policy)),
                (cordon, tainted),
                "{policy}"
            );
        }
        assert!(marks.is_about_cordons() && marks.of("three").is_about_cordons());
        assert!(!marks.of("four").is_about_cordons());
        let mut only = Marks::default();
        only.hold(taint.clone(), "two");
        assert!(!only.is_about_cordons());

        // What is a policy's own, and all of it together again.
        assert_eq!(marks.of("one").held, BTreeMap::from([(Mark::Cordon, BTreeSet::from(["one".to_owned()]))]));
        assert_eq!(marks.of("two").held.keys().cloned().collect::<Vec<_>>(), [taint, Mark::Cordon]);
        let three = marks.of("three");
        assert!(!three.is_empty() && three.held.is_empty() && three.lifted.contains("three"));
        assert!(marks.of("four").is_empty());
        let mut joined = marks.of("one");
        joined.join(marks.of("two"));
        joined.join(three);
        assert_eq!(joined, marks);
    }
}
