//! What a name that fits may still be: a label, a case of a test, a switch, a bound of what may be set, a lead time.
//!
//! The name of a setting is evidence and no proof. `JWT_IGNORE_CLOCK_SKEW=0` says that the skew is *not* ignored,
//! `minLeeway: 0` that zero may be chosen, `selector: {jwt-leeway: "0"}` chooses pods. None of them is a tolerance of
//! zero, and none is told.
//!
//! Does not know: products (only labels and tests are asked about for those too), values beyond their form.

use super::catalogue::{Convention, List};
use super::duration::{Form, Span};
use super::formats::Notation;
use super::link::{Link, Way};
use super::words::{self, Letters};

/// Is it a label, or a case of a test? `letters` are those of all keys, outermost first; the last one is the setting's.
///
/// Labels of containers in compose files are settings of what reads them (Traefik), and stand under `services`.
pub(crate) fn is_nobodys(convention: &Convention, letters: &Letters, link: &Link<'_>) -> bool {
    let keys: Vec<&[u8]> = letters.keys().collect();
    let is_compose = keys.first() == Some(&b"services".as_slice());
    let above = keys.len().saturating_sub(1);
    let ends_in_label = |key: usize| {
        let words = letters.words(letters.before_key(key), letters.before_key(key.saturating_add(1)));
        words.last().is_some_and(|word| convention.has(List::Labels, word))
    };
    (!is_compose && (0..above).any(ends_in_label))
        || above.checked_sub(1).and_then(|above| keys.get(above)).is_some_and(|key| convention.has(List::Things, key))
        || link.keys().any(is_checksum)
        || is_annotation_of_alert(&keys, link)
        || is_case(convention, link)
}

/// `checksum/config`, which charts write so that pods are made anew when a file changes.
///
/// Source: <https://helm.sh/docs/howto/charts_tips_and_tricks/#automatically-roll-deployments>.
fn is_checksum(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| matches!(prefix, "checksum" | "checksums"))
}

/// Prometheus' rules carry texts for people beside their expressions.
fn is_annotation_of_alert(keys: &[&[u8]], link: &Link<'_>) -> bool {
    keys.contains(&b"annotations".as_slice()) && link.scopes().any(|(scope, _, _)| scope.has("expr"))
}

fn is_case(convention: &Convention, link: &Link<'_>) -> bool {
    link.scopes().any(|(scope, _, _)| scope.is_case(convention.words(List::Outcomes)))
}

/// Does a word on the path say that it is about something else? One that names a service does not where the rest of the
/// name says that it is about tokens: `DATABASE_API_JWT_LEEWAY`.
pub(crate) fn is_silenced(convention: &Convention, letters: &Letters, key: &str, link: &Link<'_>) -> bool {
    let end = letters.text().len();
    let own = end.saturating_sub(key.bytes().filter(u8::is_ascii_alphanumeric).count());
    // A variable that says what it is about says so whatever it is a variable of.
    let is_variable = || letters.keys().any(|key| matches!(key, b"env" | b"environment"));
    let says = || letters.words(own, end).any(|word| convention.has(List::OfTokens, word));
    let is_so = |from: usize| {
        says_otherwise(convention, letters, (from, own), key)
            || letters.text().get(own..).is_some_and(is_issuers)
            || is_of_others(convention, letters, from)
    };
    if says() && is_variable() {
        return is_so(own);
    }
    let begin = begin_of_file(letters, link);
    let is_of_tokens = || letters.words(begin, end).any(|word| convention.is_auth(word));
    is_so(begin) || (begin > 0 && !is_of_tokens() && is_so(0))
}

/// Where the path begins, in letters, within the innermost file that the setting stands in (`a.properties` in a ConfigMap).
/// If it says in there that it is about tokens, what the file is called does not say otherwise: `scheduler.properties`.
fn begin_of_file(letters: &Letters, link: &Link<'_>) -> usize {
    let mut inside = 0_usize;
    let is_file = link.upwards().any(|link| {
        inside = inside.saturating_add(usize::from(link.key().is_some()));
        matches!(link.step, Way::Document { name: Some(_), .. })
    });
    if is_file { letters.before_key(letters.keys().count().saturating_sub(inside)) } else { 0 }
}

fn says_otherwise(convention: &Convention, letters: &Letters, (from, own): (usize, usize), key: &str) -> bool {
    let end = letters.text().len();
    let is_otherwise = |from: usize, to: usize| letters.words(from, to).any(|word| convention.has(List::Silence, word));
    if is_otherwise(from, own) || key.contains('.') {
        return is_otherwise(from, end);
    }
    let mut is_open = false;
    for lists in letters.words(own, end).map(|word| convention.lists(word)) {
        if lists.has(List::Services) {
            is_open = true;
        } else if lists.has(List::Silence) {
            return true;
        } else if lists.has(List::OfTokens) {
            is_open = false;
        }
    }
    is_open
}

/// Does a word name what has nothing to do with tokens, with no word about them behind it: `auth.kafka.clockSkew`, but not
/// `kafka.auth.clockSkew`? Right behind `jwt` or its like it is a part of what checks them: `jwt.cookie.clockSkew`. One
/// word may be two: `rate_limit`.
fn is_of_others(convention: &Convention, letters: &Letters, from: usize) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Whose {
        Ours,
        /// Until a word about tokens comes.
        Theirs,
        /// Until one comes that is certain.
        AllTheirs,
    }
    let (mut whose, mut key, mut at, mut before) = (Whose::Ours, 0_usize, from, from);
    let mut has_auth = false;
    for word in letters.words(from, letters.text().len()) {
        while letters.before_key(key.saturating_add(1)) <= at {
            key = key.saturating_add(1);
            before = at;
        }
        let end = at.saturating_add(word.len());
        let two = letters.text().get(before..end).filter(|_| before < at).unwrap_or(&[]);
        let (lists, of_two) = (convention.lists(word), convention.lists(two));
        let is_in = |list: List| lists.has(list) || of_two.has(list);
        let (is_auth, is_certain) = (lists.has(List::Auth), lists.has(List::OfTokens));
        has_auth |= is_auth;
        if is_in(List::OthersAll) {
            whose = Whose::AllTheirs;
        } else if is_in(List::Others) {
            let around = letters.before_key(key.saturating_sub(1));
            if whose == Whose::Ours && !letters.words(around, at).any(|word| convention.has(List::OfTokens, word)) {
                whose = Whose::Theirs;
            }
        } else if (whose == Whose::Theirs && is_auth) || (whose == Whose::AllTheirs && is_certain) {
            whose = Whose::Ours;
        }
        (before, at) = (at, end);
    }
    // Without a word about tokens anywhere it is no more than a doubt, which is told as such.
    whose == Whose::AllTheirs || (whose == Whose::Theirs && has_auth)
}

/// Is it the greatest drift of something? Ledgers and stores have those too, and without a word about tokens nothing can
/// be said about it.
///
/// Source: `max_clock_drift` of Tendermint's light clients (<https://github.com/cosmos/ibc>), `allowed-clock-drift` of
/// TiDB.
pub(crate) fn is_drift(letters: &Letters, key: &str) -> bool {
    let end = letters.text().len();
    let mut words = letters.words(end.saturating_sub(words::of(key).count()), end);
    words.any(|word| matches!(word, b"max" | b"maximum" | b"allowed"))
        && words.any(|word| matches!(word, b"drift" | b"clockdrift"))
}

/// Was it put aside by a sign at its name, or at that of a map that it is in: `_jwt`, `@auth/validator`, `jwt.bak`? Names
/// of variables may begin so (`_JWT_LEEWAY` of Cloud Build).
pub(crate) fn is_put_aside(link: &Link<'_>) -> bool {
    const ENDS: &[&str] = &["_", ".bak", ".old", ".orig", ".off", ".disabled", ".save"];
    let is_lower = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
    let mut is_own = true;
    link.upwards().any(|link| {
        let Way::Key { name, .. } = link.step else { return false };
        let is_leaf = std::mem::replace(&mut is_own, false);
        let may_be = name.starts_with(['_', '@', '$'])
            || ENDS.iter().any(|end| name.ends_with(end))
            || name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("disabled"));
        if !may_be || !matches!(link.notation(), Notation::Yaml | Notation::Json | Notation::Assignment) {
            return false;
        }
        // A package of npm, as in a configuration for Fastify; KrakenD's namespaces are `auth/…`.
        if name.starts_with('@') && name.contains('/') && !name.starts_with("@auth/") {
            return false;
        }
        let rest = name.trim_start_matches(['_', '@', '$']);
        let is_marked = rest.len() < name.len() && is_lower(rest);
        let words = Letters::of([name]);
        let is_disabled = || words.words(0, words.text().len()).next() == Some(b"disabled".as_slice());
        is_marked || (!is_leaf && (ENDS.iter().any(|end| name.ends_with(end)) || is_disabled()))
    })
}

/// Is it by how much an issuer moves the validity of what it issues? `notBeforeTimeSkew: 0` is an assertion that begins to
/// hold when it is made.
///
/// Source: `NotBeforeSkew` of AD FS
/// (<https://learn.microsoft.com/powershell/module/adfs/set-adfsrelyingpartytrust>), `assertionTime` of ForgeRock AM's
/// hosted identity providers.
fn is_issuers(own: &[u8]) -> bool {
    let begins = |at: usize| own.get(at..).unwrap_or(&[]);
    own.iter().enumerate().filter(|(_, letter)| **letter == b'n').any(|(at, _)| {
        let edge = [b"notbefore".as_slice(), b"notonorafter"].iter().find_map(|edge| begins(at).strip_prefix(*edge));
        edge.map(|rest| rest.strip_prefix(b"time").unwrap_or(rest)).is_some_and(|rest| rest.starts_with(b"skew"))
    })
}

/// Does a word of what an item is named for fit, or of its type, whose settings these are:
/// `filters: [{name: jwt, config: {leeway: 0}}]`?
pub(crate) fn is_of_item(link: &Link<'_>, is_such: impl Fn(&[u8]) -> bool) -> bool {
    const SETTINGS: &[&str] =
        &["config", "configuration", "conf", "settings", "options", "properties", "typed_config", "typedConfig"];
    const KINDS: &[&[u8]] = &[b"type", b"kind", b"plugin", b"provider", b"strategy", b"handler"];
    let is_named = |name: &str| {
        let letters = Letters::of([name]);
        letters.words(0, letters.text().len()).any(&is_such)
    };
    let mut below: Option<&Link<'_>> = None;
    link.upwards().any(|link| {
        let item = match (&link.step, below.map(|below| &below.step)) {
            (Way::Item { name, .. }, Some(Way::Key { name: key, scope, .. })) if SETTINGS.contains(key) => {
                Some((*name, *scope))
            }
            _ => None,
        };
        below = link.key().map(|_| link).or(below);
        item.is_some_and(|(name, scope)| {
            name.is_some_and(is_named) || KINDS.iter().any(|kind| scope.any_value(kind, is_named))
        })
    })
}

/// Is it how long before its end a token is fetched anew, as far as names tell? `ACCESS_TOKEN_EXPIRY_LEEWAY=0` is no
/// tolerance; `JWT_EXPIRATION_LEEWAY` may be one, and what is called a clock's is one. Nor is `ACCESS_TOKEN_SKEW_SECONDS`
/// one in nearly all that clients write, nor what belongs to client credentials, with which tokens are got and none checked.
///
/// Source: <https://github.com/auth0/auth0-aspnetcore-authentication/pull/247> (`AccessTokenExpirationLeeway`).
pub(crate) fn is_lead(convention: &Convention, letters: &Letters) -> bool {
    let words = || letters.words(0, letters.text().len());
    let (mut before, mut is_client, mut is_lead): (&[u8], _, _) = (&[], false, false);
    for word in words() {
        match (std::mem::replace(&mut before, word), word) {
            (b"access", b"token") => is_lead = true,
            (b"client", b"credentials") => is_client = true,
            _ => is_lead |= convention.has(List::Leads, word),
        }
    }
    let is_checked = || words().any(|word| convention.has(List::Checks, word));
    // Of OpenID Connect a client checks tokens as well.
    let is_connect = || words().any(|word| matches!(word, b"oidc" | b"openid" | b"openidconnect"));
    (is_client && !is_checked() && !is_connect())
        || (is_lead && !is_checked() && !words().any(|word| matches!(word, b"clock" | b"tolerance")))
}

/// Is it a switch or a bound? `letters` are those of all keys, `key` is the setting's, `tail` the number of letters in the
/// last part of its name.
pub(crate) fn is_switch_or_bound(
    convention: &Convention,
    letters: &Letters,
    key: &str,
    tail: usize,
    span: Option<Span>,
    link: &Link<'_>,
) -> bool {
    // Of a key that is a path, its last part: `mp.jwt.verify.clock.skew` is no switch.
    let last_part = key.rsplit(['.', '/', ':']).next().unwrap_or(key);
    let end = letters.text().len();
    let own = end.saturating_sub(words::of(last_part).count());
    let mut end = end.saturating_sub(tail);
    // The last part may have been recognised by its last word alone.
    if let Some(word @ (b"clock" | b"time")) = letters.words(own, end).last() {
        end = end.saturating_sub(word.len());
    }
    let is_number = span.is_some_and(|span| span.form == Form::Bare);
    let mut at = own;
    let is_switch = |word: &[u8]| {
        at = at.saturating_add(word.len());
        {
            let lists = convention.lists(word);
            lists.has(List::Switches) || (at == end && lists.has(List::SwitchesBefore))
        }
    };
    (is_number && letters.words(own, end).any(is_switch))
        || letters.words(own, end).last().is_some_and(|word| convention.has(List::Bounds, word))
        || is_least(convention, letters, own, link)
        || is_offset(letters, key, link)
}

/// `clockSkew` beside `clockTolerance` among what is set about proofs of possession: what is added to one's own clock,
/// which is 0 where that is right, and the tolerance itself.
///
/// Source: <https://github.com/panva/oauth4webapi/blob/main/docs/variables/clockSkew.md>, which
/// <https://github.com/auth0/nextjs-auth0> hands them to as `dpopOptions`.
fn is_offset(letters: &Letters, key: &str, link: &Link<'_>) -> bool {
    const OFFSET: &[u8] = b"clockskew";
    let is_about_proofs = memchr::memmem::find(letters.text(), b"dpop").is_some();
    let begins = letters.text().len().saturating_sub(words::of(key).count());
    let own = letters.text().get(begins..).unwrap_or(&[]);
    let Some(at) = memchr::memmem::rfind(own, OFFSET).filter(|_| is_about_proofs) else { return false };
    let stem = own.get(..at).unwrap_or(&[]);
    let is_tolerance = |key: &[u8]| key.strip_prefix(stem).is_some_and(|rest| rest.starts_with(b"clocktolerance"));
    link.scopes().next().is_some_and(|(scope, _, _)| scope.any_letters(is_tolerance))
}

/// `leewayMin` beside `leewayMax` or `maxLeeway`, `clockSkew: {min: 0, max: 60}`; its name begins at the letter `own`.
fn is_least(convention: &Convention, letters: &Letters, own: usize, link: &Link<'_>) -> bool {
    let end = letters.text().len();
    let last = letters.words(own, end).last();
    let Some(word) = last.filter(|word| convention.has(List::Bounds, word)) else { return false };
    let stem = letters.text().get(own..end.saturating_sub(word.len())).unwrap_or(&[]);
    link.scopes().next().is_some_and(|(scope, _, _)| {
        scope.any_letters(|key| {
            [key.strip_prefix(stem), key.strip_suffix(stem)]
                .into_iter()
                .flatten()
                .any(|word| convention.has(List::Greatest, word))
        })
    })
}
