//! What the controller costs, and how fast it is, with 50, 1,000 and 5,000 nodes: `make scale NODES=50,1000,5000`.
//!
//! Real etcd, API server and controller (with the role that it ships with), nodes of realistic size whose kubelets renew
//! their leases, and one process, this one, that answers as all the agents do. Prints a table, and JSON for comparison.
//! It takes two minutes and more for each size. Limits are checked (never a node too many), timings are only told.

#[path = "../../tests/support/mod.rs"]
mod support;

mod agents;
mod cluster;
mod eye;
mod gauge;
mod table;
mod trial;

use anyhow::Result;
use clap::Parser as _;
use std::process::ExitCode;
use std::time::Duration;

/// Measures the controller at the size of real clusters.
#[derive(Debug, clap::Parser)]
struct Settings {
    /// Numbers of nodes, one trial each.
    #[arg(long, value_delimiter = ',', default_value = "50,1000,5000")]
    nodes: Vec<usize>,
    /// How often the clock of one node is stepped.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// How many per cent of the nodes drift at once; the limit is 10%.
    #[arg(long, value_delimiter = ',', default_value = "10,15")]
    drift: Vec<usize>,
    /// For how long it is watched at rest.
    #[arg(long, default_value = "120s", value_parser = clockwarden::duration::parse)]
    rest: Duration,
    /// How often every kubelet renews its lease.
    #[arg(long, default_value = "10s", value_parser = clockwarden::duration::parse)]
    heartbeat: Duration,
    /// Also write the figures there, as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    match support::run(measure(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(settings: &Settings) -> Result<()> {
    let began = support::wait::mono_now();
    let mut all = Vec::new();
    for count in &settings.nodes {
        let say = |what: &str| eprintln!("scale: {:5.0} s, {count} nodes: {what}", began.elapsed().as_secs_f64());
        all.push(trial::run(settings, *count, &say).await?);
        println!("{}", table::markdown(&all));
    }
    let json = serde_json::to_string_pretty(&all)?;
    if let Some(path) = &settings.json {
        std::fs::write(path, json)?;
    }
    Ok(())
}
