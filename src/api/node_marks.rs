//! The marks on a live Node: which are there, which are ours, and the patch that changes ours only.
//!
//! The annotation [`super::MARKS_ANNOTATION`] names our marks, e.g.
//! `{"taints":[{"key":"clockwarden.io/clock-drift","effect":"NoSchedule","policies":["production"]}],"cordon":["production"]}`,
//! and after a person lifted that cordon `"lifted":["production"]` in its place. It is written in the same patch as the marks, with the node's resourceVersion as precondition, because
//! `spec.taints` is an atomic list: a patch replaces it whole, and one computed from a stale read would bring back or
//! lose somebody else's taint (node-readiness-controller #292).

use super::{CONTROLLER, MARKS_ANNOTATION};
use crate::policy::marks::Effect;
use crate::policy::{Mark, Marks};
use k8s_openapi::api::core::v1::{Node, Taint};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    taints: Vec<WrittenTaint>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    cordon: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    lifted: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenTaint {
    key: String,
    effect: String,
    policies: BTreeSet<String>,
}

/// Why a node's annotation cannot be believed. Nothing is written to such a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {MARKS_ANNOTATION} of node {node} cannot be read ({why}): remove the annotation together with the marks that it should name"
)]
pub struct UnreadableMarks {
    /// Name of the node.
    pub node: String,
    /// What is wrong.
    pub why: String,
}

/// The marks that are ours according to the annotation, whether or not they are (still) there.
///
/// # Errors
/// If somebody scribbled in the annotation.
pub fn owned(node: &Node) -> Result<Marks, UnreadableMarks> {
    let Some(text) = node.metadata.annotations.as_ref().and_then(|all| all.get(MARKS_ANNOTATION)) else {
        return Ok(Marks::default());
    };
    let unreadable = |why: String| UnreadableMarks { node: node.metadata.name.clone().unwrap_or_default(), why };
    let written: Written = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let mut marks = Marks { lifted: written.lifted, ..Marks::default() };
    for taint in written.taints {
        let effect = Effect::parse(&taint.effect)
            .ok_or_else(|| unreadable(format!("unknown taint effect {:?}", taint.effect)))?;
        marks.held.insert(Mark::Taint { key: taint.key, effect }, taint.policies);
    }
    if !written.cordon.is_empty() {
        marks.held.insert(Mark::Cordon, written.cordon);
    }
    Ok(marks)
}

/// Whether this mark is on the node, whoever put it there.
#[must_use]
pub fn present(node: &Node, mark: &Mark) -> bool {
    let Some(spec) = &node.spec else { return false };
    match mark {
        Mark::Cordon => spec.unschedulable.unwrap_or(false),
        Mark::Taint { key, effect } => spec.taints.iter().flatten().any(|t| is(t, key, *effect)),
    }
}

fn is(taint: &Taint, key: &str, effect: Effect) -> bool {
    taint.key == key && taint.effect == effect.as_str()
}

/// Whether a mark of this policy may be on the node: it is recorded or, where the record cannot be read, the mark that
/// the policy puts on is there, whoever put it there.
///
/// While it may be, the policy must not vanish: nothing but it would name what is left behind. Only whoever repairs the
/// record can tell; that a node with a scribbled record can so hold up the deletion of one policy is the smaller harm.
#[must_use]
pub fn may_hold(node: &Node, policy: &str, mark: Option<&Mark>) -> bool {
    match owned(node) {
        Ok(marks) => marks.held_by(policy),
        Err(UnreadableMarks { .. }) => mark.is_some_and(|mark| present(node, mark)),
    }
}

/// A change of one node's marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The merge patch, with its resourceVersion precondition.
    pub patch: Value,
    /// Marks that were put on.
    pub added: Vec<Mark>,
    /// Marks that were taken off.
    pub removed: Vec<Mark>,
}

/// What turns the live `node` into one that carries exactly the marks `desired` of ours, and leaves every other taint
/// and a foreign cordon as they are. `None` if nothing is to be done.
///
/// A mark that is wanted, present, and not ours stays somebody else's: it is neither adopted nor removed later. What
/// happens to cordons is in [`cordon`].
///
/// # Errors
/// If the node's annotation cannot be read.
pub fn change(node: &Node, desired: &Marks) -> Result<Option<Change>, UnreadableMarks> {
    let owned = owned(node)?;
    let mut record = Marks::default();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for (mark, policies) in desired.held.iter().filter(|(mark, _)| **mark != Mark::Cordon) {
        let (is_owned, is_present) = (owned.held.contains_key(mark), present(node, mark));
        if !is_owned && is_present {
            continue;
        }
        if !is_present {
            added.push(mark.clone());
        }
        record.held.insert(mark.clone(), policies.clone());
    }
    for mark in owned.held.keys().filter(|mark| !desired.held.contains_key(mark) && **mark != Mark::Cordon) {
        if present(node, mark) {
            removed.push(mark.clone());
        }
    }
    match cordon(node, &owned, desired, &mut record) {
        Some(true) => added.push(Mark::Cordon),
        Some(false) => removed.push(Mark::Cordon),
        None => {}
    }
    if added.is_empty() && removed.is_empty() && record == owned {
        return Ok(None);
    }
    Ok(Some(Change { patch: patch(node, &record, &added, &removed), added, removed }))
}

/// Whether the node is to be cordoned (`true`), or uncordoned (`false`), and what the record says of it afterwards.
///
/// A cordon of ours that is not there was lifted by a person. That is written down at once, because the next cordon is
/// then theirs, and no policy of ours cordons the node anew while it is written there.
fn cordon(node: &Node, owned: &Marks, desired: &Marks, record: &mut Marks) -> Option<bool> {
    let cordoned = present(node, &Mark::Cordon);
    let ours = owned.held.get(&Mark::Cordon);
    let mut lifted = owned.lifted.clone();
    if let Some(policies) = ours
        && (!cordoned || is_anothers_cordon(node))
    {
        lifted.extend(policies.iter().cloned());
    }
    let mut wanted = desired.held.get(&Mark::Cordon).cloned().unwrap_or_default();
    if !lifted.is_empty() {
        wanted.extend(desired.lifted.iter().cloned());
        record.lifted = lifted.intersection(&wanted).cloned().collect();
        return None;
    }
    match (ours.is_some(), cordoned, wanted.is_empty()) {
        (true, _, true) => return Some(false),
        (false, true, _) | (false, false, true) => return None,
        (true, _, false) | (false, false, false) => {}
    }
    record.held.insert(Mark::Cordon, wanted);
    (!cordoned).then_some(true)
}

/// Whether somebody else cordoned the node since we did, according to the API server's own notes. It catches whoever
/// uncordoned and cordoned again while nobody looked. Without notes (an index keeps none) the record alone decides.
///
/// Who owns a field is who changed it last, or applies it; an update that repeats the value owns nothing
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). The oldest of more than ten
/// updaters are put together under a name that says nothing (`managedfields/internal/capmanagers.go` of apimachinery).
fn is_anothers_cordon(node: &Node) -> bool {
    const ANCIENT: &str = "ancient-changes";
    let owns = |fields: &Value| fields.pointer("/f:spec/f:unschedulable").is_some();
    let entries = node.metadata.managed_fields.iter().flatten();
    let mut owners = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
    owners.any(|entry| !matches!(entry.manager.as_deref(), Some(CONTROLLER | ANCIENT) | None))
}

/// The merge patch that puts these marks on, takes those off, and leaves this record.
fn patch(node: &Node, record: &Marks, added: &[Mark], removed: &[Mark]) -> Value {
    let mut patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": { MARKS_ANNOTATION: written(record) },
        },
    });
    let mut spec = serde_json::Map::new();
    if added.iter().chain(removed).any(|mark| matches!(mark, Mark::Taint { .. })) {
        spec.insert("taints".to_owned(), json!(taints(node, added, removed)));
    }
    if added.contains(&Mark::Cordon) {
        spec.insert("unschedulable".to_owned(), json!(true));
    } else if removed.contains(&Mark::Cordon) {
        spec.insert("unschedulable".to_owned(), Value::Null);
    }
    if !spec.is_empty()
        && let Some(object) = patch.as_object_mut()
    {
        object.insert("spec".to_owned(), Value::Object(spec));
    }
    patch
}

/// The live list without what is removed and with what is added, every other taint as it was and where it was.
fn taints(node: &Node, added: &[Mark], removed: &[Mark]) -> Vec<Taint> {
    let live = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let gone = |taint: &Taint| {
        removed.iter().any(|mark| matches!(mark, Mark::Taint { key, effect } if is(taint, key, *effect)))
    };
    let mut list: Vec<Taint> = live.iter().filter(|taint| !gone(taint)).cloned().collect();
    for mark in added {
        if let Mark::Taint { key, effect } = mark {
            list.push(Taint { key: key.clone(), effect: effect.as_str().to_owned(), ..Taint::default() });
        }
    }
    list
}

/// The annotation's text; null removes it when nothing of ours is left.
fn written(marks: &Marks) -> Value {
    if marks.is_empty() {
        return Value::Null;
    }
    let mut out = Written { lifted: marks.lifted.clone(), ..Written::default() };
    for (mark, policies) in &marks.held {
        match mark {
            Mark::Cordon => out.cordon.clone_from(policies),
            Mark::Taint { key, effect } => out.taints.push(WrittenTaint {
                key: key.clone(),
                effect: effect.as_str().to_owned(),
                policies: policies.clone(),
            }),
        }
    }
    // A struct of strings always has a JSON form; were it not so, null would disown our marks, so keep the text form.
    serde_json::to_string(&out).map_or(Value::Null, Value::String)
}

#[cfg(test)]
mod tests;
