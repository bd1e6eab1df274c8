//! What can be known about a clock: intervals, their fusion, steps, and the state that a node is in.
//!
//! ```text
//! Reading (one source) --fuse--> Fused --judge--> Judgement --Standing::observe--> State
//! Samples of the machine's clocks --steps, slew, pause--> Jump
//!                 round trip --exchange--> OffsetInterval --consensus--> node against the cluster
//! ```
//!
//! Pure: no kube, HTTP, tokio, files, and no current time; `now` is an argument (clippy.toml and tests/tidy.rs guard it).

pub mod consensus;
pub mod drift;
pub mod exchange;
pub mod fuse;
pub mod heartbeat;
pub mod interval;
pub mod jump;
pub mod lineage;
pub mod pause;
pub mod ranks;
pub mod slew;
pub mod smear;
pub mod standing;
pub mod steps;
pub mod time;
pub mod timescale;

pub use consensus::{Consensus, Edges, consensus};
pub use drift::{Drift, Look, Sums};
pub use exchange::Exchange;
pub use fuse::{Dispute, Fused, Reading, fuse};
pub use heartbeat::{Beat, Delivery, Heartbeat};
pub use interval::{OffsetInterval, Seconds};
pub use jump::{Cause, Jump};
pub use ranks::{Order, Ranks, Sorted};
pub use slew::{Discipline, SlewDetector};
pub use smear::{Leap, Smear};
pub use standing::{Judgement, Standing, State, Tolerance, Why};
pub use steps::{Sample, StepDetector};
pub use time::{Boot, Delta, Human, Mono, Raw, Wall};
