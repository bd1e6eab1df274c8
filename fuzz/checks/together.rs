//! A file whose containers take variables from its own objects, and settings that a policy describes, on any text: the
//! look with who takes what, and the mending, say as much of what they found as without.

use clockwarden::inspect::catalogue::{Meaning, Own};
use clockwarden::inspect::duration::Unit;
use clockwarden::inspect::mend::mend_with;
use clockwarden::inspect::words::Pattern;
use clockwarden::inspect::{
    Bounds, Catalogue, Eyes, FileInspection, Limits, Resolved, Supplier, Supply, Uses, supplies_in, takers_in,
};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

const NAME: Option<&str> = Some("a.yaml");

/// Built-in words and others, short ones and one with a star.
static OWN: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let own = |key: &str, unit, zero| Own {
        product: "Shop".to_owned(),
        keys: Pattern::new(key).into_iter().collect(),
        unit,
        zero,
        recommended: 20_000_000_000,
    };
    Catalogue::with(&[
        own("grace", Unit::Seconds, Meaning::Zero),
        own("shop.*.patience-ms", Unit::Milliseconds, Meaning::Disabled),
        own("jwt.leeway", Unit::Milliseconds, Meaning::Default),
        own("CLOCK_SKEW", Unit::Nanoseconds, Meaning::Zero),
    ])
});

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (bounds, limits) = (Bounds::default(), Limits { secrets: true, ..Limits::default() });
    let (suppliers, supplies): (Vec<Supplier>, Vec<Supply>) = supplies_in(NAME, text, &limits).into_iter().unzip();
    let number = |supplier: &Supplier| suppliers.iter().position(|it| it == supplier);
    let resolved = takers_in(NAME, text, &limits).into_iter().map(|taker| Resolved {
        supplies: taker.variables.iter().map(|variable| number(variable.from()?)).collect(),
        file: "a.yaml".to_owned(),
        taker,
    });
    let takers: Vec<Resolved> = resolved.collect();
    let mut of: HashMap<Supplier, Vec<(usize, usize)>> = HashMap::new();
    for (taker, resolved) in takers.iter().enumerate() {
        for (variable, supply) in resolved.supplies.iter().enumerate() {
            if let Some(supplier) = supply.and_then(|supply| suppliers.get(supply)) {
                of.entry(supplier.clone()).or_default().push((taker, variable));
            }
        }
    }
    let uses = Uses { takers: &takers, supplies: &supplies, of };
    for catalogue in [Catalogue::builtin(), &OWN] {
        let eyes = Eyes { catalogue, bounds: &bounds, limits: &limits };
        let before = eyes.look_with(NAME, text, Some(&uses));
        let found = places(&before, text);
        if let Some(mended) = mend_with(NAME, text, &before, &eyes, Some(&uses)) {
            assert!(mended.fixed > 0 && mended.text != text, "mended nothing");
            assert_eq!(places(&mended.left, &mended.text) + mended.fixed, found, "{}", mended.text);
        }
    }
}

/// Every place is one in the text; how many findings there are.
fn places(file: &FileInspection, text: &str) -> usize {
    let findings: Vec<_> = file.documents.iter().flat_map(|(_, it)| &it.findings).collect();
    for spot in findings.iter().filter_map(|finding| finding.spot.as_ref()) {
        let (start, end) = (spot.extent.start as usize, spot.extent.end as usize);
        assert!(text.get(start..end).is_some(), "{start}..{end} is no place in the text");
    }
    findings.len()
}
