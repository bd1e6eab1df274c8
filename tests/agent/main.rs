//! The agent as a process, against real chronyd, under libfaketime, and against servers that misbehave.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by failing"
)]

mod chrony;
mod history;
mod offsets;
mod once;
mod references;
mod rest;
mod rest_day;
mod steps;
mod support;
