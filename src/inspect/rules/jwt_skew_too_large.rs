//! # jwt-skew-too-large
//!
//! The tolerance for clock skew is above the policy's `maxSkew`.
//!
//! **Why.** A token stays valid for the whole tolerance after it has expired, also a stolen one and one that was
//! meant to be short-lived. Nodes that really differ by more than minutes need their clocks repaired, not
//! forgiveness. Often the value is a slip of the unit: milliseconds read as seconds, or a bare `5` that .NET reads as
//! five days.
//!
//! **Example.** `allowed_skew: 86400`, `"ClockSkew": "5"` (a TimeSpan: 5 days), `JWT_LEEWAY: "30000"`.
//!
//! **Fix.** At most `maxSkew` (default 5 min), better half a minute.
//!
//! **What it leaves alone.** A value that is exactly the bound; settings that are not known to be about tokens.
//!
//! **Sources.** <https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4> ("usually no more than a few minutes"); each product's
//! own page is named in the catalogue.

use super::{Look, Rule, Verdict, is_certain, means, nanos, warning};
use crate::inspect::catalogue::Reads;
use crate::inspect::duration::{Form, Unit, shown};
use crate::inspect::recognise::{Effect, Setting};
use crate::inspect::{Bounds, Severity};

/// See the module.
pub const RULE: Rule = Rule {
    name: "jwt-skew-too-large",
    summary: "The tolerance for clock skew is above the policy's `maxSkew`.",
    severity: Severity::Warning,
    needles: &[],
    maps: &[],
    look: Look::Setting(check),
};

fn check(setting: &Setting<'_>, bounds: &Bounds) -> Option<Verdict> {
    let Effect::Tolerance(tolerance) = setting.effect else { return None };
    let most = nanos(bounds.skew_max);
    if tolerance <= most || !is_certain(setting) {
        return None;
    }
    let is_bare = setting.span.is_some_and(|span| span.form == Form::Bare);
    let how = match setting.known.reads {
        Reads::Span { bare: Some(Unit::Days), .. } if is_bare => " (a bare number counts days there)",
        Reads::Span { unit_guessed: true, .. } if is_bare => " (if it counts seconds; its unit is not written)",
        _ => "",
    };
    let result = if setting.known.only_issue {
        "by so much may a token's time of issue be wrong"
    } else {
        "so long is a token valid after it has expired"
    };
    warning(format!(
        "{} a tolerance for clock skew of {}{how}, more than the {} that the policy allows: {result}",
        means(setting),
        shown(tolerance),
        shown(most)
    ))
}
