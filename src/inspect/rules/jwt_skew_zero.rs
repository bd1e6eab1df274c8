//! # jwt-skew-zero
//!
//! The service checks the times inside of tokens (`exp`, `nbf`, `iat`) with no tolerance for clock skew, or with
//! less than the policy's `minSkew`.
//!
//! **Why.** Two nodes never agree exactly about the time. With no tolerance, a token that one node issues is not
//! yet valid on a node that is 50 ms behind, and users see logins that fail now and then, always together with a
//! clock that NTP has repaired by the time somebody looks. RFC 7519 allows "some small leeway, usually no more than
//! a few minutes, to account for clock skew".
//!
//! **Example.** `JWT_CLOCK_SKEW_SECONDS: "0"`, `clockTolerance: 0`, `"ClockSkew": "00:00:00"`, Vault's
//! `clock_skew_leeway: -1`.
//!
//! **Fix.** A few seconds to half a minute: `JWT_CLOCK_SKEW_SECONDS: "30"`.
//!
//! **What it leaves alone.** A zero that means the product's default (Envoy, Istio, Vault, Consul, SmallRye); a
//! setting of a feature that the same document switches off; a value that is filled in elsewhere. Without a known
//! product and without a word like `jwt` or `oidc` on its path it only warns.
//!
//! **Sources.** <https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4>; each product's own page is named in the catalogue.

use super::{Look, Rule, Verdict, error, is_certain, means, nanos, warning};
use crate::inspect::duration::shown;
use crate::inspect::recognise::{Effect, Setting};
use crate::inspect::{Bounds, Severity};

/// See the module.
pub const RULE: Rule = Rule {
    name: "jwt-skew-zero",
    summary: "The service checks the times inside of tokens (`exp`, `nbf`, `iat`) with no tolerance for clock skew, or with less than the policy's `minSkew`.",
    severity: Severity::Error,
    needles: &[],
    maps: &[],
    look: Look::Setting(check),
};

fn check(setting: &Setting<'_>, bounds: &Bounds) -> Option<Verdict> {
    let known = setting.known;
    let tolerance = match setting.effect {
        Effect::Tolerance(tolerance) => tolerance,
        Effect::Unclear if !is_certain(setting) => return None,
        Effect::Unclear => {
            return warning(format!(
                "and it is not known what that does in {}: no tolerance for clock skew at all, or no check",
                known.product
            ));
        }
        Effect::Fallback => {
            let default = &known.default;
            return warning(format!(
                "which {} does not understand without a unit: {default} silently holds",
                known.product
            ));
        }
        Effect::Default | Effect::Disabled => return None,
    };
    let least = nanos(bounds.skew_min);
    if tolerance >= least && tolerance > 0 {
        return None;
    }
    if !is_certain(setting) {
        let zero = "which looks like a clock-skew tolerance of zero; whether it is one about tokens cannot be told";
        return if tolerance == 0 { warning(zero.to_owned()) } else { None };
    }
    let means = means(setting);
    match tolerance {
        0 => error(format!(
            "{means} no tolerance for clock skew: a token is refused as soon as the clock that checks it differs from \
             its issuer's"
        )),
        ..0 => error(format!(
            "{means} less than no tolerance for clock skew: a token is refused although the clocks agree"
        )),
        _ => error(format!(
            "{means} a tolerance for clock skew of only {}: not zero, but less than the {} that the policy asks for",
            shown(tolerance),
            shown(least)
        )),
    }
}
