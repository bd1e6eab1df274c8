//! A simulated fleet of clocks, from which the verdicts of the real rules are checked against the truth.
//!
//! ```text
//! oscillator ─▶ machine ─▶ daemon, kernel ─▶ witness ─▶ agent::state::Core ─▶ report      (per node, real agent)
//! report, exchange ─▶ Reading ─▶ assess ─▶ judge ─▶ Standing ─▶ decide ─▶ verdict         (controller, real rules)
//! the same machines ─▶ node_timex_* every 15 s ─▶ today's alerts
//! truth ─▶ what ought to be said ─▶ score
//! ```
//!
//! Everything is pure and seeded: no file, no network, no clock; integers, and of floating point only what every
//! machine does alike. A [`Scenario`] says what happens, [`run`] lets it happen and counts, [`table`] shows it.
//!
//! Does not know: Kubernetes. What its models leave out stands in docs/scenarios.md.

pub mod alerts;
pub mod catalogue;
pub mod chance;
pub mod controller;
pub mod daemon;
pub mod kernel;
pub mod machine;
pub mod node;
pub mod promise;
pub mod promql;
pub mod scenario;
pub mod score;
pub mod server;
pub mod table;
pub mod truth;
mod witness;
pub mod world;

pub use catalogue::scenarios;
pub use scenario::{Kind, Scenario, What, Who};
pub use score::{Score, run};
