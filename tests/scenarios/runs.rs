//! All scenarios, run once by as many threads as there are processors, and the document that shows them.
//!
//! Shared with `examples/scenarios/main.rs`, which prints and writes what is compared here.

use clockwarden::simulation::{Scenario, Score, run, scenarios};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The seed of the table.
pub(crate) const SEED: u64 = 1;

/// The seed that was asked for: `SEED=7`.
pub(crate) fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

/// Every scenario with its score, in the order of the catalogue.
pub(crate) fn all() -> &'static [(Scenario, Score)] {
    static RUNS: OnceLock<Vec<(Scenario, Score)>> = OnceLock::new();
    RUNS.get_or_init(|| {
        let (scenarios, next, seed) = (scenarios(), AtomicUsize::new(0), seed());
        let work = || {
            let mut done = Vec::new();
            while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((scenario.clone(), run(scenario, seed)));
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut runs: Vec<(Scenario, Score)> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        });
        let place = |name: &str| scenarios.iter().position(|scenario| scenario.name == name);
        runs.sort_by_key(|(scenario, _)| place(scenario.name));
        assert_eq!(runs.len(), scenarios.len(), "a run did not end");
        runs
    })
}

/// docs/scenarios.md, and the part of it that is generated.
pub(crate) mod document {
    use std::path::PathBuf;

    /// Before it.
    pub(crate) const BEGIN: &str = "<!-- Written by `make scenarios`. Begin. -->\n";
    /// After it.
    pub(crate) const END: &str = "<!-- End. -->\n";

    /// Where it is.
    pub(crate) fn path() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "docs", "scenarios.md"].iter().collect()
    }

    /// As it is.
    pub(crate) fn read() -> String {
        std::fs::read_to_string(path()).unwrap_or_default()
    }

    /// The generated part.
    pub(crate) fn between(text: &str) -> Option<&str> {
        Some(text.split_once(BEGIN)?.1.split_once(END)?.0)
    }
}
