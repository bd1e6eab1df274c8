//! Simulated time servers, and the way to them.
//!
//! A server is a little wrong within what it says of itself, or lies: it says that it is good to a millisecond and is
//! not. The way takes some time there and some time back, not the same.

use super::chance::Chance;
use super::machine::SECOND;
use crate::clock::{Delta, Wall};

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It is right, within what it says.
    Honest,
    /// It is ahead by that, nanoseconds, and does not say so.
    Lies(i64),
    /// It spreads a positive leap second over the 24 hours around it, as Google's and Amazon's do; `leap` is the
    /// simulated second before which the leap second is inserted.
    Smears {
        /// When.
        leap: i64,
    },
    /// It does not answer.
    Silent,
}

/// A time server.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it does.
    pub conduct: Conduct,
    number: u32,
    error_ns: i64,
}

/// What a server says of its own error, and keeps to if it is honest.
pub(super) const DISPERSION_NS: i64 = 1_000_000;
/// A packet waits no longer than that.
const LATE_MAX_NS: i64 = 5_000_000;
/// Noon to noon.
const SMEAR_S: i64 = 86_400;

impl Server {
    /// The one with that number.
    #[must_use]
    pub fn new(number: u32, conduct: Conduct, chance: &mut Chance) -> Server {
        Server { conduct, number, error_ns: chance.between(-DISPERSION_NS / 2, DISPERSION_NS / 2) }
    }

    /// What its clock shows at that true time, in that simulated second; `None` if it is silent.
    #[must_use]
    pub fn clock(&self, truth: Wall, second: i64) -> Option<Wall> {
        let off_ns = match self.conduct {
            Conduct::Honest => 0,
            Conduct::Lies(off_ns) => off_ns,
            Conduct::Smears { leap } => {
                let smeared_s = (second - leap + SMEAR_S / 2).clamp(0, SMEAR_S);
                let slow_ns = SECOND * smeared_s / SMEAR_S;
                if second < leap { -slow_ns } else { SECOND - slow_ns }
            }
            Conduct::Silent => return None,
        };
        Some(truth.plus(Delta::from_nanos(off_ns + self.error_ns)))
    }

    /// Whether what it says is true.
    #[must_use]
    pub fn honest(&self) -> bool {
        self.conduct == Conduct::Honest
    }

    /// Whether it answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.conduct != Conduct::Silent
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// The way between two machines, nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// From who asks to who answers, at least.
    pub there_ns: i64,
    /// And back.
    pub back_ns: i64,
}

impl Path {
    /// A way within one data centre.
    #[must_use]
    pub fn near(chance: &mut Chance) -> Path {
        Path { there_ns: chance.between(60_000, 300_000), back_ns: chance.between(60_000, 300_000) }
    }

    /// How long it takes this time: now and then a packet waits.
    pub fn take(self, chance: &mut Chance) -> Path {
        let mut late = |ns: i64| {
            let most = if chance.once_in(50) { 8 * ns } else { ns / 4 };
            ns + chance.between(0, most.min(LATE_MAX_NS))
        };
        Path { there_ns: late(self.there_ns), back_ns: late(self.back_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smear_takes_a_day_and_is_half_a_second_behind_and_then_ahead_at_the_leap() {
        let leap = 100_000;
        let mut server = Server::new(1, Conduct::Smears { leap }, &mut Chance::new(1));
        server.error_ns = 0;
        let off = |second| server.clock(Wall::from_unix_nanos(0), second).unwrap().unix_nanos();
        for (second, expected) in [
            (0, 0),
            (leap - SMEAR_S / 2, 0),
            (leap - SMEAR_S / 4, -SECOND / 4),
            (leap, SECOND / 2),
            (leap + SMEAR_S / 4, SECOND / 4),
            (leap + SMEAR_S / 2, 0),
            (leap + SMEAR_S, 0),
        ] {
            assert_eq!(off(second), expected, "at {second}");
        }
        assert!((off(leap - 1) + SECOND / 2).abs() < 12_000);
    }
}
