//! Finds clock-skew settings in any object or file and says which of them are unsafe.
//!
//! ```text
//! object or file -> Tree -> settings (surfaces, formats) -> recognised by the catalogue -> findings (rules)
//!
//! of a set of files:  takers (containers) ─┐
//!                     offers (ConfigMaps) ─┴─▶ taken: an entry once more, as the variable that a container makes of it
//! ```
//!
//! Pure: no files, no network, no current time. Input is untrusted: bounded in size, depth and number.

pub mod catalogue;
pub mod duration;
mod environment;
mod file;
pub mod finding;
mod fix;
pub mod formats;
pub mod json;
pub mod levels;
pub mod limits;
mod link;
mod lookalike;
pub mod mend;
mod mention;
mod offers;
mod place;
pub mod recognise;
pub mod rules;
mod scope;
pub mod sight;
pub mod suppression;
mod surfaces;
mod switches;
mod taken;
mod takers;
mod template;
pub mod tree;
pub mod value;
mod walk;
pub mod words;

pub use catalogue::Catalogue;
pub use file::{Eyes, FileInspection, inspect_file, supplies_in, takers_in};
pub use finding::{Finding, Note, ObjectRef, Severity, Spot, introduced};
pub use formats::Notation;
pub use levels::{Level, Levels};
pub use limits::Limits;
pub use offers::{Store, Supplier, Supply};
pub use suppression::Suppressed;
pub use surfaces::SILENT_ANNOTATIONS;
pub use taken::{Resolved, Uses};
pub use takers::{Taker, Variable};

use tree::{Path, Tree};

/// What the policy asks: the numbers that rules compare with, and how bad each rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A tolerance below this is refused where the product has a real zero. Default 1 s.
    pub skew_min: std::time::Duration,
    /// A tolerance above this is warned about; exactly this is allowed. Default 5 min.
    pub skew_max: std::time::Duration,
    /// How bad each rule is held to be.
    pub levels: Levels,
}

impl Bounds {
    /// The stricter of both in everything: the greater lower bound, the smaller upper one, the stricter levels.
    #[must_use]
    pub fn strictest(self, other: Bounds) -> Bounds {
        Bounds {
            skew_min: self.skew_min.max(other.skew_min),
            skew_max: self.skew_max.min(other.skew_max),
            levels: self.levels.strictest(other.levels),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            skew_min: std::time::Duration::from_secs(1),
            skew_max: std::time::Duration::from_secs(300),
            levels: Levels::default(),
        }
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

/// Where a tree was read, so that findings have places and fixes the right form.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// The whole text that the tree's positions are about.
    pub text: &'s str,
    /// How it is written.
    pub notation: Notation,
    /// Its name, if it has one.
    pub file: Option<&'s str>,
}

/// Looks at one Kubernetes object that nobody has seen as a file: findings have no places.
#[must_use]
pub fn inspect(object: &Tree, catalogue: &Catalogue, bounds: &Bounds, limits: &Limits) -> Inspection {
    let mut walk = walk::Walk::new(catalogue, bounds, limits);
    walk.root(&walk::review_root(), object);
    walk.done()
}

/// Looks at one document of a file: a Kubernetes object, a list of them, or plain configuration.
#[must_use]
pub fn inspect_source(
    document: &Tree,
    source: &Source<'_>,
    catalogue: &Catalogue,
    bounds: &Bounds,
    limits: &Limits,
) -> Inspection {
    let mut walk = walk::Walk::new(catalogue, bounds, limits);
    walk.root(&link::Link::root(Some(source.text), source.notation, source.file), document);
    walk.done()
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
