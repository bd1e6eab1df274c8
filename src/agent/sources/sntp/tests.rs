use super::*;
use crate::agent::sources::Fields;
use crate::clock::{Boot, Mono, Raw, Wall};
use proptest::prelude::*;

const WALL: i64 = 1_800_000_000_000_000_000;
const DAY: i64 = 86_400_000_000_000;

/// A server's answer, `arrived` and `left` in nanoseconds of the Unix epoch.
fn packet(cookie: u64, arrived: i64, left: i64) -> Vec<u8> {
    let ntp = |unix: i64| {
        let since_1900 = i128::from(unix) + 2_208_988_800_000_000_000;
        (((since_1900 << 32) / 1_000_000_000) as u64).to_be_bytes()
    };
    let mut bytes = vec![0x24, 2, 4, 0xE9];
    bytes.extend([0, 0, 0, 0x83, 0, 0, 0, 0x42, 10, 0, 0, 1]);
    bytes.extend([0; 8]);
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(ntp(arrived));
    bytes.extend(ntp(left));
    bytes
}

/// Our clocks after `took` nanoseconds, the wall clock `offset` ahead.
fn clocks(took: u64, offset: i64) -> Sample {
    let after = Mono::from_nanos(1_000 + took);
    let wall = Wall::from_unix_nanos(WALL + took as i64 + offset);
    Sample { before: after, wall, boot: Boot::from_nanos(0), raw: Raw::from_nanos(0), after }
}

/// What is measured when our clock is `offset` ahead, with a way there, a time of thinking and a way back.
fn play(offset: i64, there: u64, held: u64, back: u64) -> OffsetInterval {
    let clocks = clocks(there + held + back, offset);
    let bytes = packet(7, WALL + there as i64, WALL + (there + held) as i64);
    let reply = decode(&bytes, 7, clocks.wall).unwrap();
    interval(&reply, Mono::from_nanos(1_000), &clocks).unwrap()
}

#[test]
fn offsets_of_days_and_decades_are_measured_as_well_as_small_ones() {
    for offset in [-2 * DAY, -15_000_000_000, -1, 0, 120_000_000, 2 * DAY, 60 * 365 * DAY, -60 * 365 * DAY] {
        let measured = play(offset, 200_000, 50_000, 300_000);
        assert!(measured.contains(Delta::from_nanos(offset)), "{measured} for {offset}");
        // Half of 0.5 ms of way, 1 ms of half root delay, 1 ms of dispersion.
        assert!(measured.bound() < Duration::from_micros(2_300), "{measured}");
    }
}

#[test]
fn the_second_era_of_2036_is_read_right() {
    let near = Wall::from_unix_nanos(2_085_978_500_000_000_000);
    for seconds in [2_085_978_495i64, 2_085_978_496, 2_085_978_497] {
        let bytes = packet(7, seconds * 1_000_000_000, seconds * 1_000_000_000);
        let left = decode(&bytes, 7, near).map(|reply| reply.left.unix_nanos() / 1_000_000_000);
        // The very second of the wrap is timestamp 0, which means "no time".
        let expected = if seconds == 2_085_978_496 { Err(DecodeError::NoTime) } else { Ok(seconds) };
        assert_eq!(left, expected);
    }
}

#[test]
fn an_answer_that_is_none_to_go_by_says_why() {
    let good = packet(7, WALL, WALL);
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let kiss = |code: &[u8; 4]| {
        let mut bytes = changed(12, code);
        bytes[0] = 0xE4;
        bytes[1] = 0;
        bytes
    };
    for (bytes, error) in [
        (vec![], DecodeError::Short { got: 0 }),
        (good[..47].to_vec(), DecodeError::Short { got: 47 }),
        (changed(0, &[0x23]), DecodeError::Foreign { version: 4, mode: 3 }),
        (changed(0, &[0x04]), DecodeError::Foreign { version: 0, mode: 4 }),
        (changed(24, &[9]), DecodeError::Cookie),
        (changed(0, &[0xE4]), DecodeError::Unsynchronised { leap: 3, stratum: 2 }),
        (changed(1, &[16]), DecodeError::Unsynchronised { leap: 0, stratum: 16 }),
        (changed(40, &[0; 8]), DecodeError::NoTime),
        (kiss(b"DENY"), DecodeError::Denied { code: "DENY" }),
        (kiss(b"RSTR"), DecodeError::Denied { code: "RSTR" }),
        (kiss(b"RATE"), DecodeError::Rate),
        (kiss(b"X\0\xFF\n"), DecodeError::Kiss { code: "X\\x00\\xff\\n".into() }),
    ] {
        assert_eq!(decode(&bytes, 7, Wall::from_unix_nanos(WALL)), Err(error));
    }
    let vague = decode(&changed(8, &[0, 17, 0, 0]), 7, Wall::from_unix_nanos(WALL));
    assert!(matches!(vague, Err(DecodeError::TooUncertain { .. })));
    // What follows the packet (extensions, a digest) is not ours to read.
    assert!(decode(&[good.clone(), vec![0xFF; 400]].concat(), 7, Wall::from_unix_nanos(WALL)).is_ok());
}

#[test]
fn a_forged_kiss_does_not_silence_a_server() {
    let mut bytes = packet(8, WALL, WALL);
    bytes[1] = 0;
    bytes[12..16].copy_from_slice(b"DENY");
    assert_eq!(decode(&bytes, 7, Wall::from_unix_nanos(WALL)), Err(DecodeError::Cookie));
}

#[test]
fn the_server_decides_how_often_it_is_asked() {
    let mut sntp = Sntp::new("ntp://127.0.0.1".parse().unwrap());
    let about = |got: Duration, plain: u64| {
        let plain = Duration::from_secs(plain);
        assert!(plain * 7 / 8 <= got && got <= plain * 9 / 8, "{got:?} for {plain:?}");
    };
    about(sntp.spacing(), 2);
    let from = ([127, 0, 0, 1], 123).into();
    sntp.heed(&AskError::Decode { from, source: DecodeError::Rate });
    about(sntp.spacing(), 32);
    about(sntp.hurry(), 32);
    sntp.heed(&AskError::Decode { from, source: DecodeError::Denied { code: "DENY" } });
    assert_eq!(sntp.denied, [from.ip()]);
    sntp.heed(&AskError::AllDenied);
    assert!(sntp.spacing() >= Duration::from_secs(28));
}

#[test]
fn a_server_goes_back_to_itself_and_to_what_it_follows() {
    let reply = decode(&packet(7, WALL, WALL), 7, Wall::from_unix_nanos(WALL)).unwrap();
    let roots = |reply: Reply, from: &str| reply.detail(from.parse().unwrap()).roots;
    assert_eq!(roots(reply, "10.0.0.7"), ["10.0.0.7", "10.0.0.1"]);
    assert_eq!(roots(reply, "fd00::7"), ["fd00::7", "10.0.0.1"]);
    assert_eq!(roots(reply, "::ffff:10.0.0.7"), ["10.0.0.7", "10.0.0.1"]);
    // A server that follows its own clock, as every other such server does.
    let local = Reply { reference_id: 0x7F7F_0101, ..reply };
    assert_eq!(roots(local, "10.0.0.7"), ["10.0.0.7"]);
    // GPS is a kind of clock: two servers with one of that kind are independent.
    let gps = Reply { stratum: 1, reference_id: u32::from_be_bytes(*b"GPS\0"), ..reply };
    assert_eq!(roots(gps, "10.0.0.7"), ["10.0.0.7"]);
}

#[test]
fn a_server_named_twice_is_one_witness() {
    let server: Server = "ntp://10.0.0.1".parse().unwrap();
    let settings = Settings { references: vec![server.clone(), server], ..Settings::default() };
    assert_eq!(sources(&settings).len(), 1);
}

proptest! {
    #[test]
    fn the_truth_lies_inside_however_lopsided_the_way(
        offset in -(1i64 << 59)..1 << 59, there in 0u64..1 << 32, held in 0u64..1 << 32, back in 0u64..1 << 32,
    ) {
        prop_assert!(play(offset, there, held, back).contains(Delta::from_nanos(offset)));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), near in any::<i64>(), took in any::<u32>()) {
        let near = Wall::from_unix_nanos(near);
        let cookie = Fields(&bytes).u64(24).unwrap_or(0);
        if let Ok(reply) = decode(&bytes, cookie, near) {
            let _ = (reply.reference(), interval(&reply, Mono::from_nanos(1_000), &clocks(took.into(), 0)));
        }
    }

    #[test]
    fn a_question_tells_nothing_but_its_cookie(cookie in any::<u64>()) {
        let bytes = request(cookie);
        prop_assert_eq!(bytes[0], 0x23);
        prop_assert!(bytes[1..40].iter().all(|b| *b == 0));
        prop_assert_eq!(&bytes[40..], cookie.to_be_bytes());
    }
}
