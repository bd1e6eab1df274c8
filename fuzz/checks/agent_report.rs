//! What stands at a node's address and should be our agent, on any bytes.

use clockwarden::agent::clocks;
use clockwarden::controller::sources::agent::read;

/// What is taken is an interval, and no older than we know it to be.
pub(crate) fn check(bytes: &[u8]) {
    let clocks = clocks::sample();
    let Ok(reading) = read(clocks.before, clocks, bytes) else { return };
    let now = clocks::sample();
    assert!(
        reading.against_us_now(&now).is_some_and(|it| it.low() <= it.high()),
        "an answer with a time is a measurement"
    );
    assert!(reading.own.is_none_or(|own| own.low() <= own.high()));
    assert!(reading.age(&now) < std::time::Duration::from_secs(3600), "its age is ours to tell");
}
