//! Chance that can be had again: the same seed gives the same run, on every machine.
//!
//! Source: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), which passes
//! the usual batteries of tests and needs no state but one number.

/// A stream of chance.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream that belongs to a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Another stream, for one part of the whole: how much it draws changes nothing for the other parts.
    #[must_use]
    pub fn fork(&self, part: u64) -> Chance {
        Chance(Chance(self.0 ^ part.wrapping_mul(0xd134_2543_de82_ef95)).draw())
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, each as likely as the others to within 2^-32 for the limits in use; 0 if there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number between the two, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(0).unsigned_abs().saturating_add(1);
        low.saturating_add(i64::try_from(self.below(width)).unwrap_or(0))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_what_was_published_for_it_and_parts_do_not_disturb_one_another() {
        let mut chance = Chance::new(1_234_567);
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([chance.draw(), chance.draw(), chance.draw()], published);
        let whole = Chance::new(7);
        let (mut one, mut again) = (whole.fork(1), whole.fork(1));
        whole.fork(2).draw();
        assert_eq!(one.draw(), again.draw());
        assert_ne!(whole.fork(1).draw(), whole.fork(2).draw());
    }

    #[test]
    fn numbers_keep_within_their_limits_and_reach_them() {
        let mut chance = Chance::new(3);
        let drawn: Vec<i64> = (0..1_000).map(|_| chance.between(-2, 2)).collect();
        assert!((-2..=2).all(|n| drawn.contains(&n)) && drawn.iter().all(|n| (-2..=2).contains(n)));
        assert_eq!((chance.below(0), chance.below(1), chance.between(5, 5)), (0, 0, 5));
    }
}
