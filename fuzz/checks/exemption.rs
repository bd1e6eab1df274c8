//! Whatever stands in a node's exemption, it is a moment that can be written down and read again, or an error that says
//! what to write and repeats nothing of it.

use clockwarden::api::exemption::parse;
use clockwarden::runtime::rfc3339;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(until) => {
            let again = parse(&rfc3339(until)).map(|again| until.minus(again).magnitude());
            assert!(again.is_ok_and(|apart| apart <= std::time::Duration::from_micros(1)), "{text:?}");
        }
        Err(error) => assert!(error.to_string().len() < 250, "{error}"),
    }
}
