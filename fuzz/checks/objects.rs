//! A whole object as an admission review brings it, on any bytes.

use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::{Bounds, Catalogue, Limits, inspect, introduced};

/// Findings stay bounded, the prefilter hides none, and nothing is new against itself.
pub(crate) fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(object) = tree_from_json(bytes, &limits) else { return };
    let found = inspect(&object, Catalogue::builtin(), &Bounds::default(), &limits);
    assert!(found.findings.len() <= limits.settings);
    assert!(found.findings.is_empty() || Catalogue::builtin().mentions(bytes), "hidden by the prefilter");
    assert!(introduced(&found.findings, &found.findings).is_empty(), "nothing is new against itself");
}
