//! The webhook without a cluster: its router in process, its server over real TLS, its verdicts through both.
//!
//! What only a real API server can show (that it reads our answers, that watches bring policies) is tested where
//! there is one.

mod http;
mod support;
mod tls;
