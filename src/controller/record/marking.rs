//! Marks of ours that came or went, as incidents: what the node carries against what the history says last.
//!
//! Level-triggered, so that a mark which went on while no controller was there to tell is told by the next one, once.

use super::room::{TEXT_BYTES, clip};
use crate::api::node_clock::Incident;
use crate::api::node_marks;
use crate::policy::Mark;
use k8s_openapi::api::core::v1::Node;

/// An incident for each kind of mark of ours whose last incident does not say what the node says.
pub(super) fn marking(history: &[Incident], node: &Node, incident: impl Fn(&str, String) -> Incident) -> Vec<Incident> {
    let Ok(owned) = node_marks::owned(node) else { return Vec::new() };
    let mut fresh = Vec::new();
    for (on, off, is_kind) in [
        ("Tainted", "Untainted", (|m: &Mark| matches!(m, Mark::Taint { .. })) as fn(&Mark) -> bool),
        ("Cordoned", "Uncordoned", |m: &Mark| *m == Mark::Cordon),
    ] {
        let last = history.iter().rev().find(|i| i.kind == on || i.kind == off);
        let there: Vec<String> = owned
            .held
            .iter()
            .filter(|(mark, _)| is_kind(mark) && node_marks::present(node, mark))
            .map(|(mark, policies)| {
                let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
                format!("{mark} by TimeSyncPolicy {}", policies.join(", "))
            })
            .collect();
        let message = clip(&there.join("; "), TEXT_BYTES);
        match last {
            Some(last) if last.kind == on && there.is_empty() => {
                fresh.push(incident(off, format!("no longer: {}", last.message)));
            }
            Some(last) if last.kind == on && last.message != message => fresh.push(incident(on, message)),
            Some(last) if last.kind == off && !there.is_empty() => fresh.push(incident(on, message)),
            None if !there.is_empty() => fresh.push(incident(on, message)),
            _ => {}
        }
    }
    fresh
}
