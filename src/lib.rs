//! Clockwarden keeps Kubernetes clusters safe from wrong clocks.

pub mod inspect;
pub mod lint;
