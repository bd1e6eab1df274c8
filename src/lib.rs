//! Clockwarden keeps Kubernetes clusters safe from wrong clocks.

pub mod agent;
pub mod api;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod duration;
pub mod inspect;
pub mod lint;
pub mod policy;
pub mod runtime;
pub mod sys;
pub mod telemetry;
pub mod webhook;
