//! The figures as a table: a row for each thing that was measured, a column for each number of nodes.

use crate::gauge::{Counts, Used};
use crate::trial::{Drift, Figures, Rounds, Start};

/// Markdown.
pub(crate) fn markdown(all: &[Figures]) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Figures) -> String| {
        rows.push((name.to_owned(), all.iter().map(cell).collect()));
    };
    row("heartbeats of kubelets per second (failed)", &|it| {
        format!("{:.0} ({})", it.heartbeats_per_second, it.heartbeats_failed)
    });
    row("first start: all nodes known", &|it| seconds(it.first_start.known_seconds));
    row("first start: all told to the API server", &|it| seconds(it.first_start.told_seconds));
    row("first start: CPU; API server's", &|it| start_cpu(&it.first_start));
    row("first start: peak memory", &|it| mib(it.first_start.peak_mib));
    row("restart: all nodes known", &|it| seconds(it.restart.known_seconds));
    row("restart: CPU; API server's", &|it| start_cpu(&it.restart));
    row("restart: memory, peak", &|it| format!("{}, {}", mib(it.restart.resident_mib), mib(it.restart.peak_mib)));
    row("restart: writes, lease apart", &|it| writes(&it.restart.requests).to_string());
    row("rest: cores; API server's", &|it| {
        format!("{:.3}; {:.2}", it.rest.controller.cores(), it.rest.api_server.cores())
    });
    row("rest: memory, peak", &|it| format!("{}, {}", mib(it.rest.resident_mib), mib(it.rest.peak_mib)));
    row("rest: writes, lease apart", &|it| writes(&it.rest.requests).to_string());
    row("rest: requests per minute", &|it| per_minute(&it.rest.requests, it.rest.controller));
    let step =
        |pick: &dyn Fn(&Rounds) -> [f64; 3], it: &Figures| it.step.as_ref().map_or("-".to_owned(), |s| ms(pick(s)));
    row("step to taint: median, p99, greatest", &|it| step(&|s| s.step_ms, it));
    row("evidence to taint", &|it| step(&|s| s.evidence_ms, it));
    row("recovery to no taint", &|it| step(&|s| s.recovery_ms, it));
    for index in 0..all.iter().map(|it| it.drift.len()).max().unwrap_or(0) {
        let drift = |pick: &dyn Fn(&Drift) -> String, it: &Figures| it.drift.get(index).map_or("-".to_owned(), pick);
        let percent = all.first().and_then(|it| it.drift.get(index)).map_or(0, |it| it.percent);
        let name = |what: &str| format!("{percent}% drift at once: {what}");
        row(&name("drifted; tainted; most ever; limit"), &|it| {
            drift(&|d| format!("{}; {}; {}; {}", d.drifted, d.tainted, d.most, d.limit), it)
        });
        row(&name("until all tainted"), &|it| drift(&|d| seconds(d.tainted_seconds), it));
        row(&name("until all gone"), &|it| drift(&|d| seconds(d.recovered_seconds), it));
        row(&name("API server CPU per taint"), &|it| {
            drift(&|d| format!("{:.1} ms", d.api_server_cpu_per_taint_ms), it)
        });
        row(&name("peak memory"), &|it| drift(&|d| mib(d.peak_mib), it));
    }
    row("bytes of a Node, a NodeClock, a report", &|it| {
        format!("{}, {}, {}", it.node_bytes, it.node_clock_bytes, it.report_bytes)
    });
    let mut text = String::from("\n| nodes |");
    all.iter().for_each(|it| text.push_str(&format!(" {} |", it.nodes)));
    text.push_str("\n|---|");
    all.iter().for_each(|_| text.push_str("---|"));
    for (name, cells) in rows {
        text.push_str(&format!("\n| {name} | {} |", cells.join(" | ")));
    }
    text.push('\n');
    text
}

fn seconds(s: f64) -> String {
    format!("{s:.1} s")
}

fn mib(mib: f64) -> String {
    format!("{mib:.0} MiB")
}

fn ms(values: [f64; 3]) -> String {
    let [median, p99, greatest] = values.map(|it| format!("{it:.0}"));
    format!("{median}, {p99}, {greatest} ms")
}

fn start_cpu(start: &Start) -> String {
    format!("{:.1} s; {:.1} s", start.controller.cpu_seconds, start.api_server.cpu_seconds)
}

fn writes(counts: &Counts) -> u64 {
    let is_write = |kind: &str| !["get ", "list ", "watch "].iter().any(|read| kind.starts_with(read));
    let others = counts.iter().filter(|(kind, _)| is_write(kind) && !kind.ends_with(" leases"));
    others.map(|(_, count)| count).sum()
}

fn per_minute(counts: &Counts, used: Used) -> String {
    let minutes = used.seconds / 60.0;
    let each = counts.iter().map(|(kind, count)| format!("{:.1} {kind}", *count as f64 / minutes));
    each.collect::<Vec<_>>().join(", ")
}
