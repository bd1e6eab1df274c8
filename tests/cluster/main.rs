//! Tests against a real API server, real clocks and the real binary.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod clocks;
mod control_plane;
mod controller;
mod examples;
mod install;
mod policy_schema;
mod processes;
mod scan;
mod semantics;
mod status;
mod webhook;
