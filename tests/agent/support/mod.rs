//! What these tests stand on: real chronyd, a real agent under libfaketime, NTP servers that misbehave on purpose.
//!
//! Loopback only; nothing here sets the machine's clock (chronyd runs with `-x`, libfaketime falsifies one process).
//! Everything that is started ends with the value that stands for it.

pub(crate) mod agent;
pub(crate) mod chronyd;
pub(crate) mod ntp;

use clockwarden::clock::Mono;
use clockwarden::runtime::mono_now;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

/// Waits until `condition` gives a value; panics with what it last complained of when the time is over.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let start: Mono = mono_now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(complaint) => {
                assert!(mono_now().since(start) < limit, "{what}: not within {limit:?}: {complaint}");
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A UDP port of 127.0.0.1 that nobody uses now.
pub(crate) fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program or library of the system; the environment variable says where it is if not in the usual place.
pub(crate) fn installed(variable: &str, usual: &[&str], package: &str) -> PathBuf {
    let candidates: Vec<PathBuf> = match std::env::var_os(variable) {
        Some(path) => vec![PathBuf::from(path)],
        None => usual.iter().map(PathBuf::from).collect(),
    };
    candidates.iter().find(|path| path.exists()).cloned().unwrap_or_else(|| {
        panic!("none of {candidates:?} exists: install it (Debian: apt-get install {package}), or set {variable}")
    })
}
