//! The catalogue as a page for people: `docs/catalogue.md` is written from it.

use super::check_golden;
use clockwarden::inspect::Catalogue;
use clockwarden::inspect::catalogue::{Confidence, Context, Known, Meaning, Reads, Role};
use clockwarden::inspect::duration::shown;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# Catalogue

Whose settings `clockwarden lint` and the webhook know, and what a value means there; generated from \
`src/inspect/catalogue`, do not edit. A key is found in every case convention and however it is nested; where a name is \
too common for that, the last column says what else has to be there. A zero whose meaning is not known is a warning, \
never a refusal.

Each line is tried by `tests/inspect/settings.rs` on all of its surfaces, and by a file in `tests/products`.

## Settings

| product | setting | written in | default | 0 | below 0 | bare number | confidence | only |
|---|---|---|---|---|---|---|---|---|
";

const ALIKE: &str = "
## Names of services' own

Whatever the product: a key that ends in words for clock skew (`clock skew`, `clock tolerance`, `clock drift`, `leeway`, \
`allowed skew`, `skew seconds` and their like, in any case convention, with or without a unit) is a setting. With a word \
about tokens on its path (`jwt`, `oidc`, `oauth`, `token`, `auth`, `saml`, `sso`, `bearer`, `idp`, `jwks`) a zero is an \
error, without one a warning. Words that say otherwise (`refresh`, `topology`, `replication`, `price`, `cron`, \
`scheduler`, `upstream`, `kerberos`, `hmac`, `metrics` and more) silence it, but for one that only names the service \
(`DATABASE_API_JWT_LEEWAY`). With `expiry` or `expiration` and neither `jwt` nor a word of checking it is how long before \
its end a client fetches a token anew, and a warning. `src/inspect/catalogue/generic.toml` has them all. So are found: `JWT_CLOCK_SKEW_SECONDS`, `OIDC_CLOCK_SKEW`, `JWT_LEEWAY` (Laravel, Hyperf, ThinkPHP, older Open \
Zaak), `AUTH_JWT_LEEWAY_SECONDS` (ruby-jwt), `Jwt__ClockSkewMinutes` (ASP.NET Core), `jwt.clock-skew-seconds` (Spring).
## Look alike, and are left alone

| product | setting | why |
|---|---|---|
";

/// What the research knows and no document says.
const NOT_FOUND: &str = "
## Known, and not to be found in configuration

- Programs are not read: `settings.py` of Django (`SIMPLE_JWT`, `JWT_AUTH`), `config.php` of SimpleSAMLphp, `gitlab.rb`, \
Lua in nginx (`iat_slack` of lua-resty-openidc, where 0 is a real zero), options in a service's own code (PyJWT, jjwt, \
nimbus, go-jwt, jose).
- Fixed in the code: Keycloak's 15 s for client assertions, Helidon's 5 s for OpenID Connect, no tolerance at all for \
`exp` in mod_auth_openidc.
- One key, two meanings: `mp.jwt.verify.clock.skew` of Helidon, where 0 is a real zero, cannot be told from SmallRye's, \
where it is the default. It is left alone.
- A setting that is missing is reported only where its object says for certain that the product checks tokens \
(docs/rules/jwt-skew-unset.md). Where the default is `0` above, a missing setting is as exact as a zero.
";

fn meant(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Zero => "no tolerance",
        Meaning::Tightens => "less than none",
        Meaning::Default => "the default",
        Meaning::Disabled => "check off",
        Meaning::Ignored => "ignored",
        Meaning::Rejected => "not accepted",
        Meaning::Unknown => "not known",
    }
}

fn code<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    texts.into_iter().map(|text| format!("`{}`", text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What has to be there besides the key.
fn only(known: &Known) -> String {
    let one = |context: &Context| {
        let beside: Vec<&str> = context.beside.iter().map(|it| it.text.as_str()).collect();
        let within: Vec<&str> = context.within.iter().map(|within| within.text()).collect();
        let parts = [
            ("in ", code(&context.kinds)),
            ("in a file ", code(&context.files)),
            ("beside or below ", code(&beside)),
            ("within ", code(&within)),
            ("spelled ", code(&context.spelled)),
            ("", if context.auth { "with a word about tokens".to_owned() } else { String::new() }),
        ];
        let parts = parts.iter().filter(|(_, texts)| !texts.is_empty());
        parts.map(|(word, texts)| format!("{word}{texts}")).collect::<Vec<_>>().join(" and ")
    };
    let mut said: Vec<String> = known.contexts.iter().map(one).collect();
    if !known.requires.is_empty() {
        said.push(format!("counts with {}", code(known.requires.iter().map(|it| it.text.as_str()))));
    }
    let mut only = said.join("; or ");
    if !known.off_when.is_empty() {
        let off = code(known.off_when.iter().map(|it| it.text.as_str()));
        let _ = write!(only, "{}not with {off}", if only.is_empty() { "" } else { "; " });
    }
    only
}

fn line(known: &Known) -> String {
    let keys = code(known.keys.iter().map(|key| key.text()));
    let surfaces: Vec<String> = known.surfaces.iter().map(|surface| format!("{surface:?}").to_lowercase()).collect();
    let (zero, below, bare) = match &known.reads {
        Reads::Span { bare_means: Some(meaning), .. } => (known.zero, known.negative, meant(*meaning).to_owned()),
        Reads::Span { bare: Some(bare), unit_guessed, .. } => {
            (known.zero, known.negative, format!("{}{}", bare.as_str(), if *unit_guessed { "?" } else { "" }))
        }
        Reads::Span { unit_guessed: true, .. } => (known.zero, known.negative, "not known".to_owned()),
        Reads::Span { .. } => (known.zero, known.negative, "only 0".to_owned()),
        Reads::Switch { off_when } => return switch(known, &keys, &surfaces, &off_when.to_string()),
        Reads::Word { off, .. } => return switch(known, &keys, &surfaces, off),
    };
    format!(
        "| [{}]({}) | {keys} | {} | {} | {} | {} | {bare} | {} | {} |",
        known.product,
        known.source,
        surfaces.join(", "),
        if known.default.is_empty() { "not known" } else { &known.default },
        meant(zero),
        meant(below),
        sure(known),
        only(known),
    )
}

fn switch(known: &Known, keys: &str, surfaces: &[String], off: &str) -> String {
    let (product, source, surfaces) = (&known.product, &known.source, surfaces.join(", "));
    format!(
        "| [{product}]({source}) | {keys} | {surfaces} | | `{off}`: check off | | | {} | {} |",
        sure(known),
        only(known)
    )
}

fn sure(known: &Known) -> &'static str {
    match known.confidence {
        Confidence::Verified => "verified",
        Confidence::Likely => "likely",
    }
}

#[test]
fn the_page_says_what_the_catalogue_says() {
    let (mut page, mut alike) = (HEAD.to_owned(), ALIKE.to_owned());
    let mut known: Vec<&Known> = Catalogue::builtin().known().iter().collect();
    known.sort_by_key(|known| known.product.to_lowercase());
    for known in known {
        match known.role {
            Role::Product => {
                let _ = writeln!(page, "{}", line(known));
            }
            Role::Exclusion => {
                let keys = code(known.keys.iter().map(|key| key.text()));
                let _ = writeln!(alike, "| [{}]({}) | {keys} | {} |", known.product, known.source, known.note);
            }
            Role::Generic { .. } => {}
        }
    }
    check_golden(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalogue.md"),
        &format!("{page}{alike}{NOT_FOUND}"),
    );
}

/// The rules' fix is the recommended value; it is worth nothing where the policy's own bounds would complain of it.
#[test]
fn what_is_recommended_is_within_the_usual_bounds() {
    let bounds = clockwarden::inspect::Bounds::default();
    for known in Catalogue::builtin().known().iter().filter(|known| known.role != Role::Exclusion) {
        let recommended = u128::try_from(known.recommended).expect("not negative");
        let is_within = bounds.skew_min.as_nanos() <= recommended && recommended <= bounds.skew_max.as_nanos();
        assert!(is_within, "{}: {}", known.id, shown(known.recommended));
    }
}
