//! Every recorded reply goes through the `decode` of its source: `NAME.input.txt` in, `NAME.output.txt` out.
//!
//! Files are found by name; `UPDATE_GOLDEN=1` rewrites the outputs (then read the diff).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by failing")]

use clockwarden::agent::sources::{chrony, kernel, ntpd_rs, ptp, sntp, timesyncd};
use clockwarden::clock::{Boot, Mono, Raw, Sample, Wall};
use clockwarden::sys::{PtpTime, Timex};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sequence number that the recorded chronyd answers carry.
const SEQUENCE: u32 = 0x00c1_0c4a;
/// The cookie that the recorded NTP answers carry.
const COOKIE: u64 = 0xc10c_4a11_dead_beef;

/// Calls `render` for each input of a source and compares with the output; says all that differ at once.
fn check(source: &str, at_least: usize, render: impl Fn(&str, &str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources").join(source);
    let mut inputs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".input.txt"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= at_least, "only {} inputs in {}", inputs.len(), folder.display());
    let rewrite = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = String::new();
    for input in inputs {
        let text = std::fs::read_to_string(&input).unwrap();
        let name = input.file_name().unwrap().to_string_lossy().replace(".input.txt", "");
        let output = input.with_file_name(format!("{name}.output.txt"));
        let got = render(&name, &text);
        if rewrite {
            std::fs::write(&output, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&output).unwrap_or_default();
        if got != expected {
            writeln!(differences, "--- {source}/{name}\nexpected:\n{expected}got:\n{got}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = lines(text).collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn chronyd_replies() {
    check("chrony", 26, |name, text| match name.split_once('-').map(|(question, _)| question) {
        Some("count") => match chrony::decode_count(&bytes(text), SEQUENCE) {
            Err(error) => format!("error: {error}\n"),
            Ok(count) => format!("sources: {count}\n"),
        },
        Some("source") => match chrony::decode_source(&bytes(text), SEQUENCE) {
            Err(error) => format!("error: {error}\n"),
            Ok(source) => format!("{source:#?}\n"),
        },
        _ => tracking(text),
    });
}

fn tracking(text: &str) -> String {
    match chrony::decode(&bytes(text), SEQUENCE) {
        Err(error) => format!("error: {error}\n"),
        Ok(reply) => {
            let evidence = match reply.interval(Duration::from_secs(2)) {
                Ok(interval) => format!("offset: {interval}"),
                Err(because) => format!("no evidence: {because}"),
            };
            format!(
                "reference: {}\nstratum: {}, leap: {}\ncorrection: {:.9} s\nroot delay: {:.9} s\nroot dispersion: \
                 {:.9} s\n{evidence}\n",
                reply.reference(),
                reply.stratum,
                reply.leap,
                reply.correction_s,
                reply.root_delay_s,
                reply.root_dispersion_s
            )
        }
    }
}

#[test]
fn ntp_replies() {
    check("sntp", 15, |name, text| {
        // The recordings are from this second; our clock shows it, 250 us after the answer left the server.
        let recorded: i64 = 1_795_269_735_161_500_000;
        let era: i64 = if name == "next-era" { 4_294_967_296_000_000_000 } else { 0 };
        let (sent, after) = (Mono::from_nanos(1_000_000), Mono::from_nanos(1_500_000));
        let wall = Wall::from_unix_nanos(recorded + era);
        let clocks = Sample { before: after, wall, boot: Boot::from_nanos(0), raw: Raw::from_nanos(0), after };
        match sntp::decode(&bytes(text), COOKIE, wall) {
            Err(error) => format!("error: {error}\n"),
            Ok(reply) => format!(
                "reference: {}\nleft: {}\nown error: {:?}\noffset: {}\n",
                reply.reference(),
                clockwarden::runtime::rfc3339(reply.left),
                reply.error(),
                sntp::interval(&reply, sent, &clocks).unwrap()
            ),
        }
    });
}

#[test]
fn kernel_replies() {
    check("kernel", 8, |_, text| {
        let fields: HashMap<&str, i64> = lines(text)
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap();
                let value = value.trim();
                let number = match value.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16).unwrap(),
                    None => value.parse().unwrap(),
                };
                (name.trim(), number)
            })
            .collect();
        let small = |name: &str| i32::try_from(fields[name]).unwrap();
        let timex = Timex {
            state: small("state"),
            status: small("status"),
            offset: fields["offset"],
            frequency: fields["frequency"],
            max_error_us: fields["maxerror"],
            est_error_us: fields["esterror"],
            time_s: fields["time_s"],
            time_fraction: fields["time_fraction"],
            tick_us: 10_000,
            tai: small("tai"),
        };
        match kernel::decode(&timex) {
            Err(error) => format!("error: {error}\n"),
            Ok(reply) => format!(
                "kernel's clock: {}\npending: {}\nmaxerror: {:?}, assumed: {:?}\nleap: {}\noffset: {}\n",
                clockwarden::runtime::rfc3339(reply.wall),
                reply.pending,
                reply.error_max,
                reply.error_assumed,
                reply.leap.as_str(),
                reply.interval()
            ),
        }
    });
}

#[test]
fn ntpd_rs_documents() {
    check("ntpd-rs", 6, |_, text| {
        let document: String = lines(text).collect();
        match ntpd_rs::decode(document.as_bytes()) {
            Err(error) => format!("error: {}\n", clockwarden::telemetry::chain(&error)),
            Ok(reply) => {
                let detail = serde_json::to_string_pretty(&reply.detail).unwrap();
                format!("offset: {}\n{detail}\n", reply.interval)
            }
        }
    });
}

#[test]
fn ptp_readings() {
    let time = |word: &str| {
        let (seconds, nanos) = word.split_once('.').unwrap();
        PtpTime { seconds: seconds.parse().unwrap(), nanos: nanos.parse().unwrap() }
    };
    check("ptp", 7, |_, text| {
        let line: String = lines(text).collect();
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap();
        let times: Vec<PtpTime> = words.map(time).collect();
        let reading = match kind {
            "precise" => ptp::Reading::Precise { device: times[0], system: times[1] },
            "extended" => ptp::Reading::Extended(times.chunks(3).map(|c| c.try_into().unwrap()).collect()),
            _ => ptp::Reading::Interleaved(times),
        };
        match ptp::decode(&reading) {
            Err(error) => format!("error: {error}\n"),
            Ok(interval) => format!("offset: {interval}\n"),
        }
    });
}

#[test]
fn timesyncd_updates() {
    check("timesyncd", 4, |_, text| {
        let seconds: HashMap<&str, i64> = lines(text)
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, seconds)| (name, seconds.parse().unwrap()))
            .collect();
        let at = |name: &str| Wall::from_unix_nanos(seconds[name] * 1_000_000_000);
        let update = timesyncd::decode(at("touched"), at("now"));
        format!("{update:?}\n{}\n", update.words())
    });
}
