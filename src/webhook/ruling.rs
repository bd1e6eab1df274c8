//! What the policies of one namespace hold together.
//!
//! Those policies that match a namespace are put together by taking the strictest of each setting, so that adding a
//! policy never loosens what another one demands; what a key means is no demand, and no part of it
//! ([`super::known::Known::catalogue`]). A policy whose mode is Off says nothing about admission at all: its numbers,
//! mostly defaults that nobody wrote, do not count either.
//!
//! Does not know: Kubernetes, how policies are written or watched.

use crate::inspect::Bounds;
use crate::policy::Mode;

/// The strictest of each setting over the policies that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Never [`Mode::Off`] when it came from [`combine`].
    pub mode: Mode,
    /// Greatest lower bound, smallest upper bound, strictest level of each rule.
    pub bounds: Bounds,
    /// Names of the policies that it came from, sorted.
    pub policies: Vec<String>,
}

/// Puts together what the matching policies hold: name, mode, bounds. `None`: nothing is asked of the object.
///
/// The order of the policies does not matter.
#[must_use]
pub fn combine<'a>(matching: impl Iterator<Item = (&'a str, Mode, Bounds)>) -> Option<Ruling> {
    let mut ruling = matching.filter(|(_, mode, _)| *mode != Mode::Off).fold(None, |sum, (name, mode, bounds)| {
        let Some(Ruling { mode: mode_so_far, bounds: so_far, mut policies }) = sum else {
            return Some(Ruling { mode, bounds, policies: vec![name.to_owned()] });
        };
        policies.push(name.to_owned());
        Some(Ruling { mode: mode_so_far.max(mode), bounds: so_far.strictest(bounds), policies })
    })?;
    ruling.policies.sort_unstable();
    Some(ruling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn bounds(min: u64, max: u64) -> Bounds {
        Bounds { skew_min: Duration::from_secs(min), skew_max: Duration::from_secs(max), ..Bounds::default() }
    }

    fn check(matching: &[(&str, Mode, (u64, u64))], expected: Option<(Mode, (u64, u64), &[&str])>) {
        let expected = expected.map(|(mode, (min, max), names)| Ruling {
            mode,
            bounds: bounds(min, max),
            policies: names.iter().map(|name| (*name).to_owned()).collect(),
        });
        let rules = || matching.iter().map(|(name, mode, (min, max))| (*name, *mode, bounds(*min, *max)));
        assert_eq!(combine(rules()), expected, "{matching:?}");
        assert_eq!(combine(rules().rev()), expected, "reversed {matching:?}");
    }

    #[test]
    fn the_strictest_of_each_setting_holds_in_any_order() {
        use Mode::{Enforce, Off, Warn};
        check(&[], None);
        check(&[("a", Off, (1, 300))], None);
        check(&[("a", Warn, (1, 300))], Some((Warn, (1, 300), &["a"])));
        check(&[("a", Enforce, (1, 60)), ("b", Warn, (5, 300))], Some((Enforce, (5, 60), &["a", "b"])));
        check(&[("b", Warn, (1, 300)), ("a", Warn, (2, 400))], Some((Warn, (2, 300), &["a", "b"])));
        check(&[("a", Enforce, (1, 600)), ("b", Off, (30, 60))], Some((Enforce, (1, 600), &["a"])));
    }
}
