//! The agent: measures one node's clock and tells whoever asks.

pub mod clocks;
pub mod report;
pub mod sources;
