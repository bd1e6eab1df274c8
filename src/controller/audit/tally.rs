//! What an audit has found so far: every finding counted, a bounded number of them kept.
//!
//! Counts are by namespace, rule and severity. Kept for the reports are the worst of each namespace, at most [`EACH`], and
//! at most [`ALL`] together: when there are more, every namespace's share is halved, so that a namespace with ten thousand
//! findings does not push another one's single finding out. Which are kept depends on what there is and not on the order
//! in which it came, so that two audits of an unchanged cluster say the same.

use super::sheet::{Found, Sheet};
use super::targets::Target;
use crate::inspect::Severity;
use std::collections::{BTreeMap, BTreeSet};

/// Findings kept of one namespace, at most.
pub const EACH: usize = 199;
/// Findings kept together, at most, unless there are more namespaces than that; a thousand are about a megabyte.
pub const ALL: usize = 20_000;

/// What is counted apart in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sort {
    /// The rule.
    pub rule: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Whether the webhook would refuse it now.
    pub is_refused: bool,
}

/// What was found in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// All findings.
    pub counts: BTreeMap<Sort, u64>,
    /// The worst of them.
    pub kept: BTreeSet<Found>,
}

impl Noted {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many of them were not kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.count().saturating_sub(u64::try_from(self.kept.len()).unwrap_or(u64::MAX))
    }

    /// Keeps no more than so many; returns how many went.
    fn trim(&mut self, share: usize) -> usize {
        let before = self.kept.len();
        while self.kept.len() > share {
            self.kept.pop_last();
        }
        before.saturating_sub(self.kept.len())
    }
}

/// The whole audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    namespaces: BTreeMap<String, Noted>,
    /// Objects that a policy is about, by the name of their kind.
    objects: BTreeMap<String, u64>,
    notes: u64,
    /// How many may be kept of one namespace.
    share: usize,
    kept: usize,
    all: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Tally::keeping(EACH, ALL)
    }
}

impl Tally {
    /// An empty one with other bounds.
    #[must_use]
    pub fn keeping(each: usize, all: usize) -> Tally {
        Tally { namespaces: BTreeMap::new(), objects: BTreeMap::new(), notes: 0, share: each, kept: 0, all }
    }

    /// Takes a page in.
    pub fn add(&mut self, target: &Target, sheet: Sheet) {
        let objects = self.objects.entry(target.name()).or_default();
        *objects = objects.saturating_add(sheet.judged);
        self.notes = self.notes.saturating_add(sheet.notes);
        for (namespace, found) in sheet.found {
            self.keep(namespace, found);
        }
    }

    fn keep(&mut self, namespace: String, found: Found) {
        let noted = self.namespaces.entry(namespace).or_default();
        let sort = Sort { rule: found.rule, severity: found.severity.0, is_refused: found.is_refused };
        let count = noted.counts.entry(sort).or_default();
        *count = count.saturating_add(1);
        // The words of what is not kept anyway are not worth a place in the set.
        if noted.kept.len() >= self.share && noted.kept.last().is_none_or(|last| found >= *last) {
            return;
        }
        noted.kept.insert(found);
        self.kept = self.kept.saturating_add(1).saturating_sub(noted.trim(self.share));
        while self.kept > self.all && self.share > 1 {
            self.share = self.share.div_euclid(2);
            let gone: usize = self.namespaces.values_mut().map(|noted| noted.trim(self.share)).sum();
            self.kept = self.kept.saturating_sub(gone);
        }
    }

    /// Every namespace with findings; `""` holds those of objects in no namespace.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Noted> {
        &self.namespaces
    }

    /// Objects that a policy is about, by the name of their kind; a kind that was read and has none is there with 0.
    #[must_use]
    pub fn objects(&self) -> &BTreeMap<String, u64> {
        &self.objects
    }

    /// Places that could not be looked into.
    #[must_use]
    pub fn notes(&self) -> u64 {
        self.notes
    }

    /// Findings altogether.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.namespaces.values().fold(0, |sum, noted| sum.saturating_add(noted.count()))
    }
}

#[cfg(test)]
#[path = "tally/tests.rs"]
mod tests;
