//! # token-lifetime
//!
//! A token is asked for that lives shorter than clocks and caches allow, or absurdly long.
//!
//! **Why.** A lifetime that is not much longer than the difference between two clocks makes tokens that have expired
//! when they arrive. A lifetime of weeks makes expiry meaningless: a copy from a log or a backup still opens the door, and
//! the kubelet, which renews a projected token after a day at the latest, gains nothing from more.
//!
//! **Example.** `serviceAccountToken: {expirationSeconds: 2592000}` (30 days), Keycloak's `accessTokenLifespan: 5`.
//!
//! **Fix.** For service accounts `expirationSeconds: 3600`; for access tokens some minutes.
//!
//! **What it leaves alone.** 10 minutes to a day for service accounts (the API server writes 3607 into every pod), both
//! bounds included; lifetimes whose key does not tell the product and the unit; refresh tokens and sessions.
//!
//! **Sources.** <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>,
//! <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection>,
//! <https://kubernetes-csi.github.io/docs/token-requests.html>,
//! <https://www.keycloak.org/docs/latest/server_admin/#_timeouts>

use super::{Look, Rule, Severity};
use crate::inspect::duration::{SECOND, shown};
use crate::inspect::sight::{Remark, Sight, What};
use crate::inspect::value::{self, Written};
use std::ops::RangeInclusive;

/// See the module. The webhook reads `expirationSeconds` by a needle that knows the value.
pub const RULE: Rule = Rule {
    name: "token-lifetime",
    summary: "A token is asked for that lives shorter than clocks and caches allow, or absurdly long.",
    severity: Severity::Warning,
    needles: &["accesstokenlifespan"],
    maps: &[],
    look: Look::Sight(look),
};

/// Lifetimes of service account tokens, in seconds, about which nothing is said: from the least that the API server
/// grants (`MinTokenAgeSec` in `pkg/apis/authentication/validation`) to the age at which the kubelet renews any.
pub(crate) const SECONDS: RangeInclusive<i64> = 600..=86_400;

/// Lifetimes of Keycloak's access tokens, in seconds. The least is the tolerance that we recommend: below it, a token is
/// accepted longer after its end than before.
const ACCESS_SECONDS: RangeInclusive<i64> = 30..=86_400;

/// What holds an `expirationSeconds` of a service account's token: a projected volume, external-secrets' reference, a
/// CSI driver's request.
const HOLDERS: &[&str] = &["serviceAccountToken", "serviceAccountRef", "tokenRequests"];

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    let What::Value(scalar) = sight.what else { return };
    let mut keys = sight.keys();
    let (product, allowed) = match (keys.next(), keys.next()) {
        (Some("expirationSeconds"), Some(holder)) if HOLDERS.contains(&holder) => ("Kubernetes", SECONDS),
        (Some("expirationSeconds"), Some("spec")) if sight.kind == "authentication.k8s.io/TokenRequest" => {
            ("Kubernetes", SECONDS)
        }
        // The realm's own, told by what every export has beside it.
        (Some("accessTokenLifespan"), _) if sight.has_beside("realm") => ("Keycloak", ACCESS_SECONDS),
        _ => return,
    };
    let Written::Value { text, .. } = value::written(scalar) else { return };
    let Ok(seconds) = text.parse::<i64>() else { return };
    // Zero and less mean "not set", or are refused by whoever reads them.
    if seconds <= 0 || allowed.contains(&seconds) || sight.is_shadowed() {
        return;
    }
    let span = |seconds: i64| shown(i128::from(seconds).saturating_mul(SECOND));
    let meaning = match (product, seconds < *allowed.start()) {
        ("Kubernetes", true) => {
            format!("a token lifetime of {}: the API server grants none below {}", span(seconds), span(600))
        }
        ("Kubernetes", false) => format!(
            "a token lifetime of {}: the kubelet renews it after a day at the latest, and for the rest only a stolen copy \
             is of use",
            span(seconds)
        ),
        (_, true) => format!(
            "an access token lifetime of {}: a token has expired on arrival where clocks differ by so little",
            span(seconds)
        ),
        (_, false) => {
            format!("an access token lifetime of {}: so long opens a stolen token every door", span(seconds))
        }
    };
    let wanted = if product == "Kubernetes" { "3600" } else { "300" };
    say(Remark {
        severity: Severity::Warning,
        spot: sight.spot(scalar),
        product: product.to_owned(),
        meaning,
        fix: format!("write `{}: {wanted}`", sight.key()),
    });
}
