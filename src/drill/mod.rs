//! The drill: the whole controller, put through whatever may happen to it, in simulated time, and judged.
//!
//! ```text
//! scenario, or a seed ─▶ world: machines ─ readings ─▶ replicas: engine, errands, election ─ requests ─▶ API server
//!                           ▲                              ▲                                           │
//!                           └────────── people, faults ────┴──────────────── watches ◀─────────────────┤
//!                                                                                                      ▼
//!                                                                            judge (rules), journal (words)
//! ```
//!
//! One queue of events drives it all, and one seed decides every delay and every loss: a failure can be had again, and
//! shrunk to a short scenario. Nothing is asked of the network, the disk or the clock. How clocks come to be wrong is
//! simplified to straight lines here ([`crate::simulation`] has daemons and kernels); how an API server may behave is not.
//!
//! Does not know: how the engine decides. docs/drill.md has the rules, the faults and what the model leaves out.

pub mod duty;
pub mod evidence;
pub mod journal;
pub mod judge;
pub mod marks;
pub mod network;
pub mod patch;
mod people;
pub mod plant;
pub mod queue;
pub mod random;
pub mod replica;
pub mod rules;
pub mod scenario;
pub mod script;
pub mod server;
pub mod shrink;
pub mod truth;
pub mod world;

pub use judge::{Broken, Rule};
pub use plant::Plant;
pub use scenario::Scenario;
pub use world::{Ran, run};
