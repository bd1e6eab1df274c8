//! What a name and a value that stand beside a setting switch off.
//!
//! `JWT_ENABLED=false`, `auth_jwt off`, `OIDC_MODE=none`, `VERIFY_EXP=no`, `auth: {method: hmac}`: in many ways people say
//! that a feature is not used, that times are not checked, or that somebody else is asked who one is. Here is what each of
//! them is about, as letters that a setting's name may begin with.
//!
//! Does not know: where the name stands, and whether a setting belongs to what it switches off (`scope`).

use super::tree::Tree;
use super::value;
use super::words::{self, Letters};

/// Words at the end of a feature's name that its settings do not carry.
const VAGUE: &[&[u8]] = &[
    b"validation",
    b"verification",
    b"check",
    b"checks",
    b"support",
    b"filter",
    b"plugin",
    b"module",
    b"auth",
    b"authentication",
    b"login",
    b"provider",
    b"integration",
];

/// Words at the end of a name whose value says that a feature is off, if it is such a word: `OIDC_MODE=none`.
const MODES: &[&[u8]] = &[b"mode", b"type", b"state", b"status", b"provider", b"driver", b"backend", b"kind"];

/// What is not done where such a word is false.
const CHECKS: &[&[u8]] = &[b"validate", b"validation", b"verify", b"verification", b"check"];

/// What is checked by them, and needs a tolerance. Not the lifetime: that switch is told itself (ASP.NET Core), and what
/// is beside it matters once it is on again.
const TIMES: &[&[u8]] = &[b"exp", b"expiry", b"expiration", b"expires", b"time", b"times", b"timestamp", b"timestamps"];

/// What does the checking; where it is `none`, nothing does.
pub(super) const NONE_OF: &[&[u8]] = &[b"provider", b"method", b"strategy", b"backend", b"driver", b"scheme", b"kind"];

/// Ways to say who one is that have no tokens with times in them: where one of them does the checking, a tolerance
/// beside it is that of a signature, or of nothing.
const OTHER_WAYS: &[&[u8]] = &[
    b"hmac",
    b"signature",
    b"httpsignature",
    b"httpsignatures",
    b"sigv4",
    b"awssigv4",
    b"aws",
    b"apikey",
    b"basic",
    b"basicauth",
    b"httpbasic",
    b"digest",
    b"mtls",
    b"kerberos",
    b"totp",
];

/// Ways to log in that need no provider of tokens; what is given out afterwards may well be a JWT.
const LOCAL_WAYS: &[&[u8]] =
    &[b"ldap", b"local", b"db", b"database", b"internal", b"pam", b"activedirectory", b"file", b"htpasswd"];

/// What is done by a provider of tokens.
const BY_PROVIDERS: &[&[u8]] = &[b"oidc", b"openid", b"openidconnect", b"oauth", b"oauth2", b"saml", b"sso"];

/// Where tokens come from: without one, nobody's are checked.
const ISSUERS: &[&[u8]] =
    &[b"issuer", b"issueruri", b"issuerurl", b"jwksuri", b"jwksurl", b"discoveryurl", b"discoveryuri", b"authority"];

/// Keys that tokens are checked with, whoever issued them.
const KEYS: &[&[u8]] = &[
    b"secret",
    b"secretkey",
    b"publickey",
    b"publickeys",
    b"signingkey",
    b"verificationkey",
    b"key",
    b"keys",
    b"keyfile",
    b"keypath",
    b"jwks",
    b"pem",
];

/// Stands for a way to log in that has no name of its own: `auth: {method: hmac}`.
pub(super) const ANY_WAY: &[u8] = b"+";

/// So many switches of one feature are looked at.
pub(super) const SWITCHES_MAX: usize = 16;

/// What is not done where such a word is true.
const NOT: &[&[u8]] = &[b"skip", b"ignore", b"disable", b"disabled", b"no", b"without", b"bypass"];

/// Stands for a check of nothing in particular: `jwt: {verify: false}`.
pub(super) const ANY_CHECK: &[u8] = b"*";

/// Features that all token settings belong to, whatever they are called.
pub(super) const WHOLE: &[&[u8]] = &[b"auth", b"authentication", b"authn", b"security"];

/// Is there a switch in this map, and is every one off?
pub(super) fn is_all_off(tree: &Tree, left: &mut usize) -> bool {
    let entries = tree.entries();
    !entries.is_empty()
        && entries.iter().all(|entry| {
            *left = left.saturating_sub(1);
            *left > 0
                && match entry.value.text() {
                    Some(text) => value::flag(text) == Some(false),
                    None => is_all_off(&entry.value, left),
                }
        })
}

/// The features that are done in another way than with tokens: `auth` of `AUTH_PROVIDER=hmac`, `oidc` of `AUTH_TYPE=ldap`.
/// Of `jwt: {method: hmac}` it is how a token is signed.
pub(super) fn another_way(letters: &Letters, text: &str) -> Vec<Vec<u8>> {
    let words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
    let Some((last, rest)) = words.split_last() else { return Vec::new() };
    let is_way = NONE_OF.contains(last) || MODES.contains(last);
    if !is_way || !rest.iter().all(|word| WHOLE.contains(word)) {
        return Vec::new();
    }
    let way: Vec<u8> = words::of(text).collect();
    if LOCAL_WAYS.contains(&way.as_slice()) {
        return BY_PROVIDERS.iter().map(|feature| feature.to_vec()).collect();
    }
    let feature = if rest.is_empty() { ANY_WAY.to_vec() } else { rest.concat() };
    OTHER_WAYS.contains(&way.as_slice()).then_some(feature).into_iter().collect()
}

/// The feature whose tokens come from nowhere if this key has no value: `oidc` of `OIDC_ISSUER_URL=`, as charts write it
/// for whoever wants to fill it in.
pub(super) fn of_nobody(key: &str) -> Option<Vec<u8>> {
    feature_before(key, ISSUERS)
}

/// The feature that has its own keys, or an issuer after all: `jwt` of `JWT_SECRET=…`.
pub(super) fn with_keys(key: &str) -> Option<Vec<u8>> {
    feature_before(key, KEYS).or_else(|| feature_before(key, ISSUERS))
}

fn feature_before(key: &str, ends: &[&[u8]]) -> Option<Vec<u8>> {
    let letters = Letters::of([key]);
    let text = letters.text();
    let is_it = |end: &&&[u8]| text.ends_with(end) && letters.begins(text.len().saturating_sub(end.len()));
    let end = ends.iter().filter(is_it).max_by_key(|end| end.len())?;
    let stem = text.strip_suffix(*end)?;
    Some(if stem.is_empty() { ANY_CHECK.to_vec() } else { stem.to_vec() })
}

/// Could this be a word that switches something off, or a placeholder for one? The cheap question before the dear one.
pub(super) fn may_switch(text: &str) -> bool {
    const LONGEST: usize = "http-signatures".len();
    text.trim().len() <= LONGEST || text.contains("${")
}

/// On or off; `AUTH_MODE: none` is a switch too.
pub(super) fn switch(text: &str) -> Option<bool> {
    if text.trim().eq_ignore_ascii_case("none") { Some(false) } else { value::flag(text) }
}

/// The features that this switch switches off, if it does: `jwt` of `jwt.enabled=false`, `auth_jwt` and `jwt` of
/// `auth_jwt off`, `oidc` of `OIDC_MODE=none`.
pub(super) fn features(letters: &Letters, text: &str, on: bool) -> Vec<Vec<u8>> {
    let mut words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
    if words.first().is_some_and(|word| matches!(*word, b"is" | b"insecure")) {
        words.remove(0);
    }
    let switch: &[&[u8]] = if on {
        &[b"disabled", b"disable", b"inactive", b"no", b"without", b"skip", b"bypass"]
    } else {
        &[b"enabled", b"enable", b"active", b"use", b"enforce", b"enforced"]
    };
    let is_word = ["off", "none", "disabled"].iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    let is_last = |word: &&[u8]| switch.contains(word) && !matches!(*word, b"no" | b"without" | b"skip");
    // A `provider` without a name may be anybody's.
    let is_mode = |word: &&[u8]| MODES.contains(word) && (!NONE_OF.contains(word) || words.len() > 1);
    if words.last().is_some_and(|word| is_last(word) || (is_word && !on && is_mode(word))) {
        words.pop();
        if words.last() == Some(&b"is".as_slice()) {
            words.pop();
        }
    } else if words.first().is_some_and(|word| switch.contains(word)) {
        words.remove(0);
    } else if on || text.trim() == "0" {
        // A number is no switch unless its name says so.
        return Vec::new();
    }
    while words.len() > 1 && words.last().is_some_and(|word| VAGUE.contains(word)) {
        words.pop();
    }
    let whole = words.concat();
    while words.len() > 1 && words.first().is_some_and(|word| WHOLE.contains(word)) {
        words.remove(0);
    }
    let rest = words.concat();
    if rest == whole { vec![whole] } else { vec![whole, rest] }
}

/// The feature whose tokens' times nobody checks by this switch: `jwt` of `JWT_VERIFY_EXP=false`, `VERIFY_JWT=false`,
/// `jwt-check=false` and `JWT_IGNORE_EXPIRATION=true`. Of a signature that is not checked it says nothing: the times
/// may be. Of `ignoreExpiration` neither: that switch is told itself (jsonwebtoken).
pub(super) fn unchecked(letters: &Letters, on: bool) -> Option<Vec<u8>> {
    if letters.text() == b"ignoreexpiration" {
        return None;
    }
    let words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
    let at = words.iter().position(|word| if on { NOT.contains(word) } else { CHECKS.contains(word) })?;
    let is_rest = |number: usize, word: &[u8]| number != at && !(on && CHECKS.contains(&word));
    let rest: Vec<&[u8]> =
        words.iter().enumerate().filter(|(number, word)| is_rest(*number, word)).map(|(_, word)| *word).collect();
    match rest.split_last() {
        Some((last, feature)) if TIMES.contains(last) => Some(feature.concat()),
        // `JWT_SKIP_VERIFY`; of `SKIP_TLS_VERIFY` it is `tls`, which has no tolerance.
        Some(_) if on => (rest.len().saturating_add(1) < words.len()).then(|| rest.concat()),
        None if on => None,
        None => Some(ANY_CHECK.to_vec()),
        // `verify` at either end; elsewhere it is another check: `verify_signature`, `check_jwt_origin`.
        Some(_) => (at == 0 || at == rest.len()).then(|| rest.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_names_its_feature() {
        let check = |key: &str, text: &str, expected: &[&str]| {
            let found = switch(text).map(|on| features(&Letters::of([key]), text, on)).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|f| String::from_utf8_lossy(f)).collect();
            assert_eq!(found, expected, "{key} {text}");
        };
        check("enabled", "false", &[""]);
        check("enabled", "true", &[]);
        check("disabled", "true", &[""]);
        check("JWT_ENABLED", "false", &["jwt"]);
        check("JWT_ENABLED", "0", &["jwt"]);
        check("JWT_IS_ENABLED", "false", &["jwt"]);
        check("ENABLE_JWT", "no", &["jwt"]);
        check("USE_JWT", "false", &["jwt"]);
        check("jwt.validation.enabled", "false", &["jwt"]);
        check("auth.jwt.enabled", "false", &["authjwt", "jwt"]);
        check("AUTH_ENABLED", "false", &["auth"]);
        check("isActive", "false", &[""]);
        check("jwtAuthDisabled", "true", &["jwt"]);
        check("auth_jwt", "off", &["authjwt", "jwt"]);
        check("SKIP_JWT_VALIDATION", "true", &["jwt"]);
        check("skip-auth-preflight", "true", &["authpreflight", "preflight"]);
        check("no-oidc", "true", &["oidc"]);
        check("no-oidc", "false", &["nooidc"]);
        check("oidc-no", "true", &[]);
        check("auth_jwt", "on", &[]);
        check("oidc_mode", "none", &["oidc"]);
        check("oidc_mode", "0", &[]);
        check("authType", "None", &["auth"]);
        check("token_endpoint_auth_method", "none", &["tokenendpointauthmethod"]);
        check("jwt", "0", &[]);
        check("leeway", "30", &[]);
    }
}
