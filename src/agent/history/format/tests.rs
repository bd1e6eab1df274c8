//! Histories whole, torn, spoilt and foreign.

use super::*;
use proptest::prelude::*;

fn noticed(number: u64) -> Noticed {
    let at = |s: u64| Sample {
        before: Mono::from_nanos(s * 1_000_000_000),
        wall: Wall::from_unix_nanos(-5),
        boot: Boot::from_nanos(s * 1_000_000_000 + 1),
        raw: Raw::from_nanos(u64::MAX),
        after: Mono::from_nanos(s * 1_000_000_000 + 300),
    };
    let index = usize::try_from(number).unwrap_or(0);
    Noticed {
        number,
        evidence: Evidence::ALL[index % Evidence::ALL.len()],
        detail: number.is_multiple_of(2).then(|| format!("clock \"{number}\"\nmoved\u{b1}")),
        ongoing: number == 3,
        boot: Arc::from("6c1e0a52-7b35-4d2e-9a0e-0f4b8c8e2a11"),
        jump: Jump {
            cause: Cause::ALL[index % Cause::ALL.len()],
            amount: OffsetInterval::between(Delta::from_nanos(-15_000_000_300), Delta::from_nanos(i64::MAX)),
            before: at(number),
            after: at(number + 1),
        },
    }
}

fn file(numbers: std::ops::Range<u64>) -> (Vec<Noticed>, Vec<u8>) {
    let jumps: Vec<Noticed> = numbers.map(noticed).collect();
    let anchor = jumps.last().map(|last| (&*last.boot, &last.jump.after));
    let bytes = encode(jumps.iter(), anchor).unwrap();
    (jumps, bytes)
}

/// What is left of a file: the numbers of its jumps, and how many lines were dropped; `None` if it is not ours.
fn check(bytes: &[u8], expected: Option<(&[u64], usize)>) {
    let got = decode(bytes).ok().map(|loaded| {
        let numbers: Vec<u64> = loaded.past.jumps.iter().map(|noticed| noticed.number).collect();
        (numbers, loaded.dropped)
    });
    let expected = expected.map(|(numbers, dropped)| (numbers.to_vec(), dropped));
    assert_eq!(got, expected, "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn what_was_written_is_read() {
    let (jumps, bytes) = file(1..9);
    let loaded = decode(&bytes).unwrap();
    assert_eq!((loaded.past.jumps, loaded.dropped), (jumps.clone(), 0));
    assert_eq!(loaded.past.anchor, Some((jumps[7].boot.clone(), jumps[7].jump.after)));
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 10, "one line each: {text}");
}

#[test]
fn the_checksum_is_the_one_that_everybody_means() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn a_torn_or_spoilt_line_is_dropped_and_the_others_count() {
    let (_, bytes) = file(1..4);
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    check(&bytes, Some((&[1, 2, 3], 0)));
    // Torn at the end; without its newline a line is still whole.
    check(&bytes[..bytes.len() - 1], Some((&[1, 2, 3], 0)));
    check(&bytes[..bytes.len() - 2], Some((&[1, 2], 1)));
    // Spoilt in the middle; the anchor; a line of zeros; a line twice; out of order.
    check(text.replacen("\"number\":2", "\"number\":5", 1).as_bytes(), Some((&[1, 3], 1)));
    check(text.replacen("anchor", "anchored", 1).as_bytes(), Some((&[1, 2, 3], 1)));
    check(&[&bytes[..], &[0; 700]].concat(), Some((&[1, 2, 3], 1)));
    let shuffled = format!("{}\n{}\n{}\n{}\n{}\n", lines[0], lines[4], lines[2], lines[2], lines[3]);
    check(shuffled.as_bytes(), Some((&[1, 2, 3], 0)));
    // A word that a later version has.
    let json = r#"{"jump":{"number":9,"cause":"leap"}}"#;
    check(format!("{text}{:08x} {json}\n", crc32(json.as_bytes())).as_bytes(), Some((&[1, 2, 3], 1)));
    let json = r#"{"place":{"name":"here"}}"#;
    check(format!("{text}{:08x} {json}\n", crc32(json.as_bytes())).as_bytes(), Some((&[1, 2, 3], 1)));
}

#[test]
fn nothing_is_a_history_of_nothing_and_anything_else_is_not_ours() {
    check(b"", Some((&[], 0)));
    check(HEADER.as_bytes(), Some((&[], 0)));
    check(b"clockwarden hist", Some((&[], 1)));
    check(&[0; 4_096], Some((&[], 1)));
    check(b"root:x:0:0:root:/root:/bin/bash\n", None);
    check(b"clockwarden history 2\n", None);
    check(b"clockwarden history 1 of my cat\n", None);
    check(b"\xff\xfe", None);
    check(&vec![b'\n'; FILE_MAX + 1], None);
    let said = decode(b"root:x:0:0:root:/root:/bin/bash\n").unwrap_err().to_string();
    assert!(said.contains("\"root:x:0:0:root:/root:\""), "{said}");
}

#[test]
fn the_largest_history_fits_and_a_longer_one_gives_its_newest() {
    let mut jumps: Vec<Noticed> = (0..RING_MAX as u64 + 40).map(noticed).collect();
    for noticed in &mut jumps {
        noticed.number += u64::MAX - 1_000;
        // The longest by its bytes, and one that must be cut.
        let characters = if noticed.number.is_multiple_of(2) { DETAIL_MAX / 4 } else { 5_000 };
        noticed.detail = Some("\u{1F570}".repeat(characters));
    }
    let bytes = encode(jumps[40..].iter(), None).unwrap();
    assert!(bytes.len() <= FILE_MAX, "{} bytes", bytes.len());
    let loaded = decode(&bytes).unwrap();
    assert_eq!((loaded.past.jumps.len(), loaded.dropped), (RING_MAX, 0));
    // What takes six bytes for one in JSON: then the oldest are left out.
    for noticed in &mut jumps {
        noticed.detail = Some("\u{1}".repeat(DETAIL_MAX));
    }
    let bytes = encode(jumps.iter(), None).unwrap();
    let loaded = decode(&bytes).unwrap();
    assert!(bytes.len() <= FILE_MAX && loaded.past.jumps.last() == jumps.last(), "{} bytes", bytes.len());
    let (_, bytes) = file(0..RING_MAX as u64 + 40);
    assert_eq!(decode(&bytes).unwrap().past.jumps[0].number, 40);
}

proptest! {
    #[test]
    fn no_write_that_is_torn_or_spoilt_costs_more_than_the_lines_it_touches(
        count in 0u64..12, cut in any::<prop::sample::Index>(), flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let (jumps, bytes) = file(0..count);
        let torn = &bytes[..cut.index(bytes.len() + 1)];
        let kept = decode(torn).unwrap().past.jumps;
        prop_assert!(jumps.starts_with(&kept));
        let mut spoilt = bytes.clone();
        let at = flip.0.index(spoilt.len());
        spoilt[at] ^= flip.1;
        if at >= HEADER.len() {
            let loaded = decode(&spoilt).unwrap();
            // A newline made of something else, or the other way round, touches two.
            prop_assert!(loaded.past.jumps.len() + 2 >= jumps.len());
            prop_assert!(loaded.past.jumps.iter().all(|noticed| jumps.contains(noticed)));
        }
    }
}
