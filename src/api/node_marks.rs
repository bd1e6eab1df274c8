//! The marks on a live Node: which are there, which are ours, and the patch that changes ours only.
//!
//! The annotation [`super::MARKS_ANNOTATION`] names our marks, e.g.
//! `{"taints":[{"key":"clockwarden.io/clock-drift","effect":"NoSchedule","policies":["production"]}],"cordon":["production"]}`.
//! It is written in the same patch as the marks, with the node's resourceVersion as precondition, because
//! `spec.taints` is an atomic list: a patch replaces it whole, and one computed from a stale read would bring back or
//! lose somebody else's taint (node-readiness-controller #292).

use super::MARKS_ANNOTATION;
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
    let mut marks = Marks::default();
    for taint in written.taints {
        let effect = Effect::parse(&taint.effect)
            .ok_or_else(|| unreadable(format!("unknown taint effect {:?}", taint.effect)))?;
        marks.0.insert(Mark::Taint { key: taint.key, effect }, taint.policies);
    }
    if !written.cordon.is_empty() {
        marks.0.insert(Mark::Cordon, written.cordon);
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
/// A mark that is wanted, present, and not ours stays somebody else's: it is neither adopted nor removed later. A
/// cordon of ours that a person lifted is not put back while it is recorded; it is put on only by a new decision.
///
/// # Errors
/// If the node's annotation cannot be read.
pub fn change(node: &Node, desired: &Marks) -> Result<Option<Change>, UnreadableMarks> {
    let owned = owned(node)?;
    let mut record = Marks::default();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for (mark, policies) in &desired.0 {
        let (is_owned, is_present) = (owned.0.contains_key(mark), present(node, mark));
        if !is_owned && is_present {
            continue;
        }
        let lifted_by_a_person = is_owned && !is_present && *mark == Mark::Cordon;
        if !is_present && !lifted_by_a_person {
            added.push(mark.clone());
        }
        record.0.insert(mark.clone(), policies.clone());
    }
    for mark in owned.0.keys().filter(|mark| !desired.0.contains_key(mark)) {
        if present(node, mark) {
            removed.push(mark.clone());
        }
    }
    if added.is_empty() && removed.is_empty() && record == owned {
        return Ok(None);
    }
    let mut patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": { MARKS_ANNOTATION: written(&record) },
        },
    });
    let touches = |mark: &Mark| added.contains(mark) || removed.contains(mark);
    let mut spec = serde_json::Map::new();
    if added.iter().chain(&removed).any(|mark| matches!(mark, Mark::Taint { .. })) {
        spec.insert("taints".to_owned(), json!(taints(node, &added, &removed)));
    }
    if touches(&Mark::Cordon) {
        let cordon = if added.contains(&Mark::Cordon) { json!(true) } else { Value::Null };
        spec.insert("unschedulable".to_owned(), cordon);
    }
    if !spec.is_empty()
        && let Some(object) = patch.as_object_mut()
    {
        object.insert("spec".to_owned(), Value::Object(spec));
    }
    Ok(Some(Change { patch, added, removed }))
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
    let mut out = Written::default();
    for (mark, policies) in &marks.0 {
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
mod tests {
    use super::*;

    fn taint(key: &str) -> Mark {
        Mark::Taint { key: key.into(), effect: Effect::NoSchedule }
    }

    fn marks(all: &[(Mark, &[&str])]) -> Marks {
        let mut marks = Marks::default();
        for (mark, policies) in all {
            for policy in *policies {
                marks.hold(mark.clone(), policy);
            }
        }
        marks
    }

    /// A node with these taints and cordon, whose annotation names `ours`.
    fn node(taints: &[&str], unschedulable: bool, ours: &Marks) -> Node {
        let taints: Vec<Value> = taints.iter().map(|k| json!({"key": k, "effect": "NoSchedule"})).collect();
        let annotations = match written(ours) {
            Value::Null => json!({}),
            text => json!({ MARKS_ANNOTATION: text }),
        };
        serde_json::from_value(json!({
            "metadata": {"name": "n", "resourceVersion": "7", "annotations": annotations},
            "spec": {"taints": taints, "unschedulable": unschedulable},
        }))
        .unwrap()
    }

    fn keys(patch: &Value) -> Option<Vec<&str>> {
        Some(patch["spec"]["taints"].as_array()?.iter().map(|t| t["key"].as_str().unwrap()).collect())
    }

    #[test]
    fn only_our_own_taint_comes_and_goes() {
        let ours = marks(&[(taint("ours"), &["p"])]);
        let change_on = change(&node(&["theirs"], false, &Marks::default()), &ours).unwrap().unwrap();
        assert_eq!(keys(&change_on.patch), Some(vec!["theirs", "ours"]));
        assert_eq!(change_on.patch["metadata"]["resourceVersion"], "7");
        let change_off = change(&node(&["ours", "theirs"], false, &ours), &Marks::default()).unwrap().unwrap();
        assert_eq!(keys(&change_off.patch), Some(vec!["theirs"]));
        assert_eq!(change_off.patch["metadata"]["annotations"][MARKS_ANNOTATION], Value::Null);
        assert!(change_off.patch["spec"].get("unschedulable").is_none());
        assert_eq!(change(&node(&["ours", "theirs"], false, &ours), &ours).unwrap(), None);
    }

    #[test]
    fn a_taint_that_looks_like_ours_but_is_not_is_neither_adopted_nor_removed() {
        let wanted = marks(&[(taint("ours"), &["p"])]);
        let foreign = node(&["ours"], false, &Marks::default());
        assert_eq!(change(&foreign, &wanted).unwrap(), None);
        assert_eq!(change(&foreign, &Marks::default()).unwrap(), None);
    }

    #[test]
    fn a_taint_of_ours_that_went_missing_comes_back_while_it_is_wanted() {
        let ours = marks(&[(taint("ours"), &["p"])]);
        let change = change(&node(&["theirs"], false, &ours), &ours).unwrap().unwrap();
        assert_eq!(keys(&change.patch), Some(vec!["theirs", "ours"]));
    }

    #[test]
    fn a_changed_key_takes_the_old_one_along() {
        let old = marks(&[(taint("old"), &["p"])]);
        let change =
            change(&node(&["theirs", "old"], false, &old), &marks(&[(taint("new"), &["p"])])).unwrap().unwrap();
        assert_eq!(keys(&change.patch), Some(vec!["theirs", "new"]));
    }

    #[test]
    fn a_mark_goes_when_the_last_policy_lets_go() {
        let both = marks(&[(taint("ours"), &["p", "q"])]);
        let one = marks(&[(taint("ours"), &["q"])]);
        let change = change(&node(&["ours"], false, &both), &one).unwrap().unwrap();
        assert_eq!((keys(&change.patch), change.removed), (None, vec![]));
    }

    #[test]
    fn a_persons_cordon_is_never_lifted_and_their_uncordon_never_undone() {
        let cordon = marks(&[(Mark::Cordon, &["p"])]);
        let by_us = change(&node(&[], false, &Marks::default()), &cordon).unwrap().unwrap();
        assert_eq!(by_us.patch["spec"]["unschedulable"], true);
        assert_eq!(change(&node(&[], true, &Marks::default()), &cordon).unwrap(), None);
        assert_eq!(change(&node(&[], true, &Marks::default()), &Marks::default()).unwrap(), None);
        // A person uncordoned what we had cordoned: nothing is put back, and our record goes quietly.
        assert_eq!(change(&node(&[], false, &cordon), &cordon).unwrap(), None);
        let forgotten = change(&node(&[], false, &cordon), &Marks::default()).unwrap().unwrap();
        assert!(forgotten.patch.get("spec").is_none() && forgotten.removed.is_empty());
    }

    #[test]
    fn a_scribbled_annotation_stops_us() {
        let mut scribbled = node(&["ours"], false, &Marks::default());
        scribbled.metadata.annotations = Some([(MARKS_ANNOTATION.to_owned(), "{".to_owned())].into());
        assert!(change(&scribbled, &Marks::default()).unwrap_err().to_string().contains("node n"));
    }
}
