//! # jwt-skew-unset
//!
//! A product that checks tokens is told no tolerance for clock skew, and its default is none at all.
//!
//! **Why.** What nobody wrote is as exact as a zero: a token is refused as soon as two clocks differ. It is the more
//! common way to no tolerance, because nobody reviews a line that is not there.
//!
//! **Example.** A `KongPlugin` with `plugin: openid-connect` and no `config.leeway`; an identity provider of a
//! `KeycloakRealmImport` with no `allowedClockSkew`; an `ApisixConsumer` whose `jwtAuth` has no `lifetime_grace_period`.
//!
//! **Fix.** Write the setting: `leeway: 30`.
//!
//! **What it leaves alone.** Every product whose default is a tolerance, is not documented, or cannot be told from the
//! object; a plugin or provider that is switched off; a `configFrom` that this object does not show. It never refuses.
//!
//! **Sources.** <https://developer.konghq.com/plugins/openid-connect/reference/>,
//! <https://github.com/keycloak/keycloak/blob/main/server-spi/src/main/java/org/keycloak/models/IdentityProviderModel.java>,
//! <https://github.com/apache/apisix/blob/master/apisix/plugins/jwt-auth.lua>

use super::{Look, Rule, Severity};
use crate::inspect::catalogue::{Absence, Condition, Known, Reads};
use crate::inspect::scope::fits;
use crate::inspect::sight::{Branch, Remark, Sight, What};
use crate::inspect::tree::Tree;
use crate::inspect::words::Letters;

/// See the module. Its needles are the catalogue's kinds.
pub const RULE: Rule = Rule {
    name: "jwt-skew-unset",
    summary: "A product that checks tokens is told no tolerance for clock skew, and its default is none at all.",
    severity: Severity::Warning,
    needles: &[],
    maps: &[],
    look: Look::Sight(look),
};

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    let What::Object(object) = sight.what else { return };
    for known in sight.catalogue.known() {
        if let Some(absence) = known.absence.as_ref().filter(|absence| absence.kinds.iter().any(|it| it == sight.kind))
        {
            descend(&Branch::root(object), &absence.holder, known, absence, say);
        }
    }
}

/// Follows the way to the maps that would hold the setting.
fn descend(at: &Branch<'_>, way: &[String], known: &Known, absence: &Absence, say: &mut dyn FnMut(Remark)) {
    match way {
        [] => {}
        [star, rest @ ..] if star == "*" => at.items().for_each(|item| descend(&item, rest, known, absence, say)),
        [last] => {
            if let Some(remark) = judge(at, last, known, absence) {
                say(remark);
            }
        }
        [key, rest @ ..] => {
            if let Some(below) = at.get(key) {
                descend(&below, rest, known, absence, say);
            }
        }
    }
}

/// `around` is the plugin or provider, `holder` its map of settings.
fn judge(around: &Branch<'_>, holder: &str, known: &Known, absence: &Absence) -> Option<Remark> {
    let entries = around.tree.entries();
    let holds = |condition: &Condition| {
        entries.iter().any(|entry| {
            Letters::of([entry.key.as_str()]).text() == condition.key.as_slice()
                && entry.value.text().is_some_and(|value| fits(&condition.value, value) != condition.is_other)
        })
    };
    let switch = |key: &str, off: &str| around.tree.get(key).and_then(Tree::text).is_some_and(|value| value != off);
    let is_elsewhere = entries.iter().any(|entry| entry.key != holder && entry.key.starts_with(holder));
    let is_used = absence.when.is_empty() || absence.when.iter().any(holds);
    if !is_used || switch("enabled", "true") || switch("disabled", "false") || is_elsewhere {
        return None;
    }
    let config = around.get(holder).filter(|config| matches!(config.tree, Tree::Map(_)))?;
    let name = &absence.key;
    let wanted = Letters::of([name.as_str()]);
    if config.tree.entries().iter().any(|entry| Letters::of([entry.key.as_str()]).text() == wanted.text()) {
        return None;
    }
    let Reads::Span { bare: Some(bare), .. } = known.reads else { return None };
    let wanted = known.recommended.checked_div(bare.nanos())?;
    Some(Remark {
        severity: Severity::Warning,
        spot: config.spot(),
        product: known.product.clone(),
        meaning: format!(
            "has no {name}, and without one {} takes {}: a token is refused as soon as the clock that checks it differs \
             from its issuer's",
            known.product, known.default
        ),
        fix: format!("write `{name}: {wanted}` in it"),
    })
}
