//! What is put through the drill, seen from outside: what it is told, what it wants done.
//!
//! The controller's engine is one; a test may bring a worse one. Whoever is drilled sees exactly what it would see in a
//! cluster: what its own watches have told it, its own readings, its own clocks.

use crate::clock::{Mono, Sample};
use crate::controller::request::{Outcome, Request};
use crate::controller::sources::NodeReading;
use crate::controller::watch::Told;

/// What asking a node came to.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A reading.
    Good(NodeReading),
    /// None, and why.
    Bad(String),
    /// Nobody asks any more.
    Forgotten,
}

/// What an errand wants next.
#[derive(Debug)]
pub enum Step<R> {
    /// An answer to this.
    Ask(Request),
    /// Nothing: it is over.
    Done(R),
}

/// A controller without a network.
pub trait Brain {
    /// A write under way.
    type Errand;
    /// How it ended.
    type End;

    /// A watch told something.
    fn learn(&mut self, told: Told, clocks: &Sample);
    /// A node was asked.
    fn observe(&mut self, node: &str, seen: Seen, clocks: &Sample);
    /// Looks at what is due by time, or was changed.
    fn settle(&mut self, clocks: &Sample);
    /// The most urgent write that is not under way; asked only while leading.
    fn next(&mut self, clocks: &Sample) -> Option<Self::Errand>;
    /// What the errand wants, after `last`.
    fn step(errand: &mut Self::Errand, last: Option<Outcome>) -> Step<Self::End>;
    /// An errand has come to an end.
    fn answered(&mut self, errand: Self::Errand, end: Self::End, clocks: &Sample);
    /// How an errand ends that was not let go on, because the lease is not held.
    fn not_leading() -> Self::End;
    /// When [`Brain::settle`] is to be called again if nothing happens before.
    fn due(&self) -> Option<Mono>;
}
