//! The webhook without a cluster: its router in process, its server over real TLS, its verdicts through both.
//!
//! What only a real API server can show (that it reads our answers, that watches bring policies) is tested where
//! there is one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by failing"
)]

mod crowds;
mod hostile;
mod http;
mod support;
mod tls;
mod verdicts;
