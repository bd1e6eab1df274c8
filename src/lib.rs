//! Clockwarden keeps Kubernetes clusters safe from wrong clocks.

pub mod agent;
pub mod clock;
pub mod inspect;
pub mod runtime;
pub mod telemetry;
pub mod webhook;
