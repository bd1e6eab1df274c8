//! The view as JSON: the contract of `-o json`, documented in docs/status.md.
//!
//! Numbers are seconds, and null where nothing is known; times are RFC 3339 by the controller's clock.

use super::view::{Controller, Detail, Fleet, PolicyRow, Row, Standing};
use crate::api::node_clock::Incident;
use crate::api::time_sync_policy::NodeCounts;
use crate::api::{NodeClockStatus, NodeDecision};
use crate::clock::Wall;
use crate::runtime::rfc3339;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'v> {
    node: &'v str,
    state: &'static str,
    policies: &'v [String],
    reason: Option<&'v str>,
    message: Option<&'v str>,
    offset_seconds: Option<f64>,
    error_bound_seconds: Option<f64>,
    reference: Option<&'v str>,
    since: Option<&'v MicroTime>,
    written: Option<&'v MicroTime>,
    decisions: &'v [NodeDecision],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy<'v> {
    policy: &'v str,
    nodes: Option<&'v NodeCounts>,
    conditions: &'v [Condition],
    troubles: Vec<Trouble>,
}

#[derive(Serialize)]
struct Trouble {
    reason: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leader<'v> {
    state: &'static str,
    holder: Option<&'v str>,
    ahead_seconds: Option<f64>,
    renewed: Option<String>,
    message: Option<&'v str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    synchronized: usize,
    drifting: usize,
    unknown: usize,
    unmeasured: usize,
    unwatched: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'v> {
    nodes: Vec<Node<'v>>,
    policies: Vec<Policy<'v>>,
    controller: Leader<'v>,
    summary: Summary,
    cluster_skew_at_most_seconds: Option<f64>,
    recommended_leeway_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mark<'v> {
    mark: String,
    policies: &'v [String],
    present: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'v> {
    #[serde(flatten)]
    node: Node<'v>,
    marks: Vec<Mark<'v>>,
    unreadable_marks: Option<&'v str>,
    foreign_cordon: bool,
    condition: Option<&'v NodeCondition>,
    annotations: &'v BTreeMap<String, String>,
    history: &'v [Incident],
    dropped_until: Option<&'v MicroTime>,
    controller: Leader<'v>,
}

/// The fleet as one document, with its last line ended.
///
/// # Errors
/// If it has no JSON form, which would be a bug.
pub fn fleet(fleet: &Fleet) -> anyhow::Result<String> {
    let count = |standing| fleet.count(standing);
    let apart = fleet.apart();
    written(&Document {
        nodes: fleet.rows.iter().map(of_row).collect(),
        policies: fleet.policies.iter().map(of_policy).collect(),
        controller: of_controller(&fleet.controller),
        summary: Summary {
            synchronized: count(Standing::Synchronized),
            drifting: count(Standing::Drifting),
            unknown: count(Standing::Unknown),
            unmeasured: count(Standing::Unmeasured),
            unwatched: count(Standing::Unwatched),
        },
        cluster_skew_at_most_seconds: apart.as_ref().map(|it| it.at_most.as_secs_f64()),
        recommended_leeway_seconds: apart.as_ref().map(|it| it.leeway.as_secs()),
    })
}

/// One node as one document, with its last line ended.
///
/// # Errors
/// If it has no JSON form, which would be a bug.
pub fn node(row: &Row, detail: &Detail, controller: &Controller) -> anyhow::Result<String> {
    let marks = detail.marks.iter();
    written(&Whole {
        node: of_row(row),
        marks: marks
            .map(|(mark, policies, present)| Mark { mark: mark.to_string(), policies, present: *present })
            .collect(),
        unreadable_marks: detail.unreadable.as_deref(),
        foreign_cordon: detail.has_foreign_cordon,
        condition: detail.condition.as_ref(),
        annotations: &detail.annotations,
        history: row.record.as_ref().map_or(&[], |record| &record.history),
        dropped_until: row.record.as_ref().and_then(|record| record.dropped_until.as_ref()),
        controller: of_controller(controller),
    })
}

fn written(document: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

fn of_row(row: &Row) -> Node<'_> {
    let record = row.record.as_ref();
    let text = |field: fn(&NodeClockStatus) -> &String| record.map(|it| field(it).as_str());
    Node {
        node: &row.node,
        state: row.standing.as_str(),
        policies: &row.policies,
        reason: text(|it| &it.reason),
        message: text(|it| &it.message),
        offset_seconds: record.and_then(|it| it.offset_seconds),
        error_bound_seconds: record.and_then(|it| it.error_bound_seconds),
        reference: record.and_then(|it| it.reference.as_deref()),
        since: record.and_then(|it| it.since.as_ref()),
        written: record.and_then(|it| it.written.as_ref()),
        decisions: record.map_or(&[], |it| &it.decisions),
    }
}

fn of_policy(row: &PolicyRow) -> Policy<'_> {
    Policy {
        policy: &row.name,
        nodes: row.status.nodes.as_ref(),
        conditions: &row.status.conditions,
        troubles: row.troubles().into_iter().map(|(reason, message)| Trouble { reason, message }).collect(),
    }
}

fn of_controller(controller: &Controller) -> Leader<'_> {
    let nothing = Leader { state: "Unseen", holder: None, ahead_seconds: None, renewed: None, message: None };
    match controller {
        Controller::Leads { holder, ahead } => {
            Leader { state: "Leads", holder: Some(holder), ahead_seconds: ahead.map(|it| it.seconds()), ..nothing }
        }
        Controller::Silent { holder, renewed } => {
            let renewed = renewed.map(|wall: Wall| rfc3339(wall));
            Leader {
                state: "Silent",
                holder: Some(holder).filter(|it| !it.is_empty()).map(String::as_str),
                renewed,
                ..nothing
            }
        }
        Controller::Absent => Leader { state: "Absent", ..nothing },
        Controller::Unseen(why) => Leader { message: Some(why), ..nothing },
    }
}
