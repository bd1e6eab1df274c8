//! The background audit: finds what was admitted before the webhook came, or while it was away.
//!
//! ```text
//! policies, namespaces ─▶ known ─┐
//! catalogue, discovery ─▶ targets ─▶ a page at a time ─▶ sheet (judged) ─▶ tally ─┬─▶ metrics
//!                                                                                 └─▶ PolicyReports, if their CRD is there
//! ```
//!
//! It judges as the webhook does: the same kinds (the catalogue's list), the same policies with their modes, bounds and
//! levels, the same namespaces left out, no Secrets, no suppressions by annotation, and nothing of what a built-in
//! controller made from an object that is judged itself, so that a mended Deployment is mended although its old
//! ReplicaSets are kept. It refuses nothing and changes no object.
//!
//! Gentle: only the leader, one request at a time, at most [`PACE`] objects in a second. Lists are read from etcd in pages
//! (`limit`, no `resourceVersion`): with `resourceVersion=0` an API server may ignore the limit and send everything at
//! once, and a watch would keep it all in memory. What is in memory is one page, counts, and a bounded number of
//! findings. A page that is too large is asked for again in halves. A continuation that has expired (etcd is compacted
//! every five minutes) goes on from the same key with newer data, which does for an audit.
//!
//! An audit that could not read everything changes nothing that was told before: no evidence is not "nothing found". A
//! kind that is not installed or may not be read is left out, and that is said once.
//!
//! Pure, a value in and a value out: `targets`, `sheet`, `tally`, `report`. The edges: `cluster` (reads), `rounds` (when),
//! and the controller's `client` (writes). Sources: Kubernetes API concepts, "Retrieving large results sets in chunks";
//! `wgpolicyk8s.io/v1alpha2`, <https://github.com/kubernetes-sigs/wg-policy-prototypes/tree/master/policy-report>.

pub mod cluster;
pub mod figures;
pub mod period;
pub mod report;
pub mod rounds;
pub mod sheet;
pub mod tally;
pub mod targets;

pub use figures::Figures;
pub use period::Period;
pub use rounds::Rounds;

/// Objects looked at in a second, at most.
pub const PACE: u32 = 200;
