//! Finds clock-skew settings in any object or file and says which of them are unsafe.
//!
//! ```text
//! object or file -> Tree -> settings (surfaces, formats) -> recognised by the catalogue -> findings (rules)
//! ```
//!
//! Pure: no files, no network, no current time. Input is untrusted: bounded in size, depth and number.

pub mod finding;
pub mod tree;

pub use finding::{Finding, Note, ObjectRef, Severity, introduced};

/// The policy's numbers that rules compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A tolerance below this is refused where the product has a real zero. Default 1 s.
    pub skew_min: std::time::Duration,
    /// A tolerance above this is warned about; exactly this is allowed. Default 5 min.
    pub skew_max: std::time::Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { skew_min: std::time::Duration::from_secs(1), skew_max: std::time::Duration::from_secs(300) }
    }
}

/// What looking at one object gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// In the order of the object.
    pub findings: Vec<Finding>,
    /// What could not be looked into.
    pub notes: Vec<Note>,
}
