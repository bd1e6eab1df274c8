//! How much of an untrusted document is looked at.
//!
//! Any tenant can write a ConfigMap, so whatever reads one is bounded in size, depth and number. The defaults are
//! far beyond real files (a realm export of some MB, 20 levels deep) and far below what hurts. What a limit cuts
//! off becomes a note that names the limit; it is never silent and never a refusal.

/// The bounds of one inspection. All are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one document; a ConfigMap holds 1 MiB at most, a file on disk may be larger.
    pub bytes: usize,
    /// Nesting of maps and lists, embedded documents counted from their own root.
    pub depth: usize,
    /// Maps, lists and leaves of one inspection, embedded documents and expanded aliases included.
    pub nodes: usize,
    /// Nodes that YAML aliases and merges may add on top of what is written.
    pub expanded: usize,
    /// Documents in one file (YAML) or items of one `kind: List`.
    pub documents: usize,
    /// Documents inside documents (JSON in YAML in a ConfigMap in a file).
    pub embedded: usize,
    /// Findings of one inspection.
    pub settings: usize,
    /// The entries of Secrets too. What is told of them shows no value.
    pub secrets: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 16 << 20,
            depth: 100,
            nodes: 1_000_000,
            expanded: 100_000,
            documents: 10_000,
            embedded: 4,
            settings: 1_000,
            secrets: false,
        }
    }
}
