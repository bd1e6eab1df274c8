//! What does linting cost beside reading? 10,000 manifests, 100 MB, by `clockwarden lint` and by the same YAML parser.
//!
//! Both are processes of their own over the same files, in turn, with one thread and with two: `lint` is the program as it
//! is shipped, `parse` reads each file and lets granit-parser go through it, and does nothing with what it says. Wall
//! clock, CPU time (of /proc/self/stat, in ticks of 10 ms) and the most memory that was seen.
//!
//! `cargo bench --bench lint --profile dist [-- --files N --rounds N]`

#![expect(clippy::indexing_slicing, reason = "lists that are never empty, and numbers below their lengths")]

use anyhow::{Context, ensure};
use clockwarden::runtime::mono_now;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut files, mut rounds) = (10_000, 5);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "parse" => return parse(value().parse()?, Path::new(&value())),
            "--files" => files = value().parse()?,
            "--rounds" => rounds = value().parse()?,
            "--bench" => {}
            other => anyhow::bail!("unknown argument {other:?}; expected --files N, --rounds N"),
        }
    }
    let folder = tempfile::tempdir()?;
    let bytes = write(folder.path(), files)?;
    println!("{files} files, {:.1} MB; {rounds} rounds in turn; median (least to most)\n", bytes as f64 / 1e6);
    println!("| threads | | wall | MB/s | CPU | peak memory |\n|---|---|---|---|---|---|");
    for threads in [1, 2] {
        let mut took: [Vec<Took>; 2] = Default::default();
        for round in 0..rounds {
            for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                took[which].push(run(which == 0, threads, folder.path())?);
            }
        }
        let walls = took.each_ref().map(|rounds| spread(rounds.iter().map(|it| it.wall.as_secs_f64())));
        let cpus = took.each_ref().map(|rounds| spread(rounds.iter().map(|it| it.cpu.as_secs_f64())));
        for (which, name) in ["lint", "parse"].iter().enumerate() {
            let ([low, wall, high], cpu) = (walls[which], cpus[which][1]);
            let peak = took[which].iter().map(|it| it.peak_kb).max().unwrap_or_default() / 1024;
            let speed = bytes as f64 / 1e6 / wall;
            println!(
                "| {threads} | {name} | {wall:.2} s ({low:.2} to {high:.2}) | {speed:.0} | {cpu:.2} s | {peak} MiB |"
            );
        }
        println!(
            "| {threads} | ratio | **{:.2}** | | **{:.2}** | |",
            walls[0][1] / walls[1][1],
            cpus[0][1] / cpus[1][1]
        );
    }
    Ok(())
}

/// Least, median, most.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

struct Took {
    wall: Duration,
    cpu: Duration,
    peak_kb: u64,
}

fn run(lint: bool, threads: usize, folder: &Path) -> anyhow::Result<Took> {
    let mut command = if lint {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clockwarden"));
        command.args(["lint", "--format", "json", "--jobs", &threads.to_string()]).arg(folder);
        command
    } else {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["parse", &threads.to_string()]).arg(folder);
        command
    };
    let (before, started) = (cpu_of_children()?, mono_now());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let seen = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = seen.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak_kb = peak_kb.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = mono_now().since(started);
    // 1: the linter has found what was put there.
    ensure!(ended.code() == Some(i32::from(lint)), "{command:?} ended with {ended}");
    Ok(Took { wall, cpu: cpu_of_children()?.saturating_sub(before), peak_kb })
}

/// User and system time of the children that have ended: fields 16 and 17 of proc_pid_stat(5), in ticks of 10 ms.
fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no end of the name")?;
    let ticks: u64 = fields.split(' ').skip(13).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Reads every file and parses it, on so many threads.
fn parse(threads: usize, folder: &Path) -> anyhow::Result<()> {
    let paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let (next, events) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = std::fs::read_to_string(path).unwrap_or_default();
                    let count = granit_parser::Parser::new_from_str(&text).filter(Result::is_ok).count();
                    events.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    ensure!(events.into_inner() > paths.len() * 10, "the files were not parsed");
    Ok(())
}

/// Manifests as a repository has them; one in twenty says something about skew, one in a thousand what is to be found.
fn write(folder: &Path, files: usize) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for number in 0..files {
        let text = manifest(number);
        bytes += text.len() as u64;
        std::fs::write(folder.join(format!("app-{number:05}.yaml")), text)?;
    }
    Ok(bytes)
}

fn manifest(number: usize) -> String {
    let skew = match number {
        _ if number.is_multiple_of(1_000) => "jwt.leeway.seconds=0",
        _ if number.is_multiple_of(20) => "jwt.leeway.seconds=30",
        _ => "jwt.issuer=https://login.example.com",
    };
    let mut text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{number}\n  namespace: shop\n  labels:\n    \
         app.kubernetes.io/name: app-{number}\n    app.kubernetes.io/part-of: shop\ndata:\n  application.properties: |\n    \
         server.port=8080\n    {skew}\n"
    );
    for line in 0..60 {
        text.push_str(&format!("    service.{line}.url=https://backend-{line}.shop.svc:8443/api?retries={line}\n"));
    }
    text.push_str(&format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\n  namespace: shop\nspec:\n  \
         replicas: 3\n  selector: {{matchLabels: {{app: app-{number}}}}}\n  template:\n    metadata:\n      \
         labels: {{app: app-{number}}}\n    spec:\n      containers:\n"
    ));
    for container in 0..4 {
        text.push_str(&format!(
            "      - name: part-{container}\n        image: registry.example.com/shop/app:{number}.{container}\n        \
             args: [--listen=:80{container}0, --log-level=info]\n        env:\n"
        ));
        for variable in 0..22 {
            text.push_str(&format!("        - name: APP_SETTING_{variable}\n          value: \"{}\"\n", variable * 17));
        }
        text.push_str("        resources:\n          requests: {cpu: 100m, memory: 128Mi}\n        readinessProbe:\n          httpGet: {path: /ready, port: 8080}\n");
    }
    text
}
