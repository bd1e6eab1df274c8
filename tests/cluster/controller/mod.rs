//! The controller on a real API server: real agents where clocks matter, one process with many agents where numbers
//! or bad manners do.
//!
//! All tests here share one control plane, one after the other: a controller acts on every node of its cluster.

mod act;
mod agents;
mod bad_input;
mod cordons;
mod faults;
mod heartbeats;
mod history;
mod lab;
mod limits;
mod policy;
mod races;
mod rbac;
mod rest;
mod sources;
