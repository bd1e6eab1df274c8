//! Clockwarden keeps Kubernetes clusters safe from wrong clocks: it measures, acts, refuses and remembers.
//!
//! Data flows one way; the pure modules are where the thinking is, the edges are thin.
//!
//! ```text
//! agent       source ─▶ reading ─▶ fused interval ─▶ report ─▶ HTTP              (one per node, no credentials)
//! controller  report ─▶ engine (a state machine) ─▶ errand (requests) ─▶ client    (the only place that writes)
//! webhook     object ─▶ settings ─▶ findings ─▶ judged by policy ─▶ verdict
//! audit       list ─▶ the same, a page at a time ─▶ tally ─▶ metrics, PolicyReports  (in the controller that leads)
//! lint        file   ─▶ settings ─▶ findings ─▶ report
//! scan        lease  ─▶ heartbeat ─▶ estimate ─▶ table             (a cluster's clocks, nothing installed)
//! ```
//!
//! | module | holds | and does not know |
//! |---|---|---|
//! | [`clock`] | pure: intervals, fusion, steps, standing, exchange, consensus | kube, HTTP, tokio, files, the time |
//! | [`policy`] | pure: a valid policy; evidence in, decisions with reasons out | the same, and how evidence is had |
//! | [`inspect`] | pure: object in, findings out; formats, surfaces, catalogue, rules | the same, and who asks |
//! | [`api`] | the CRDs, the marks on nodes, the one conversion into the pure types | when anything is written |
//! | [`agent`] | clock sources, the step watcher, `/v1/clock` | Kubernetes |
//! | [`controller`] | watch, ask, decide, write, under a lease; its mind is `engine`, pure | products and settings |
//! | [`webhook`] | AdmissionReview to verdict, TLS, certificates | clocks |
//! | [`lint`] | files to findings, printed | clusters |
//! | [`heartbeats`] | a cluster's leases, watched; which of their renewals count | tolerances, and who asks |
//! | [`scan`] | heartbeats to a table of clocks, nothing installed | how heartbeats are had |
//! | [`status`] | what the controller has written, shown; nothing is measured | how it came about |
//! | [`simulation`] | pure: a fleet of simulated clocks, through the real rules, against the truth and today's alerts | real clocks, Kubernetes |
//! | [`drill`] | pure: the whole controller in a simulated cluster, put through faults and judged | real clusters, how clocks go wrong |
//! | [`runtime`], [`telemetry`], [`cli`], [`duration`], [`exposition`], [`sys`] | tasks and clocks, logs and metrics, flags, durations and exporters' pages as text, system calls | |
//!
//! To add a clock source start at [`agent::sources`], a config format at [`inspect::formats`], a product in
//! `src/inspect/catalogue`, a rule at [`inspect::rules`]; CONTRIBUTING.md has the steps.
//!
//! From evidence to a decision, with nothing but values:
//!
//! ```
//! use clockwarden::clock::{Delta, OffsetInterval, Standing, State, Tolerance, standing::judge, time::Mono};
//! use std::time::Duration;
//!
//! let tolerance = Tolerance {
//!     offset_max: Duration::from_millis(500),
//!     error_max: Duration::from_secs(2),
//!     unsynchronized_max: Duration::from_secs(300),
//!     stale_after: Duration::from_secs(60),
//! };
//! let ahead = OffsetInterval::new(Delta::from_nanos(15_000_000_000), Duration::from_millis(1));
//! let judged = judge(ahead, Duration::from_secs(5), Duration::ZERO, &tolerance);
//! let standing = Standing::new(Mono::from_nanos(0)).observe(judged, Mono::from_nanos(1));
//! assert_eq!(standing.state(), State::Drifting);
//! ```

pub mod agent;
pub mod api;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod drill;
pub mod duration;
pub mod exposition;
pub mod heartbeats;
pub mod inspect;
pub mod lint;
pub mod policy;
pub mod runtime;
pub mod scan;
pub mod simulation;
pub mod status;
pub mod sys;
pub mod telemetry;
pub mod webhook;
