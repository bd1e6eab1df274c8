//! May this object in? The question, what the policies hold, and the answer as a value.
//!
//! Pure, and careful in one direction: whatever is not certain is let in. Refused is only what somebody writes
//! now, by hand or by their own tool, in an object that we could read, with a setting that a rule calls an error,
//! where a policy enforces. In particular:
//! - An UPDATE is refused only for what it introduces. An old sin never blocks an unrelated edit.
//! - What a built-in controller makes from an object that is judged itself is never refused. A Deployment from
//!   before the webhook must still scale, roll back and survive the loss of a node: refusing its pods would turn a
//!   lint finding into an outage, hours after anybody touched anything.
//! - What is being deleted, scaled or only has its status written is let in.
//!
//! Does not know: HTTP, where policies come from, the wording of warnings ([`super::words`]).

use super::review::Operation;
use super::ruling::Ruling;
use super::words;
use crate::inspect::json::tree_from_json;
use crate::inspect::tree::Tree;
use crate::inspect::{self, Catalogue, Finding, Inspection, Limits, Note, ObjectRef, Severity};
use crate::policy::Mode;

/// What is asked, in the API server's own bytes.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What is being done.
    pub operation: Operation,
    /// `scale`, `status`, …; empty for the object itself.
    pub sub_resource: &'a str,
    /// The object as it would be, in JSON.
    pub object: Option<&'a [u8]>,
    /// The object as it is, in JSON; only an UPDATE has one.
    pub old: Option<&'a [u8]>,
}

/// The one subresource that carries settings: containers added to a running pod.
const EPHEMERAL_CONTAINERS: &str = "ephemeralcontainers";

impl<'a> Question<'a> {
    /// The object, if it could possibly hold a setting that has to be judged. `None`: let it in, whatever the
    /// policies say. This is the answer for nearly every review, and costs one pass over the object's bytes.
    #[must_use]
    pub fn suspect(&self, catalogue: &Catalogue) -> Option<&'a [u8]> {
        let judged = matches!(self.operation, Operation::Create | Operation::Update)
            && matches!(self.sub_resource, "" | EPHEMERAL_CONTAINERS);
        self.object.filter(|object| judged && catalogue.mentions(object))
    }
}

/// What becomes of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// In, and nothing to say.
    Admitted,
    /// In, with warnings.
    Warned,
    /// Not in.
    Refused,
}

impl Decision {
    /// The word in metrics and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Admitted => "admitted",
            Decision::Warned => "warned",
            Decision::Refused => "refused",
        }
    }
}

/// The answer. Nothing is left to decide for whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// In or not.
    pub decision: Decision,
    /// Why not, in several lines for a terminal; exactly where refused.
    pub refusal: Option<String>,
    /// One line each, bounded in number and length.
    pub warnings: Vec<String>,
    /// For the audit log, beside the decision: key and value.
    pub audit: Vec<(&'static str, String)>,
    /// The rule of each finding in the object, for counting; old sins included.
    pub rules: Vec<&'static str>,
}

impl Verdict {
    /// In, and nothing to say.
    #[must_use]
    pub fn admitted() -> Verdict {
        Verdict {
            decision: Decision::Admitted,
            refusal: None,
            warnings: Vec::new(),
            audit: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn unread(what: &str, why: &dyn std::fmt::Display) -> Verdict {
        let warnings = words::bounded(vec![words::line(&format!("clockwarden could not look into {what}: {why}"))]);
        Verdict { decision: Decision::Warned, warnings, ..Verdict::admitted() }
    }
}

/// Judges one object by what the policies of its namespace hold together.
#[must_use]
pub fn judge(question: &Question<'_>, ruling: &Ruling, catalogue: &Catalogue, limits: &Limits) -> Verdict {
    let Some(object) = question.suspect(catalogue).filter(|_| ruling.mode != Mode::Off) else {
        return Verdict::admitted();
    };
    let tree = match tree_from_json(object, limits) {
        Ok(tree) => tree,
        Err(error) => return Verdict::unread("the object", &error),
    };
    if is_going(&tree) {
        return Verdict::admitted();
    }
    let look = |tree: &Tree| inspect::inspect(tree, catalogue, &ruling.bounds, limits);
    let new = look(&tree);
    if new.findings.is_empty() && new.notes.is_empty() {
        return Verdict::admitted();
    }
    let before = match question.old.filter(|_| question.operation == Operation::Update) {
        None => Before::Nothing,
        Some(old) if !catalogue.mentions(old) => Before::Known(Inspection::default()),
        Some(old) => match tree_from_json(old, limits) {
            Ok(old) => Before::Known(look(&old)),
            Err(_) => Before::Unreadable,
        },
    };
    // A debug container is added by a person, to whosever pod.
    let maker = if question.sub_resource.is_empty() { maker(&tree) } else { None };
    weigh(&inspect::object_ref(&tree), &new, &before, maker.as_deref(), ruling)
}

/// What was known of the object before this change.
#[derive(Debug)]
enum Before {
    /// It did not exist.
    Nothing,
    /// It had this.
    Known(Inspection),
    /// It existed, but cannot be read, so nobody can tell what this change introduces.
    Unreadable,
}

/// The answer from what was found: the only place that refuses.
fn weigh(object: &ObjectRef, new: &Inspection, before: &Before, maker: Option<&str>, ruling: &Ruling) -> Verdict {
    let none = Inspection::default();
    let (old, comparable) = match before {
        Before::Nothing => (&none, true),
        Before::Known(old) => (old, true),
        Before::Unreadable => (&none, false),
    };
    let introduced = inspect::introduced(&old.findings, &new.findings);
    let is_new = |finding: &Finding| introduced.iter().any(|fresh| std::ptr::eq(*fresh, finding));

    let mut refused = Vec::new();
    let mut warnings = Vec::new();
    for finding in &new.findings {
        let excuse = match finding.severity {
            Severity::Warning => None,
            Severity::Error if !is_new(finding) => Some("already there".to_owned()),
            Severity::Error if !comparable => Some("what it was before could not be read".to_owned()),
            Severity::Error => match (maker, ruling.mode) {
                (Some(maker), _) => Some(format!("made by {maker}")),
                (None, Mode::Enforce) => {
                    refused.push(finding);
                    continue;
                }
                (None, Mode::Warn | Mode::Off) => None,
            },
        };
        warnings.push(words::warning(object, finding, excuse.as_deref()));
    }
    let noted_before = |note: &Note| old.notes.iter().any(|n| n.path == note.path && n.message == note.message);
    warnings.extend(new.notes.iter().filter(|note| !noted_before(note)).map(|note| words::note(object, note)));

    let rules: Vec<_> = new.findings.iter().map(|finding| finding.rule).collect();
    let decision = match (refused.is_empty(), warnings.is_empty()) {
        (false, _) => Decision::Refused,
        (true, false) => Decision::Warned,
        (true, true) => Decision::Admitted,
    };
    Verdict {
        decision,
        refusal: (!refused.is_empty()).then(|| words::refusal(object, &refused, &ruling.policies)),
        warnings: words::bounded(warnings),
        audit: if rules.is_empty() { Vec::new() } else { audit(&rules, ruling) },
        rules,
    }
}

fn audit(rules: &[&'static str], ruling: &Ruling) -> Vec<(&'static str, String)> {
    let mut distinct = rules.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    vec![("policies", words::names(&ruling.policies)), ("rules", distinct.join(","))]
}

/// Only its finalizers keep it: refusing their removal would keep it for ever.
pub(crate) fn is_going(object: &Tree) -> bool {
    object.at(&["metadata", "deletionTimestamp"]).and_then(Tree::text).is_some()
}

/// API group and kind of what is judged itself, so that what is made from it need not be. The controllers behind
/// these do nothing but copy a pod template.
const MAKERS: &[(&str, &str)] = &[
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("", "ReplicationController"),
];

/// What such controllers make: pods, the steps in between, and the history that StatefulSets and DaemonSets keep.
const MADE: &[(&str, &str)] = &[("", "Pod"), ("apps", "ReplicaSet"), ("apps", "ControllerRevision"), ("batch", "Job")];

/// Kind and name of the object that this one was made from, if a built-in controller made it.
///
/// Anybody may write an owner reference by hand and have a pod warned about instead of refused; but then the
/// garbage collector deletes it, since no such owner exists, and the audit log has the finding.
pub(crate) fn maker(object: &Tree) -> Option<String> {
    let is = |list: &[(&str, &str)], tree: &Tree| {
        let (version, kind) = (tree.get("apiVersion").and_then(Tree::text)?, tree.get("kind").and_then(Tree::text)?);
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        list.contains(&(group, kind)).then(|| kind.to_owned())
    };
    is(MADE, object)?;
    let owners = object.at(&["metadata", "ownerReferences"]).map_or(&[][..], Tree::items);
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Tree::text) == Some("true"))?;
    let kind = is(MAKERS, owner)?;
    Some(format!("{kind} {}", owner.get("name").and_then(Tree::text).unwrap_or("without a name")))
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
