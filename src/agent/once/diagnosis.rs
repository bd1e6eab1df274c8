//! x
use super::super::report::Report;
use std::time::Duration;
/// x
pub struct Diagnosis {
    /// x
    pub text: String,
    /// x
    pub exit: u8,
}
/// x
#[must_use]
pub fn diagnose(report: &Report, _max: Duration) -> Diagnosis {
    Diagnosis { text: format!("{report:#?}\n"), exit: 2 }
}
