//! Settings of products that only their users know, as a policy describes them.
//!
//! They stand beside the built-in entries and are found alike: a longer spelling wins, and of two that are as long the
//! user's own, who knows better what the key means there.

use super::{Catalogue, Confidence, Known, Meaning, Reads, Role};
use crate::inspect::duration::{Nanos, Unit};
use crate::inspect::mention::Mentions;
use crate::inspect::words::Pattern;
use std::sync::Arc;

/// One setting of somebody's own product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// For people.
    pub product: String,
    /// Spellings, at least one.
    pub keys: Vec<Pattern>,
    /// What a bare number counts.
    pub unit: Unit,
    /// What 0 does.
    pub zero: Meaning,
    /// What the fix proposes, in nanoseconds; above 0.
    pub recommended: Nanos,
}

impl Own {
    fn known(&self, number: usize) -> Known {
        Known {
            id: format!("own#{number}"),
            product: self.product.clone(),
            source: String::new(),
            confidence: Confidence::Verified,
            role: Role::Product,
            keys: self.keys.clone(),
            contexts: Vec::new(),
            surfaces: Vec::new(),
            requires: Vec::new(),
            off_when: Vec::new(),
            reads: Reads::Span { bare: Some(self.unit), bare_means: None, unit_guessed: false },
            default: String::new(),
            zero: self.zero,
            negative: Meaning::Unknown,
            only_issue: false,
            passes: "expired tokens".to_owned(),
            recommended: self.recommended,
            absence: None,
            note: String::new(),
        }
    }
}

impl Catalogue {
    /// The built-in catalogue and these; of entries that fit alike the first.
    #[must_use]
    pub fn with<'o>(own: impl IntoIterator<Item = &'o Own>) -> Arc<Catalogue> {
        let mut own = own.into_iter().peekable();
        let built_in = Catalogue::shared();
        if own.peek().is_none() {
            return Arc::clone(built_in);
        }
        let known: Vec<Known> = own.enumerate().map(|(number, own)| own.known(number)).collect();
        let mut catalogue = Catalogue { mentions: Mentions::of(&known), known, ..Catalogue::clone(built_in) };
        catalogue.known.extend(built_in.known.iter().cloned());
        catalogue.build_index();
        Arc::new(catalogue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Bounds, FileInspection, Limits, Severity, inspect_file};

    fn own(key: &str, unit: Unit, zero: Meaning) -> Own {
        let keys = vec![Pattern::new(key).unwrap()];
        Own { product: "Shop".to_owned(), keys, unit, zero, recommended: 20_000_000_000 }
    }

    fn look(own: &[Own], name: &str, text: &str) -> FileInspection {
        let catalogue = Catalogue::with(own);
        inspect_file(Some(name), text, &catalogue, &Bounds::default(), &Limits::default())
    }

    #[test]
    fn a_setting_of_ones_own_is_found_however_it_is_spelled() {
        let all = [own("shop.auth.max-clock-diff", Unit::Milliseconds, Meaning::Zero)];
        for (name, text) in [
            ("a.properties", "shop.auth.max-clock-diff=0\n"),
            ("a.env", "SHOP_AUTH_MAX_CLOCK_DIFF=0\n"),
            ("a.env", "APP_SHOP_AUTH_MAXCLOCKDIFF=0\n"),
            (
                "a.yaml",
                "kind: Pod\napiVersion: v1\nspec: {containers: [{name: a, args: ['--shop.auth.maxClockDiff=0']}]}\n",
            ),
            ("a.yaml", "shop:\n  auth:\n    other: 1\n    maxClockDiff: 0ms\n"),
            ("a.json", "{\"shop\": {\"auth\": {\"max_clock_diff\": 0}}}"),
            (
                "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  b.ini: |\n    [shop.auth]\n    max_clock_diff = 0\n",
            ),
        ] {
            let found = look(&all, name, text);
            let told: Vec<_> = found.documents.iter().flat_map(|(_, it)| &it.findings).collect();
            assert_eq!(told.len(), 1, "{text}: {found:?}");
            assert_eq!((told[0].rule, told[0].severity, &*told[0].product), ("jwt-skew-zero", Severity::Error, "Shop"));
            assert!(told[0].fix.contains("20"), "{}", told[0].fix);
            let without = look(&[], name, text);
            assert!(without.documents.iter().all(|(_, it)| it.findings.is_empty()), "{without:?}");
        }
        for text in ["shop.auth.max-clock-diff=900\n", "max-clock-diff=0\n", "shop.auth.max-clock-diffs=0\n"] {
            let found = look(&all, "a.properties", text);
            assert!(
                found.documents.iter().all(|(_, it)| it.findings.len() == usize::from(text.contains("900"))),
                "{text}"
            );
        }
    }

    /// The same key in the built-in catalogue, or by the generic convention.
    #[test]
    fn who_describes_a_setting_knows_it_better() {
        let told = |own: &[Own], text: &str| {
            let found = look(own, "a.properties", text);
            let all = found.documents.iter().flat_map(|(_, it)| &it.findings);
            all.map(|it| format!("{} {}", it.product, it.rule)).collect::<Vec<_>>()
        };
        let text = "jwt.leeway=0\n";
        assert_eq!(told(&[], text).len(), 1);
        assert_eq!(told(&[own("jwt.leeway", Unit::Seconds, Meaning::Default)], text), [""; 0]);
        assert_eq!(told(&[own("jwt.leeway", Unit::Seconds, Meaning::Disabled)], text), ["Shop jwt-check-disabled"]);
        let kafka = "sasl.oauthbearer.clock.skew.seconds=0\n";
        let ours = [own("sasl.oauthbearer.clock.skew.seconds", Unit::Seconds, Meaning::Zero)];
        assert_eq!(told(&ours, kafka), ["Shop jwt-skew-zero"]);
        // A shorter spelling does not take another product's setting away.
        assert_ne!(told(&[own("skew.seconds", Unit::Seconds, Meaning::Default)], kafka), [""; 0]);
        let two = [own("jwt.leeway", Unit::Seconds, Meaning::Default), own("jwt.leeway", Unit::Seconds, Meaning::Zero)];
        assert_eq!(told(&two, text), [""; 0], "the first of two");
    }

    #[test]
    fn a_text_is_read_if_it_has_a_word_of_the_setting_in_any_spelling() {
        let catalogue = Catalogue::with(&[own("shop.*.max-clock-diff", Unit::Seconds, Meaning::Zero)]);
        for (text, expected) in
            [("MAX_CLOCK_DIFF", true), ("c-l-o-c-k", true), ("cloc", false), ("", false), ("skew", true)]
        {
            assert_eq!(catalogue.mentions(text.as_bytes()), expected, "{text}");
            assert_eq!(Catalogue::builtin().mentions(text.as_bytes()), text == "skew", "{text}");
        }
    }
}
