//! The answer of what should be a Prometheus, on any bytes.

use clockwarden::agent::clocks;
use clockwarden::controller::sources::pollers::Roster;
use clockwarden::controller::sources::prometheus::answer::{self, Found};
use clockwarden::controller::sources::prometheus::mapping::Mapping;
use clockwarden::controller::sources::prometheus::readings::{Memory, readings};
use clockwarden::controller::sources::prometheus::{server, snapshot};

/// Every node gets a reading that is one, or a reason of bounded length.
pub(crate) fn check(bytes: &[u8]) {
    let clocks = clocks::sample();
    let series = match answer::read(200, bytes) {
        Err(error) => return assert!(error.to_string().len() < 1_000, "{error}"),
        Ok(Found::Scalar(time_s)) => return drop(server::server(time_s, clocks.before, clocks)),
        Ok(Found::Vector(series)) => series,
    };
    let roster = Roster::from([
        ("n1".to_owned(), vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()]),
        ("n2".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]);
    let mut memory = Memory::default();
    let at_s = series.first().map_or(1.795e9, |first| first.at_s);
    if let Ok(server) = server::server(at_s, clocks.before, clocks) {
        memory.server.note(server);
    }
    let exporters = snapshot::read(series);
    let found = readings(exporters, &roster, &Mapping::new(&roster, None), &clocks, &mut memory);
    assert_eq!(found.len(), roster.len());
    for reading in found.into_values() {
        match reading {
            Ok(reading) => assert!(reading.against_us.is_none_or(|it| it.low() <= it.high())),
            Err(message) => assert!(message.len() < 2_000, "{} bytes of {message}", message.len()),
        }
    }
}
