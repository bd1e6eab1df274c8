use super::*;
use proptest::prelude::*;
use std::net::Ipv6Addr;

const REPLY: Reply = Reply {
    reference_id: 0x0A00_0001,
    server: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
    stratum: 2,
    leap: 0,
    correction_s: 0.25,
    root_delay_s: 0.010,
    root_dispersion_s: 0.002,
};

#[test]
fn floats_are_read_as_chronyd_writes_them() {
    for (bits, value) in [
        (0x0000_0000, 0.0),
        // 0.5: coefficient 2^24 does not fit 25 signed bits, so 2^23 with exponent 1.
        (0x0280_0000, 0.5),
        (0x0480_0000, 1.0),
        // -1.0: coefficient -2^24, exponent 1.
        (0x0300_0000, -1.0),
        // The greatest and the smallest.
        (0x7EFF_FFFF, 16_777_215.0 * 2f64.powi(38)),
        (0x7F00_0000, -16_777_216.0 * 2f64.powi(38)),
        (0x8000_0001, 2f64.powi(-89)),
    ] {
        assert!((wire::float_from_wire(bits) - value).abs() <= value.abs() * 1e-12, "{bits:#010x}");
    }
}

#[test]
fn the_sign_is_ours_and_the_slew_to_come_widens() {
    // 250 ms slow: our offset is -250 ms; in 2 s at most 200 ms of it can have been slewed away.
    let interval = REPLY.interval(Duration::from_secs(2)).unwrap();
    assert_eq!(interval.midpoint(), Delta::from_nanos(-250_000_000));
    let bound = Duration::from_millis(207);
    assert!(bound <= interval.bound() && interval.bound() < bound + Duration::from_nanos(20), "{interval}");
    // In 10 s all of it can.
    let long = REPLY.interval(Duration::from_secs(10)).unwrap();
    assert!(long.contains(Delta::ZERO) && long.bound() < Duration::from_micros(257_001));
    // 15 s fast stays certain although chronyd corrects it.
    let far = Reply { correction_s: -15.0, ..REPLY }.interval(Duration::from_secs(2)).unwrap();
    assert!(far.surely_beyond(Duration::from_secs(14)) && far.low() > Delta::ZERO);
    // Two days and 15 ms cannot be written in 25 bits: what is read may be 10 ms away from what was meant.
    let days = Reply { correction_s: 172_800.0, ..REPLY }.interval(Duration::ZERO).unwrap();
    assert!(days.contains(Delta::from_nanos(-172_800_015_000_000)), "{days}");
}

#[test]
fn a_chronyd_that_follows_nothing_is_no_evidence() {
    for (reply, says) in [
        (Reply { leap: 3, ..REPLY }, "not synchronised"),
        (Reply { leap: 700, ..REPLY }, "not synchronised"),
        (Reply { reference_id: 0, ..REPLY }, "not synchronised"),
        (Reply { stratum: 0, ..REPLY }, "not synchronised"),
        (Reply { reference_id: LOCAL_REFERENCE, server: None, stratum: 10, ..REPLY }, "its own clock"),
    ] {
        let because = reply.interval(Duration::from_secs(2)).unwrap_err().to_string();
        assert!(because.contains(says), "{because}");
    }
}

#[test]
fn what_chronyd_follows_is_shown_as_address_word_or_number() {
    assert_eq!(REPLY.reference(), "10.0.0.1");
    assert_eq!(Reply { server: None, reference_id: u32::from_be_bytes(*b"PPS\0"), ..REPLY }.reference(), "PPS");
    assert_eq!(Reply { server: None, reference_id: 0x7F7F_0101, ..REPLY }.reference(), "7F7F0101");
}

#[test]
fn an_address_says_how_to_ask() {
    for (text, at) in [
        ("off", At::Off),
        ("127.0.0.1", At::Udp(([127, 0, 0, 1], 323).into())),
        ("127.0.0.1:1323", At::Udp(([127, 0, 0, 1], 1323).into())),
        ("::1", At::Udp(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 323))),
        ("[::1]:1323", At::Udp(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 1323))),
        ("/run/chrony/chronyd.sock", At::Unix(PathBuf::from("/run/chrony/chronyd.sock"))),
    ] {
        assert_eq!(text.parse(), Ok(at), "{text}");
    }
    for text in ["", "localhost", "127.0.0.1:99999", "run/chronyd.sock", "Off"] {
        assert!(text.parse::<At>().unwrap_err().contains("127.0.0.1:323"), "{text}");
    }
}

#[test]
fn only_a_chronyd_that_somebody_named_is_missed() {
    let ask = |named| {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = Settings { chrony: Some(At::Udp(closed)), ..Settings::default() };
        let mut chrony = Chrony::new(&settings, vec![At::Udp(closed)]);
        chrony.named = named;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(chrony.poll());
        // One that appears later is found, at the price of one question a minute.
        assert_eq!(chrony.spacing(), if named { CALM } else { ABSENT });
        outcome
    };
    assert_eq!(ask(false), Outcome::Absent);
    let Outcome::Withdrawn(because) = ask(true) else { panic!("an absent chronyd that was named is an error") };
    assert!(because.contains("nothing listens there"), "{because}");
}

#[test]
fn what_chronyd_hears_of_its_servers_is_summed_up() {
    let upstream = |standing, reach, since_s: Option<u64>| Upstream {
        address: None,
        stratum: 2,
        standing,
        reach,
        since_sample: since_s.map(Duration::from_secs),
    };
    use Standing::{Falseticker, Selectable, Selected, Unusable};
    let some = Duration::from_secs;
    for (configured, upstreams, expected) in [
        (0, vec![], (0, 0, 0, 0, None)),
        // Lost: it never heard from any.
        (2, vec![upstream(Unusable, 0, None), upstream(Unusable, 0, None)], (2, 0, 0, 0, None)),
        // Lost an hour ago, and still following.
        (1, vec![upstream(Selected, 0, Some(3_600))], (1, 0, 1, 0, Some(some(3_600)))),
        // The one that it follows counts, not the one that was heard last.
        (
            3,
            vec![
                upstream(Selectable, 0xFF, Some(2)),
                upstream(Selected, 1, Some(9)),
                upstream(Falseticker, 3, Some(1)),
            ],
            (3, 3, 2, 1, Some(some(9))),
        ),
        (2, vec![upstream(Unusable, 0x80, Some(70)), upstream(Unusable, 0, Some(50))], (2, 1, 0, 0, Some(some(50)))),
        // More than were asked about.
        (40, vec![upstream(Selected, 1, Some(9))], (40, 1, 1, 0, Some(some(9)))),
    ] {
        let got = summary(configured, &upstreams);
        let got = (got.configured, got.reachable, got.selectable, got.falsetickers, got.last_update);
        assert_eq!(got, expected, "{upstreams:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), sequence in any::<u32>()) {
        let _ = (decode(&bytes, sequence), decode_count(&bytes, sequence), decode_source(&bytes, sequence));
    }

    #[test]
    fn no_body_behind_a_good_header_panics(body in prop::collection::vec(any::<u8>(), 0..120), hold in any::<u32>()) {
        let reply = |command, kind| {
            let mut bytes = vec![6, 2, 0, 0, 0, command, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(&body);
            bytes
        };
        match decode(&reply(33, 5), 7) {
            Ok(reply) => {
                prop_assert!(body.len() >= 76 && reply.correction_s.is_finite());
                let _ = (reply.reference(), reply.interval(Duration::from_secs(hold.into())));
            }
            Err(DecodeError::Short { got, needed, .. }) => prop_assert!(got < needed),
            Err(error) => prop_assert!(matches!(error, DecodeError::Nonsense { .. }), "{}", error),
        }
        prop_assert_eq!(decode_count(&reply(14, 2), 7).is_ok(), body.len() >= 4);
        prop_assert_eq!(decode_source(&reply(15, 3), 7).is_ok(), body.len() >= 48);
        // An answer to one question is none to another.
        let other = matches!(decode_source(&reply(33, 5), 7), Err(DecodeError::Other { .. }));
        prop_assert!(other);
    }
}
