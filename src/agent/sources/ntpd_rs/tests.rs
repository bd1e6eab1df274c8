use super::*;
use proptest::prelude::*;
use std::io::Write as _;
use std::os::unix::net::UnixListener;

/// A synchronised daemon with sources at these offsets (seconds, of the source), each sure to 1 ms and `age_s` old.
fn document(offsets: &[f64], age_s: f64) -> String {
    let now: u64 = 17_198_204_933_275_003_335;
    let last = now.wrapping_sub((age_s * 2f64.powi(32)) as i64 as u64);
    let source = |offset: &f64| {
        format!(
            r#"{{"offset":{offset},"uncertainty":0.0001,"delay":0.0006,"remote_delay":0.0002,"remote_uncertainty":0.0002,
            "last_update":{{"timestamp":{last}}},"unanswered_polls":0,"future":[1]}}"#
        )
    };
    let sources: Vec<String> = offsets.iter().map(source).collect();
    format!(
        r#"{{"program":{{"now":{{"timestamp":{now}}}}},"system":{{"stratum":3,"reference_id":167772161,
        "leap_indicator":"NoWarning"}},"sources":[{}],"servers":[]}}"#,
        sources.join(",")
    )
}

/// What follows from such a document: offset in ms and bound in us, or the error.
fn check(document: &str, expected: Result<(i64, u128), &str>) {
    match (decode(document.as_bytes()), expected) {
        (Ok(reply), Ok((offset_ms, bound_us))) => {
            let (offset, bound) = (reply.interval.midpoint().nanos() / 1_000_000, reply.interval.bound().as_micros());
            assert_eq!((offset, bound), (offset_ms, bound_us), "{document}");
        }
        (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
        (got, expected) => panic!("{got:?}, not {expected:?}, of {document}"),
    }
}

#[test]
fn the_sign_is_ours_and_the_bound_grows_with_the_age_of_the_estimate() {
    // 300 us of way, 100 us of the source's, 200 us of its uncertainty, four times 100 us of deviation.
    check(&document(&[2.0], 0.0), Ok((-2_000, 1_000)));
    check(&document(&[-2.0], 0.0), Ok((2_000, 1_000)));
    // 500 ppm of 1000 s.
    check(&document(&[2.0], 1_000.0), Ok((-2_000, 501_000)));
}

#[test]
fn a_majority_of_its_sources_is_its_word_and_without_one_it_has_none() {
    check(&document(&[2.0, 0.0, 0.0], 0.0), Ok((0, 1_000)));
    check(&document(&[0.0, 2.0, 2.0], 0.0), Ok((-2_000, 1_000)));
    check(&document(&[0.0, 2.0], 0.0), Err("no majority of the 2 sources"));
    check(&document(&[0.0, 2.0, 4.0], 0.0), Err("no majority of the 3 sources"));
    check(&document(&[], 0.0), Err("none of the 0 sources of ntpd-rs answers"));
    let silent = document(&[2.0], 0.0).replace("\"unanswered_polls\":0", "\"unanswered_polls\":8");
    check(&silent, Err("none of the 1 sources of ntpd-rs answers"));
}

#[test]
fn estimates_from_before_or_after_their_time_are_left_out() {
    // The clock was set: what was learnt before lies in the future, or ages ago.
    check(&document(&[2.0], -5.0), Err("no majority"));
    check(&document(&[2.0], 5_000.0), Err("no majority"));
    let undated = document(&[2.0], 0.0).replace("\"now\"", "\"then\"");
    check(&undated, Err("does not tell its own time"));
}

#[test]
fn a_daemon_that_is_not_synchronised_is_no_evidence_whatever_its_sources_say() {
    for (from, to) in [
        ("NoWarning", "Unknown"),
        ("NoWarning", "Unsynchronized"),
        ("NoWarning", "SomethingNew"),
        ("\"stratum\":3", "\"stratum\":16"),
        ("\"stratum\":3", "\"stratum\":0"),
    ] {
        check(&document(&[0.0], 0.0).replace(from, to), Err("not synchronised to anything (1 of 1 sources answer)"));
    }
    for nonsense in ["", "{}", "[]", "null", "{\"system\":{}}", "HTTP/1.1 400"] {
        check(nonsense, Err("not the document of ntpd-rs"));
    }
}

#[test]
fn numbers_that_cannot_be_are_left_out() {
    check(&document(&[0.0, 1e300], 0.0), Err("no majority"));
    for (from, to) in [("0.0001", "-1.0"), ("\"delay\":0.0006", "\"delay\":-0.1"), ("0.0002", "1e999")] {
        assert!(decode(document(&[0.0], 0.0).replace(from, to).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn what_is_on_the_socket_is_told_apart_and_nothing_keeps_us_waiting() {
    let folder = tempfile::TempDir::new().unwrap();
    let good = document(&[0.0], 1.0);
    let framed = |length: u64, body: &[u8]| [&length.to_be_bytes()[..], body].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("good", Some(framed(good.len() as u64, good.as_bytes())), ""),
        ("short", Some(framed(good.len() as u64 + 1, good.as_bytes())), "could not be asked"),
        ("long", Some(framed(1 << 40, b"{")), "claims 1099511627776 bytes"),
        ("other", Some(framed(2, b"[]")), "not the document of ntpd-rs"),
        ("nothing", Some(vec![]), "could not be asked"),
        ("silent", None, "did not answer within 1s"),
    ];
    for (name, answer, says) in cases {
        let path = folder.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            match answer {
                Some(bytes) => stream.write_all(&bytes).unwrap(),
                // Until the other side has had enough.
                None => drop(std::io::Read::read(&mut stream, &mut [0])),
            }
        });
        let mut source = NtpdRs { path, named: false, spacing: CALM, detail: None };
        let outcome = runtime.block_on(source.poll());
        served.join().unwrap();
        match outcome {
            Outcome::Measured(_) => assert_eq!(says, "", "{name}"),
            Outcome::Withdrawn(because) => assert!(!says.is_empty() && because.contains(says), "{name}: {because}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn only_an_ntpd_rs_that_somebody_named_is_missed() {
    let folder = tempfile::TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left = folder.path().join("left");
    drop(UnixListener::bind(&left).unwrap());
    for path in [folder.path().join("none"), left] {
        for named in [false, true] {
            let mut source = NtpdRs { path: path.clone(), named, spacing: CALM, detail: None };
            match runtime.block_on(source.poll()) {
                Outcome::Absent => assert!(!named && source.spacing() == ABSENT),
                Outcome::Withdrawn(because) => assert!(named && because.contains("nothing listens there"), "{because}"),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!("observe".parse::<At>().unwrap_err().contains("/var/run/ntpd-rs/observe"));
    assert_eq!("off".parse(), Ok(At::Off));
}

proptest! {
    #[test]
    fn the_truth_lies_inside_while_the_sources_are_true(
        truth in -1e6f64..1e6, errors in prop::collection::vec(-0.0009f64..0.0009, 1..6), age in 0.0f64..4_000.0,
    ) {
        let offsets: Vec<f64> = errors.iter().map(|error| error - truth).collect();
        let reply = decode(document(&offsets, age).as_bytes()).unwrap();
        prop_assert!(reply.interval.widened(Duration::from_nanos(100)).contains(Delta::from_seconds(truth).unwrap()));
    }

    #[test]
    fn no_document_panics(
        offset in any::<f64>(), uncertainty in any::<f64>(), delay in any::<f64>(), now in any::<u64>(), last in any::<u64>(),
    ) {
        let document = format!(
            r#"{{"program":{{"now":{{"timestamp":{now}}}}},"system":{{"stratum":3,"reference_id":1,
            "leap_indicator":"Leap59"}},"sources":[{{"offset":{offset:e},"uncertainty":{uncertainty:e},"delay":{delay:e},
            "remote_delay":0,"remote_uncertainty":0,"last_update":{{"timestamp":{last}}},"unanswered_polls":0}}]}}"#
        );
        let _ = decode(document.as_bytes());
    }
}
