//! Suspicion in words: what is wrong with what nodes are measured against, for conditions, Events and decisions.
//!
//! One phrase without a full stop, to which its user adds what follows from it.

use crate::policy::movement::Together;
use crate::policy::{Group, Suspicion, ZoneSuspicion};

/// What is wrong with the yardstick of all nodes. `name` gives the name of the node with an id of the assessment.
#[must_use]
pub fn fleet<'a>(suspicion: &Suspicion, name: &dyn Fn(u32) -> Option<&'a str>) -> String {
    match suspicion {
        Suspicion::FleetShifted { shifted, of, by } => format!(
            "{shifted} of {of} nodes are beyond tolerance in the same direction, by about {by}: suspect the time source that they share"
        ),
        Suspicion::FleetMoved(Together { by, moved, of }) => format!(
            "{moved} of {of} nodes were stepped or slewed alike, by about {by}, within the last hour: they agree with one another, but whether they were right before or are right now, nothing in the cluster can tell; name spec.references to decide it"
        ),
        Suspicion::TwoGroups { larger, smaller, of } => format!(
            "the {of} nodes are in two minds: {}, {}; nothing in the cluster can tell which are right; name spec.references to decide it",
            group(larger, name),
            group(smaller, name)
        ),
        Suspicion::ControllerApart { by, agreeing, of } => format!(
            "{agreeing} of {of} nodes agree with one another and are {by} from this controller's clock: either they or the controller are wrong; name spec.references to decide it"
        ),
    }
}

/// What is wrong with the nodes of one zone.
#[must_use]
pub fn zone(suspicion: &ZoneSuspicion) -> String {
    let ZoneSuspicion { zone, shifted, of, by } = suspicion;
    format!(
        "{shifted} of {of} nodes of zone {zone} are beyond tolerance in the same direction, by about {by}: suspect the time source of that zone"
    )
}

/// `52 near +5.000 s (a, b, …)`.
fn group<'a>(group: &Group, name: &dyn Fn(u32) -> Option<&'a str>) -> String {
    let mut names: Vec<&str> = group.members().filter_map(name).collect();
    if names.len() < group.size {
        names.push("\u{2026}");
    }
    format!("{} near {} ({})", group.size, group.offset, names.join(", "))
}
