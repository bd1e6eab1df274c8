//! # jwt-check-disabled
//!
//! A switch, or a value that works as one, turns off the check of the times inside of tokens.
//!
//! **Why.** Then a token is valid for ever: logging out, short lifetimes and key rotation by expiry do nothing.
//! It is usually the remains of a debugging session about clock skew, for which a tolerance is the remedy.
//!
//! **Example.** light-4j `ignoreJwtExpiry: true`, Kong jwt-signer `verify_access_token_expiry: false`, Jenkins
//! `tokenExpirationCheckDisabled: true`, node-saml `acceptedClockSkewMs: -1`.
//!
//! **Fix.** Switch the check on again and allow some seconds of clock skew.
//!
//! **What it leaves alone.** Switches of other checks; services that check no tokens at all; checks that are not
//! about tokens (HMAC dates).
//!
//! **Sources.** <https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4>; each product's own page is named in the catalogue.

use super::{Look, Rule, Verdict, error};
use crate::inspect::catalogue::Reads;
use crate::inspect::recognise::{Effect, Setting};
use crate::inspect::{Bounds, Severity};

/// See the module.
pub const RULE: Rule = Rule {
    name: "jwt-check-disabled",
    summary: "A switch, or a value that works as one, turns off the check of the times inside of tokens.",
    severity: Severity::Error,
    needles: &[],
    maps: &[],
    look: Look::Setting(check),
};

fn check(setting: &Setting<'_>, _: &Bounds) -> Option<Verdict> {
    if setting.effect != Effect::Disabled {
        return None;
    }
    let (product, passes) = (&setting.known.product, &setting.known.passes);
    match setting.known.reads {
        Reads::Switch { .. } | Reads::Word { .. } => {
            error(format!("which switches a check of token times off in {product}: {passes} pass"))
        }
        Reads::Span { .. } => {
            error(format!("which is no tolerance in {product} but switches the check off: {passes} pass"))
        }
    }
}
