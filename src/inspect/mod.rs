//! Finds clock-skew settings in any object or file and says which of them are unsafe.
//!
//! ```text
//! object or file -> Tree -> settings (surfaces, formats) -> recognised by the catalogue -> findings (rules)
//! ```
//!
//! Pure: no files, no network, no current time. Input is untrusted: bounded in size, depth and number.

pub mod catalogue;
pub mod finding;
pub mod json;
pub mod limits;
mod mention;
pub mod tree;

pub use catalogue::Catalogue;
pub use finding::{Finding, Note, ObjectRef, Severity, introduced};
pub use limits::Limits;
pub use mention::mentions_skew;

use tree::Tree;

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

/// Looks at one Kubernetes object.
#[must_use]
pub fn inspect(object: &Tree, catalogue: &Catalogue, bounds: &Bounds, limits: &Limits) -> Inspection {
    let _ = (object, catalogue, bounds, limits);
    Inspection::default()
}

/// What an object calls itself; parts that it does not say are empty.
#[must_use]
pub fn object_ref(object: &Tree) -> ObjectRef {
    let text = |path: &[&str]| object.at(path).and_then(Tree::text).unwrap_or("").to_owned();
    let mut name = text(&["metadata", "name"]);
    if name.is_empty() {
        let generated = text(&["metadata", "generateName"]);
        if !generated.is_empty() {
            name = format!("{generated}*");
        }
    }
    ObjectRef {
        api_version: text(&["apiVersion"]),
        kind: text(&["kind"]),
        namespace: text(&["metadata", "namespace"]),
        name,
    }
}
