//! What a rule says about one setting of one object.
//!
//! A finding is complete: whoever prints it (text, JSON, an admission message) adds nothing and decides nothing.
//! Severity here is what the rule says; whether an error refuses, warns or is ignored is the policy's decision.

use super::tree::{Extent, Path, Position, Step};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How bad. The order is the order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Reported, never refused.
    Warning,
    /// Refused where the policy enforces.
    Error,
}

impl Severity {
    /// The word used in every output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// The object that a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Empty for cluster-scoped objects and where the file does not say.
    pub namespace: String,
    /// `metadata.name`, or `metadata.generateName` with a star.
    pub name: String,
}

/// One fault, where it is, what it means and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, e.g. `jwt-skew-zero`.
    pub rule: &'static str,
    /// What the rule says; the policy may soften it, never harden it.
    pub severity: Severity,
    /// Way from the root of the object (or file) to the value.
    pub path: Path,
    /// Place of the value in the file that was read; unknown at admission.
    pub at: Position,
    /// The catalogue entry that recognised the setting (`trino#0`); empty where none did.
    pub entry: String,
    /// Product of the catalogue entry that recognised the setting.
    pub product: String,
    /// The value as written; [`NOT_SHOWN`] if it stands in a Secret.
    pub value: String,
    /// What the value means there, in a sentence.
    pub message: String,
    /// What to write instead, in that file's own form and unit.
    pub fix: String,
    /// The value's own bytes; `None` at admission, and where the file does not hold the value letter for letter.
    pub spot: Option<Spot>,
}

/// What stands for the value of a setting in a Secret.
pub const NOT_SHOWN: &str = "(not shown)";

/// The bytes of the file that are the value of a finding, and nothing else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// In the text of the file; quotes are left out.
    pub extent: Extent,
    /// What a program may write in these bytes without asking anybody; `None` where a person should look.
    pub replacement: Option<String>,
}

impl Finding {
    /// Two findings with the same identity are the same sin, whatever moved around it: rule, product, path by
    /// names, and value.
    #[must_use]
    pub fn identity(&self) -> (&'static str, &str, String, &str) {
        (self.rule, &self.product, self.path.identity(), &self.value)
    }

    /// The same wherever the setting stands: rule, product, value, and the end of the path, which names the setting.
    fn kinship(&self) -> (&'static str, &str, &str, Vec<&str>) {
        let names = self.path.0.iter().rev().take(2).filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item { name, .. } => name.as_deref(),
        });
        (self.rule, &self.product, &self.value, names.collect())
    }
}

/// The findings of `new` that `old` did not have: on UPDATE only these may be refused, so that an old sin never
/// blocks an unrelated edit, a scale or the removal of a finalizer.
///
/// A sin that has moved (its container or its file has another name now) is the same one: what the same setting says
/// elsewhere counts as introduced only as often as it did not stand somewhere before.
#[must_use]
pub fn introduced<'a>(old: &'a [Finding], new: &'a [Finding]) -> Vec<&'a Finding> {
    let (gone, fresh) = unmatched(old.iter().collect(), new.iter().collect(), Finding::identity);
    unmatched(gone, fresh, Finding::kinship).1
}

/// Pairs them off by a key; those of `old` and those of `new` that found no partner.
fn unmatched<'a, K: std::hash::Hash + Eq>(
    old: Vec<&'a Finding>,
    new: Vec<&'a Finding>,
    key: impl Fn(&'a Finding) -> K,
) -> (Vec<&'a Finding>, Vec<&'a Finding>) {
    let mut waiting: HashMap<K, Vec<&'a Finding>> = HashMap::new();
    for finding in old {
        waiting.entry(key(finding)).or_default().push(finding);
    }
    let alone = |finding: &&'a Finding| waiting.get_mut(&key(finding)).and_then(Vec::pop).is_none();
    let fresh = new.into_iter().filter(alone).collect();
    (waiting.into_values().flatten().collect(), fresh)
}

/// Something that could not be looked into (a file that does not parse, a limit that was reached). Never a
/// refusal, never silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Way to the place.
    pub path: Path,
    /// Place in the file.
    pub at: Position,
    /// What was not looked at, and why.
    pub message: String,
}
