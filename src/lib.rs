//! Clockwarden keeps Kubernetes clusters safe from wrong clocks.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod duration;
pub mod inspect;
pub mod runtime;
pub mod sys;
pub mod telemetry;
