//! The survey as JSON: the contract of `-o json`.
//!
//! Numbers are seconds, and null where nothing is known; an offset never comes without its bound.

use super::connect::Counted;
use super::survey::{Clock, Survey, Yardstick};
use crate::clock::OffsetInterval;
use crate::heartbeats::{Counts, Holder};
use serde::Serialize;
use std::time::Duration;

/// How the survey was made.
#[derive(Debug, Clone)]
pub struct Effort {
    /// How long was listened.
    pub listened: Duration,
    /// The tolerance.
    pub limit: Duration,
    /// Requests to the API server.
    pub requests: Counted,
    /// What happened to events.
    pub counts: Counts,
    /// What a reader must know, each a sentence.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'s> {
    nodes: Vec<Node<'s>>,
    control_plane: Vec<Component<'s>>,
    cluster_skew_seconds: Option<f64>,
    cluster_skew_error_bound_seconds: Option<f64>,
    recommended_leeway_seconds: Option<u64>,
    yardstick: &'static str,
    cluster_against_this_machine_seconds: Option<f64>,
    max_offset_seconds: f64,
    listened_seconds: f64,
    heartbeats: Heartbeats,
    requests: Requests,
    notes: &'s [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'s> {
    node: &'s str,
    #[serde(flatten)]
    clock: Measured<'s>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'s> {
    component: &'s str,
    instance: &'s str,
    #[serde(flatten)]
    clock: Measured<'s>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured<'s> {
    state: &'static str,
    offset_seconds: Option<f64>,
    error_bound_seconds: Option<f64>,
    low_seconds: Option<f64>,
    high_seconds: Option<f64>,
    heartbeats: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'s str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeats {
    counted: u64,
    set_aside: u64,
    watch_cuts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Requests {
    total: u64,
    lists: u64,
    watches: u64,
    gets: u64,
}

fn measured(clock: &Clock) -> Measured<'_> {
    let seconds = clock.interval.map(OffsetInterval::seconds);
    Measured {
        state: clock.state.as_str(),
        offset_seconds: seconds.map(|it| it.offset),
        error_bound_seconds: seconds.map(|it| it.bound),
        low_seconds: clock.interval.map(|it| it.low().seconds()),
        high_seconds: clock.interval.map(|it| it.high().seconds()),
        heartbeats: clock.samples,
        reason: clock.reason.as_deref(),
    }
}

/// The document, indented, with its last line ended.
///
/// # Errors
/// Never in practice: no map with keys that are no strings, no number that JSON lacks.
pub fn json(survey: &Survey, effort: &Effort) -> serde_json::Result<String> {
    let (mut nodes, mut control_plane) = (Vec::new(), Vec::new());
    for clock in survey.clocks() {
        match &clock.holder {
            Holder::Node(node) => nodes.push(Node { node, clock: measured(clock) }),
            Holder::Component { component, instance } => {
                control_plane.push(Component { component, instance, clock: measured(clock) });
            }
        }
    }
    let skew = survey.skew.as_ref().map(|skew| skew.interval.seconds());
    let (yardstick, cluster) = match survey.yardstick {
        Yardstick::Here => ("thisMachine", None),
        Yardstick::Cluster(found) => ("cluster", Some(found.interval.seconds().offset)),
    };
    let document = Document {
        nodes,
        control_plane,
        cluster_skew_seconds: skew.map(|it| it.offset),
        cluster_skew_error_bound_seconds: skew.map(|it| it.bound),
        recommended_leeway_seconds: survey.skew.as_ref().map(|skew| skew.leeway.as_secs()),
        yardstick,
        cluster_against_this_machine_seconds: cluster,
        max_offset_seconds: effort.limit.as_secs_f64(),
        listened_seconds: effort.listened.as_secs_f64(),
        heartbeats: Heartbeats {
            counted: effort.counts.beats,
            set_aside: effort.counts.set_aside,
            watch_cuts: effort.counts.cuts,
        },
        requests: Requests {
            total: effort.requests.total(),
            lists: effort.requests.lists,
            watches: effort.requests.watches,
            gets: effort.requests.gets,
        },
        notes: &effort.notes,
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}
