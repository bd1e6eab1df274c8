//! Runs every scenario of a simulated fleet and writes the table into docs/scenarios.md: `make scenarios`.
//!
//! With SEED=7 (or any number) the runs are others, and the table is printed instead.

#[path = "../../tests/scenarios/runs.rs"]
mod runs;

use anyhow::{Context, Result};
use clockwarden::simulation::table;
use runs::{SEED, all, document, seed};

fn main() -> Result<()> {
    let table = table::markdown(all());
    if seed() != SEED {
        println!("{table}");
        return Ok(());
    }
    let path = document::path();
    let text = document::read();
    let old = document::between(&text)
        .with_context(|| format!("{} lacks the marks between which the table is written", path.display()))?;
    let marked = |part: &str| format!("{}{part}{}", document::BEGIN, document::END);
    let text = text.replacen(&marked(old), &marked(&table), 1);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("scenarios: {} runs written to docs/scenarios.md", all().len());
    Ok(())
}
