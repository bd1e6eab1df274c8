//! What does a review cost? CPU time of the webhook beside that of a handler that parses and admits everything.
//!
//! Two server processes of this same program, on the same TLS and HTTP stack: `ours` is the webhook with one enforcing
//! policy; `baseline` is an axum handler that parses the review as `kube` does and admits it. One client posts the
//! same ConfigMap to each in turn, over kept-alive TLS connections, in many short rounds, so that whatever else the
//! machine does meets both alike. The servers tell their own CPU time (CLOCK_PROCESS_CPUTIME_ID,
//! to the nanosecond, where /proc/PID/stat counts in 10 ms).
//!
//! `cargo bench --bench webhook --profile dist [-- --rounds N --reviews N]`

#![expect(clippy::indexing_slicing, reason = "two servers, and lists that are never empty")]

mod client;
mod objects;
mod server;
mod stages;
mod start;

use client::{Client, Round};
use std::fmt::Write as _;

const KINDS: [&str; 2] = ["ours", "baseline"];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut rounds, mut reviews) = (120, 400);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "serve" => return server::serve(&arguments.next().unwrap_or_default()),
            "--rounds" => rounds = arguments.next().unwrap_or_default().parse()?,
            "--reviews" => reviews = arguments.next().unwrap_or_default().parse()?,
            // cargo bench adds it.
            "--bench" => {}
            other => anyhow::bail!("unknown argument {other:?}; expected --rounds N, --reviews N"),
        }
    }
    // One thread: the client must not need both cores.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(rounds, reviews))
}

async fn measure(rounds: usize, reviews: usize) -> anyhow::Result<()> {
    let identity = server::Identity::new()?;
    let mut servers = Vec::new();
    for kind in KINDS {
        servers.push(server::Child::start(kind, &identity)?);
    }
    println!("{rounds} rounds of {reviews} reviews each, in turn; CPU time of the server process per review\n");
    println!(
        "| object | connections | ours median / p99 | baseline median / p99 | ratio median / p99 | ours latency \
         median / p99 | baseline latency median / p99 |\n|---|---|---|---|---|---|---|"
    );
    for object in objects::all() {
        let reviews = (reviews / object.fewer).max(4);
        for &connections in object.connections {
            let mut clients = Vec::new();
            for server in &servers {
                clients.push(Client::connect(server.port, &identity, connections).await?);
            }
            let mut measured: [Vec<Round>; 2] = Default::default();
            for round in 0..rounds.saturating_add(WARM_UP) {
                // Who goes first changes, so that neither always finds the caches warm.
                let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
                for which in order {
                    let expected = object.admitted || KINDS[which] == "baseline";
                    let took = clients[which].round(&mut servers[which], &object.review, reviews, expected).await?;
                    if round >= WARM_UP {
                        measured[which].push(took);
                    }
                }
            }
            println!("{}", line(&object.name, connections, &mut measured));
        }
    }
    println!(
        "\n| µs in process | read review | search | parse object | inspect | judge, all of it |\n|---|---|---|---|---|---|"
    );
    for object in objects::all() {
        println!("{}", stages::line(&object)?);
    }
    println!();
    for (kind, server) in KINDS.iter().zip(&servers) {
        println!("{kind}: {} resident at the end, {} at most", server.memory("VmRSS:")?, server.memory("VmHWM:")?);
    }
    let mut started = Vec::new();
    for _ in 0..STARTS {
        started.push(start::until_ready(&identity).await?.as_secs_f64() * 1e3);
    }
    let (median, most) = quantiles(started);
    println!("clockwarden webhook: start to ready {median:.0} ms (median of {STARTS}), {most:.0} ms at most");
    Ok(())
}

const WARM_UP: usize = 10;
/// Starts of the program.
const STARTS: usize = 20;

fn line(object: &str, connections: usize, measured: &mut [Vec<Round>; 2]) -> String {
    let mut out = format!("| {object} | {connections} ");
    let cpu = measured.each_ref().map(|rounds| quantiles(rounds.iter().map(|round| round.cpu_us).collect()));
    for (median, p99) in cpu {
        let _ = write!(out, "| {median:.1} / {p99:.1} µs ");
    }
    let _ = write!(out, "| **{:.2}** / {:.2} ", cpu[0].0 / cpu[1].0, cpu[0].1 / cpu[1].1);
    for rounds in measured {
        let (median, p99) = quantiles(rounds.iter().flat_map(|round| round.latency_us.iter().copied()).collect());
        let _ = write!(out, "| {median:.0} / {p99:.0} µs ");
    }
    out + "|"
}

/// Median and 99th percentile.
fn quantiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    (at(0.5), at(0.99))
}
