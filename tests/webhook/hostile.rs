//! Reviews made to do harm, posted to the program itself: each is answered as it has to be, those of honest clients
//! beside them too, and after thousands the process is no larger than after the first hundreds.
//!
//! `make hostile REVIEWS=100000` is the long form, with everything as large as an API server lets it be, on the program
//! that `CLOCKWARDEN_HOSTILE_BINARY` names; KIND='near misses' posts only those whose name begins so. Times are printed and
//! never judged; memory is.

mod inputs;
mod near;

use crate::support::{config_map, review};
use crate::tls::{Certificate, connect, http1};
use axum::body::Bytes;
use clockwarden::runtime::mono_now;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use inputs::{Expected, Hostile, Measure};
use rustls::version::TLS13;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// An answer that takes longer is a hang. Twelve times what an API server waits: this is a build that is not optimised,
/// beside other tests.
const HANG: Duration = Duration::from_secs(120);
/// What /proc calls it.
const RESIDENT: &str = "VmRSS:";
/// Who posts hostile reviews, each on a connection that is kept.
const CONNECTIONS: usize = 4;
/// In the long form so many of each are posted one after the other: enough for a p99.
const IN_TURN: u32 = 200;
/// Between a tenth of the reviews and all of them, a process may grow by this much, in kB: what is free between what is
/// used comes to some 10 MiB when large and small take turns. Fourteen kilobytes that are lost with each review show in
/// the short form, 300 bytes in the long one.
const GROWTH_MAX_KB: u64 = 24 << 10;
/// Of the container in deploy/install.yaml, in kB: whoever is beyond it is killed.
const LIMIT_KB: u64 = 256 << 10;

/// `clockwarden webhook`, which ends with this value.
struct Program {
    process: Child,
    port: u16,
    certificate: Certificate,
    _folder: tempfile::TempDir,
}

impl Program {
    fn start() -> Program {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::new();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let program = std::env::var_os("CLOCKWARDEN_HOSTILE_BINARY");
        let mut process = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_clockwarden").into()))
            .args(["webhook", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(["--policy-file", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policy.yaml"), "--tls-cert"])
            .arg(write("tls.crt", &certificate.pem))
            .arg("--tls-key")
            .arg(write("tls.key", &certificate.key))
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let from = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "the webhook ended: {said}");
            let line = &said[from..];
            let Some((_, address)) = line.split_once("listen=127.0.0.1:") else { continue };
            break address.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        };
        // Every refusal is logged: a pipe that nobody reads would hold the webhook up.
        std::thread::spawn(move || log.lines().for_each(drop));
        Program { process, port, certificate, _folder: folder }
    }

    /// A line of proc_pid_status(5), in kB: what is resident now, or was at most.
    fn memory_kb(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{status}"));
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// CPU time of all its threads so far.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        // One may have ended since it was listed.
        let of_each =
            threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("schedstat")).ok());
        Duration::from_nanos(of_each.map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
    }

    /// What glibc has set aside for heaps of single threads: 64 MiB each, of which the greater part is not in use and cannot
    /// be accessed. Guard pages and the ends of libraries are smaller.
    ///
    /// Source: `HEAP_MAX_SIZE` in malloc/arena.c of glibc; proc_pid_maps(5).
    fn heaps_of_threads(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.process.id())).unwrap();
        let is_set_aside = |line: &&str| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            rest.starts_with("---p 00000000 00:00 0 ") && end - start > 16 << 20
        };
        maps.lines().filter(is_set_aside).count()
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        http1(connect(self.port, &self.certificate.der, &TLS13, &[]).await.unwrap()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is ours; it may have ended by itself, which the test says then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Posts it, holds the answer against what it has to be, and tells how long that took.
async fn check(sender: &mut SendRequest<Full<Bytes>>, name: &str, body: &Bytes, expected: Expected) -> Duration {
    let posted = hyper::Request::post("/validate?timeout=10s")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.clone()))
        .unwrap();
    let began = mono_now();
    let answering = async {
        sender.ready().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let response = sender.send_request(posted).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    let answered = tokio::time::timeout(HANG, answering).await;
    let took = mono_now().since(began);
    let (status, answer) = answered.unwrap_or_else(|_| panic!("{name}: no answer after {HANG:?}"));
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{name}: {status}: {error}"));
    let got = match (status, answer["response"]["allowed"].as_bool()) {
        (200, Some(true)) => Expected::Allowed,
        (200, Some(false)) => Expected::Refused,
        (400, None) => Expected::BadRequest,
        _ => panic!("{name}: {status}: {answer}"),
    };
    assert_eq!(got, expected, "{name}: {answer}");
    took
}

/// In milliseconds.
struct Took {
    median: f64,
    p99: f64,
    most: f64,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", self.median, self.p99, self.most)
    }
}

fn took(times: &mut [Duration]) -> Took {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Took { median: at(0.5), p99: at(0.99), most: at(1.0) }
}

/// Someone who means it: one review that is let in and one that is not, in turn, as long as it lasts.
async fn honest(program: &Program, is_over: &AtomicBool) -> Vec<Duration> {
    let of = |value: &str| {
        let data = json!({"a.properties": format!("jwt.leeway.seconds={value}\n")});
        Bytes::from(review("CREATE", config_map(data), Value::Null).to_string())
    };
    let both = [(of("30"), Expected::Allowed), (of("0"), Expected::Refused)];
    let mut sender = program.connect().await;
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) || times.len() < 20 {
        let (body, expected) = &both[times.len() % 2];
        times.push(check(&mut sender, "an honest review", body, *expected).await);
        // Twenty a second or so, or they would be the load.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
}

/// All kinds, or those whose name begins as the variable KIND says.
fn wanted(measure: Measure) -> Vec<Hostile> {
    let kind = std::env::var("KIND").unwrap_or_default();
    let mut all = inputs::all(measure);
    all.retain(|hostile| hostile.name.starts_with(&kind));
    assert!(!all.is_empty(), "KIND={kind}: there is none");
    all
}

/// One after the other, each so many times: what it costs, and how long it takes when nothing else is asked but by honest
/// clients. CPU time is told on a busy machine too.
async fn in_turn(program: &Program, measure: Measure, times: u32) {
    let mut sender = program.connect().await;
    for Hostile { name, body, expected } in wanted(measure) {
        let before = program.cpu();
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(check(&mut sender, name, &body, expected).await);
        }
        let spent = program.cpu().saturating_sub(before) / times;
        println!("| {name} | {} KiB | {spent:.1?} of CPU time | {} |", body.len() >> 10, took(&mut all));
    }
}

/// Posts these over and over until there have been so many; which it was, and how long each took. Nothing is under way
/// when this returns, so that what is resident then is what is left.
async fn storm(program: &Arc<Program>, all: &Arc<Vec<Hostile>>, reviews: Range<usize>) -> Vec<(usize, Duration)> {
    let next = Arc::new(AtomicUsize::new(reviews.start));
    let mut posting = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (program, all, next, end) = (Arc::clone(program), Arc::clone(all), Arc::clone(&next), reviews.end);
        posting.spawn(async move {
            let (mut sender, mut times) = (program.connect().await, Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return times;
                }
                let which = number % all.len();
                let Hostile { name, body, expected } = &all[which];
                times.push((which, check(&mut sender, name, body, *expected).await));
            }
        });
    }
    let times = posting.join_all().await.into_iter().flatten().collect();
    println!("after {} hostile reviews: {} kB resident", reviews.end, program.memory_kb(RESIDENT));
    times
}

fn table(names: &[&str], times: &[(usize, Duration)]) {
    for (which, name) in names.iter().enumerate() {
        let of_kind = times.iter().filter(|(kind, _)| *kind == which).map(|(_, took)| *took);
        let mut of_kind: Vec<Duration> = of_kind.collect();
        if !of_kind.is_empty() {
            println!("| {name} | {} |", took(&mut of_kind));
        }
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_reviews_are_answered_and_leave_no_memory_behind() {
    let long = number("REVIEWS");
    let program = Arc::new(Program::start());
    println!("before the first review: {} kB resident", program.memory_kb(RESIDENT));
    let is_over = Arc::new(AtomicBool::new(false));
    let honest = tokio::spawn({
        let (program, is_over) = (Arc::clone(&program), Arc::clone(&is_over));
        async move { honest(&program, &is_over).await }
    });
    let all = Arc::new(wanted(if long.is_some() { Measure::MOST } else { Measure::SMALL }));
    let names: Vec<&str> = all.iter().map(|hostile| hostile.name).collect();
    let reviews = long.unwrap_or(2_000);
    let mut times = storm(&program, &all, 0..reviews / 10).await;
    let early = program.memory_kb(RESIDENT);
    times.extend(storm(&program, &all, reviews / 10..reviews / 2).await);
    times.extend(storm(&program, &all, reviews / 2..reviews).await);
    let late = program.memory_kb(RESIDENT);
    // Large ones last in the short form: what they take would hide what the small ones leave behind.
    let (measure, each) = if long.is_some() { (Measure::MOST, IN_TURN) } else { (Measure::LARGE, 1) };
    in_turn(&program, measure, each).await;
    is_over.store(true, Ordering::Relaxed);
    let mut honest = honest.await.unwrap();
    table(&names, &times);
    let mut every: Vec<Duration> = times.iter().map(|(_, took)| *took).collect();
    println!("{} hostile reviews on {CONNECTIONS} connections: {}", every.len(), took(&mut every));
    println!("{} honest ones beside them: {}", honest.len(), took(&mut honest));
    let most = program.memory_kb("VmHWM:");
    println!("{early} kB resident after a tenth, {late} kB after all, {most} kB at most");
    assert!(late <= early + GROWTH_MAX_KB, "{early} kB after a tenth of the reviews, {late} kB after all");
    assert_eq!(program.heaps_of_threads(), 0, "heaps of single threads, which grow one beside the other");
    assert!(most <= LIMIT_KB, "{most} kB at most, and the container may have {LIMIT_KB}");
}
