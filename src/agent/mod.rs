//! The agent: measures one node's clock and tells whoever asks.

pub mod report;
