//! A short run of every fuzz target, without a fuzzer: its seeds, and a few thousand inputs made from them.
//!
//! `make fuzz` looks for longer and is guided by coverage; this one needs no other compiler, is the same every time, and
//! keeps the targets building. `SEED=…` chooses other inputs, `ROUNDS=…` more of them. Does not know: what is checked;
//! that is `fuzz/checks/`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what it cannot read is its failure")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/checks/agent_report.rs"]
mod agent_report;
#[path = "../fuzz/checks/audit_page.rs"]
mod audit_page;
#[path = "../fuzz/checks/chrony_reply.rs"]
mod chrony_reply;
#[path = "../fuzz/checks/exemption.rs"]
mod exemption;
#[path = "../fuzz/checks/exposition.rs"]
mod exposition;
#[path = "../fuzz/checks/formats.rs"]
mod formats;
#[path = "../fuzz/checks/history_file.rs"]
mod history_file;
#[path = "../fuzz/checks/http_reply.rs"]
mod http_reply;
#[path = "../fuzz/checks/ntpd_rs_document.rs"]
mod ntpd_rs_document;
#[path = "../fuzz/checks/objects.rs"]
mod objects;
#[path = "../fuzz/checks/prometheus.rs"]
mod prometheus;
#[path = "../fuzz/checks/review.rs"]
mod review;
#[path = "../fuzz/checks/sntp_packet.rs"]
mod sntp_packet;
#[path = "../fuzz/checks/together.rs"]
mod together;

/// Name, check, how many inputs, where seeds lie besides `fuzz/seeds/NAME`.
type Target = (&'static str, fn(&[u8]), usize, &'static [&'static str]);

const TARGETS: &[Target] = &[
    ("agent_report", agent_report::check, 5_000, &[]),
    ("audit_page", audit_page::check, 2_000, &["fuzz/seeds/objects"]),
    ("chrony_reply", chrony_reply::check, 20_000, &[]),
    ("exemption", exemption::check, 20_000, &[]),
    ("exposition", exposition::check, 3_000, &["tests/drift/node_exporter"]),
    ("formats", formats::check, 300, &["tests/formats", "tests/products"]),
    ("history_file", history_file::check, 3_000, &[]),
    ("http_reply", http_reply::check, 5_000, &[]),
    ("ntpd_rs_document", ntpd_rs_document::check, 5_000, &[]),
    ("objects", objects::check, 2_000, &[]),
    ("prometheus", prometheus::check, 5_000, &[]),
    ("review", review::check, 2_000, &[]),
    ("sntp_packet", sntp_packet::check, 20_000, &[]),
    ("together", together::check, 1_000, &[]),
];

/// Seeds and what is made from them stay below this; what they may do to memory is bounded by it too.
const INPUT_MAX: usize = 64 * 1024;
/// No target's inputs may make the process grow by more.
const GROWTH_MAX_KB: u64 = 256 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn seeds(name: &str, elsewhere: &[&str]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for folder in [&*format!("fuzz/seeds/{name}")].iter().chain(elsewhere) {
        files(&root().join(folder), &mut paths);
    }
    paths.sort();
    let mut all: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    all.retain(|seed| seed.len() <= INPUT_MAX);
    assert!(!all.is_empty(), "fuzz/seeds/{name} has no seed");
    all
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// What parsers stumble over.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"=",
    b",",
    b"#",
    b"&a",
    b"*a",
    b"---\n",
    b"-",
    b"0",
    b"-1",
    b"1e309",
    b"NaN",
    b"+Inf",
    b"9223372036854775808",
    b"0x",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\xf0\x9f\x95\xb0",
    b"'",
    b"${X}",
    b"<<:",
    b"null",
    b"true",
    b"0s",
    b"P1D",
];

fn changed(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(6) {
        let at = chance.below(input.len() + 1);
        let end = (at + 1 + chance.below(16)).min(input.len());
        match chance.below(7) {
            0 if at < input.len() => input[at] = chance.next() as u8,
            1 if at < input.len() => input[at] ^= 1 << chance.below(8),
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let again: Vec<u8> = input[at.min(end)..end].repeat(1 + chance.below(200));
                input.splice(at..at, again);
            }
            4 => input.truncate(at),
            5 => {
                let other = &seeds[chance.below(seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[chance.below(other.len() + 1)..]);
            }
            _ => drop(input.splice(at..at, TOKENS[chance.below(TOKENS.len())].iter().copied())),
        }
    }
    input.truncate(INPUT_MAX);
    input
}

/// The most memory that this process has held, in kB (proc_pid_status(5)).
fn memory_peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn no_input_breaks_a_parser() {
    let seed = number("SEED", 1);
    for (name, check, rounds, elsewhere) in TARGETS {
        let seeds = seeds(name, elsewhere);
        let before = memory_peak_kb();
        seeds.iter().for_each(|seed| check(seed));
        let mut chance = Chance(seed);
        let rounds = number("ROUNDS", *rounds as u64);
        for round in 0..rounds {
            let input = changed(&seeds, &mut chance);
            let result = std::panic::catch_unwind(|| check(&input));
            if let Err(panic) = result {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}-{round}"));
                fs::write(&kept, &input).unwrap();
                println!("fuzz: {name}, SEED={seed}, round {round}: the input is kept as {}", kept.display());
                std::panic::resume_unwind(panic);
            }
        }
        let grown = memory_peak_kb() - before;
        println!("fuzz: {name}: {} seeds, {rounds} inputs, memory peak grew by {grown} kB", seeds.len());
        assert!(grown < GROWTH_MAX_KB, "{name}: memory grew by {grown} kB");
    }
}

#[test]
fn every_target_is_run_here_and_by_the_fuzzer() {
    let listed: BTreeSet<String> = TARGETS.iter().map(|target| target.0.to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    for folder in ["fuzz/checks", "fuzz/fuzz_targets", "fuzz/seeds"] {
        assert_eq!(stems(folder), listed, "{folder}");
    }
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &listed {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
    }
}
