//! Clockwarden keeps Kubernetes clusters safe from wrong clocks.

pub mod clock;
pub mod inspect;
