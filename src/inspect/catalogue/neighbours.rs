//! The keys that conditions ask for beside or above a setting.
//!
//! Conditions are asked of every map around every suspect, and of most not even the key is there. One look at each
//! entry of a map tells which of these keys it has, as bits; after that the answer "not there" takes one.

use super::super::words;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// Letters of each key; its position is its number.
    keys: Vec<Vec<u8>>,
    /// For each first letter the keys that begin with it, as bits.
    firsts: Vec<u64>,
}

impl Neighbours {
    /// The bit of a key (letters), which is known from now on; none where there are too many of them.
    pub(super) fn add(&mut self, key: &[u8]) -> u64 {
        let number = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            self.keys.push(key.to_vec());
            self.keys.len().saturating_sub(1)
        });
        let bit = bit(number);
        self.firsts.resize(256, 0);
        if let Some(first) = key.first().and_then(|first| self.firsts.get_mut(usize::from(*first))) {
            *first |= bit;
        }
        bit
    }

    /// The bit of this key; none where no condition asks for it.
    #[must_use]
    pub fn of(&self, key: &str) -> u64 {
        let first = words::of(key).next().and_then(|first| self.firsts.get(usize::from(first)));
        let mut rest = first.copied().unwrap_or(0);
        while let Some(number) = rest.checked_ilog2() {
            let bit = bit(usize::try_from(number).unwrap_or(usize::MAX));
            let known = usize::try_from(number).ok().and_then(|number| self.keys.get(number));
            if known.is_some_and(|known| words::of(key).eq(known.iter().copied())) {
                return bit;
            }
            rest &= !bit;
        }
        0
    }
}

fn bit(number: usize) -> u64 {
    u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_key_has_its_bit_and_nothing_else_has_one() {
        let mut neighbours = Neighbours::default();
        let (plugin, product, kind) =
            (neighbours.add(b"plugin"), neighbours.add(b"product"), neighbours.add(b"enablejwt"));
        assert_eq!((plugin, product, kind, neighbours.add(b"plugin")), (1, 2, 4, 1));
        for (key, expected) in [
            ("plugin", plugin),
            ("PLUG_IN", plugin),
            ("@product", product),
            ("enable-jwt", kind),
            ("plugins", 0),
            ("plug", 0),
            ("", 0),
            ("-", 0),
            ("é", 0),
        ] {
            assert_eq!(neighbours.of(key), expected, "{key}");
        }
        let many: Vec<u64> = (0..70).map(|number| neighbours.add(format!("x{number}").as_bytes())).collect();
        assert_eq!((many.first(), many.get(60), many.get(61)), (Some(&8), Some(&(1 << 63)), Some(&0)));
        assert_eq!((neighbours.of("x0"), neighbours.of("x60"), neighbours.of("x69")), (8, 1 << 63, 0));
        assert_eq!(Neighbours::default().of("plugin"), 0);
    }
}
