//! Every setting of the catalogue, written wherever it may stand, is found there and says what it means there.
//!
//! The files in `tests/products` look like real ones; these are made from the catalogue itself, so that no spelling, no
//! surface and no context of an entry goes untried, and a new entry is tried the moment it is written.

use crate::written::{self, Sample};
use clockwarden::inspect::catalogue::{Condition, Context, Known, Meaning, Reads, Role, Surface};
use clockwarden::inspect::duration::{SECOND, Unit};
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::words::Pattern;
use clockwarden::inspect::{Bounds, Catalogue, Finding, Limits, Severity, inspect, inspect_file};

/// What is said about a value: the rule and how bad; nothing where the value is harmless there.
type Said = Option<(&'static str, Severity)>;

const ZERO: Said = Some(("jwt-skew-zero", Severity::Error));
const DOUBTFUL: Said = Some(("jwt-skew-zero", Severity::Warning));
const LARGE: Said = Some(("jwt-skew-too-large", Severity::Warning));
const DISABLED: Said = Some(("jwt-check-disabled", Severity::Error));

/// What is said about a sample.
fn found(sample: &Sample) -> Vec<Finding> {
    let Sample { file, text, .. } = sample;
    let seen = inspect_file(Some(file), text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
    seen.documents.into_iter().flat_map(|(_, seen)| seen.findings).collect()
}

/// Looks at a sample: exactly this is said, by this entry, at the place of the value.
fn check(sample: &Sample, entry: &str, expected: Said) -> Result<(), String> {
    let Sample { file, text, value } = sample;
    let found = found(sample);
    let said: Vec<Said> = found.iter().map(|found| Some((found.rule, found.severity))).collect();
    let told = |what: &str| Err(format!("{entry}: {what}: wanted {expected:?}, said {said:?}\n--- {file}\n{text}\n"));
    let Some(found) = found.first() else { return if expected.is_none() { Ok(()) } else { told("not found") } };
    if said != [expected] {
        return told("something else is said");
    }
    if found.entry != entry {
        return told(&format!("found as {}", found.entry));
    }
    let line = usize::try_from(found.at.line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let column = usize::try_from(found.at.column).unwrap_or(0);
    let there: String = line.unwrap_or("").chars().skip(column.saturating_sub(1)).collect();
    if !there.starts_with(value.as_str()) {
        return told(&format!("at {}:{} stands {there:?}", found.at.line, found.at.column));
    }
    if let Some(fault) = at_admission(text, entry, expected) {
        return told(&fault);
    }
    match &found.spot {
        Some(spot) if spot.extent.of(text) != Some(value) => told("the spot is not the value"),
        _ => Ok(()),
    }
}

/// The same object as the API server sends it: it has to be read at all, and the same has to be said.
fn at_admission(text: &str, entry: &str, expected: Said) -> Option<String> {
    if !text.starts_with("apiVersion:") {
        return None;
    }
    let object: serde_json::Value = match serde_saphyr::from_str(text) {
        Ok(object) => object,
        Err(error) => return Some(format!("the sample is no YAML: {error}")),
    };
    let json = object.to_string();
    if !Catalogue::builtin().mentions(json.as_bytes()) {
        return Some("at admission it is not even read".to_owned());
    }
    let Ok(tree) = tree_from_json(json.as_bytes(), &Limits::default()) else {
        return Some("the sample is no JSON".to_owned());
    };
    let found = inspect(&tree, Catalogue::builtin(), &Bounds::default(), &Limits::default()).findings;
    let said: Vec<Said> = found.iter().map(|found| Some((found.rule, found.severity))).collect();
    let is_same = said == [expected] && found.iter().all(|found| found.entry == entry);
    (!is_same).then(|| format!("at admission {said:?}"))
}

/// Values to try, and what is said about each by an entry.
fn probes(known: &Known) -> Vec<(String, Said)> {
    let said = |meaning: Meaning| match meaning {
        Meaning::Zero | Meaning::Tightens => ZERO,
        Meaning::Unknown => DOUBTFUL,
        Meaning::Disabled => DISABLED,
        Meaning::Default | Meaning::Ignored | Meaning::Rejected => None,
    };
    let probe = |text: &str, said: Said| (text.to_owned(), said);
    match &known.reads {
        Reads::Switch { off_when } => {
            vec![probe(&off_when.to_string(), DISABLED), probe(&(!off_when).to_string(), None)]
        }
        Reads::Word { off, on } => vec![probe(off, DISABLED), probe(on, None)],
        Reads::Span { bare, bare_means, .. } => {
            let seconds = known.recommended / SECOND;
            let good = match bare {
                Some(Unit::Days) => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
                Some(bare) if bare_means.is_none() => (known.recommended / bare.nanos()).to_string(),
                _ => format!("{seconds}s"),
            };
            let zeros =
                ["0", "0s", "0ms", "0 seconds", "PT0S", "00:00:00", "0.0"].map(|text| probe(text, said(known.zero)));
            let below = ["-1", "-1s"].map(|text| probe(text, said(known.negative)));
            let others = [probe(&good, None), probe("2h", LARGE), probe("", None), probe("${SKEW}", None)];
            let bare = bare_means.map(|_| probe("60", DOUBTFUL));
            zeros.into_iter().chain(below).chain(others).chain(bare).collect()
        }
    }
}

/// No context is a context too.
fn contexts(known: &Known) -> Vec<Context> {
    if known.contexts.is_empty() { vec![Context::default()] } else { known.contexts.clone() }
}

#[test]
fn each_is_found_wherever_it_is_written() {
    let mut faults = Vec::new();
    let mut count = 0_usize;
    for known in Catalogue::builtin().known().iter().filter(|known| known.role == Role::Product) {
        let contexts = contexts(known);
        let mut tried = vec![false; contexts.len()];
        for (key, surface) in
            known.keys.iter().flat_map(|key| known.surfaces.iter().map(move |surface| (key, *surface)))
        {
            let mut is_written = false;
            for (context, tried) in contexts.iter().zip(&mut tried) {
                for (number, (value, expected)) in probes(known).into_iter().enumerate() {
                    let samples = written::samples(key, surface, context, &known.requires, None, &value);
                    (is_written, *tried) = (is_written || !samples.is_empty(), *tried || !samples.is_empty());
                    // One value is enough for all the ways in which it can be written.
                    let most = if number == 0 { usize::MAX } else { 1 };
                    for sample in samples.iter().take(most) {
                        count += 1;
                        faults.extend(check(sample, &known.id, expected).err());
                    }
                }
            }
            if !is_written {
                faults.push(format!("{}: {} cannot be written as {surface:?}", known.id, key.text()));
            }
        }
        if tried.contains(&false) {
            faults.push(format!("{}: of its contexts, only {tried:?} were tried: {contexts:?}", known.id));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert!(count > 3000, "{count} samples: the catalogue is not walked");
}

/// With a word beside it that would otherwise make a setting about tokens of it.
#[test]
fn what_looks_alike_is_left_alone() {
    let mut faults = Vec::new();
    for known in Catalogue::builtin().known().iter().filter(|known| known.role == Role::Exclusion) {
        for (key, surface) in
            known.keys.iter().flat_map(|key| known.surfaces.iter().map(move |surface| (key, *surface)))
        {
            let mut is_written = false;
            for context in contexts(known) {
                for (value, around) in [("0", None), ("0", Some("jwt")), ("-1", Some("oidc")), ("3600", Some("token"))]
                {
                    for sample in written::samples(key, surface, &context, &known.requires, around, value) {
                        is_written = true;
                        faults.extend(check(&sample, &known.id, None).err());
                    }
                }
            }
            if !is_written {
                faults.push(format!("{}: {} cannot be written as {surface:?}", known.id, key.text()));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Exports and shipped files hold every setting, used or not.
#[test]
fn what_the_same_document_switches_off_is_no_finding() {
    let mut faults = Vec::new();
    let mut count = 0_usize;
    for known in Catalogue::builtin().known().iter().filter(|known| known.role == Role::Product) {
        let zero = probes(known).into_iter().find(|(_, said)| said.is_some());
        let Some((value, _)) = zero else { continue };
        let without = (!known.requires.is_empty()).then(Vec::new);
        let switched = known.off_when.iter().map(|off| known.requires.iter().chain([off]).cloned().collect());
        for beside in without.into_iter().chain(switched) {
            let beside: Vec<Condition> = beside;
            for (surface, context) in known
                .surfaces
                .iter()
                .flat_map(|surface| contexts(known).into_iter().map(move |context| (*surface, context)))
            {
                // Where keys are nested such a condition stands further out (`each_tenant_has_a_switch_of_its_own`).
                if surface == Surface::Yaml && beside.iter().any(|condition| condition.star.is_some()) {
                    continue;
                }
                for sample in
                    known.keys.iter().flat_map(|key| written::samples(key, surface, &context, &beside, None, &value))
                {
                    count += 1;
                    // What switches it off may well be a fault of its own.
                    if found(&sample).iter().any(|found| found.entry == known.id) {
                        faults.push(format!("{}: found all the same\n--- {}\n{}", known.id, sample.file, sample.text));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert!(count > 100, "{count} samples");
}

/// Names of services' own: refused with a word about tokens, doubted without one.
#[test]
fn the_convention_holds_on_every_surface() {
    let surfaces = [
        Surface::Env,
        Surface::Arg,
        Surface::Resource,
        Surface::Yaml,
        Surface::Json,
        Surface::Properties,
        Surface::Toml,
        Surface::Ini,
        Surface::Xml,
        Surface::Hcl,
        Surface::Hocon,
    ];
    let mut faults = Vec::new();
    for known in Catalogue::builtin().known() {
        let Role::Generic { strong, .. } = known.role else { continue };
        for (key, surface) in known.keys.iter().flat_map(|key| surfaces.iter().map(move |surface| (key, *surface))) {
            let of = |around: &str, expected: Said| {
                let samples = written::samples(key, surface, &Context::default(), &[], Some(around), "0");
                assert!(!samples.is_empty(), "{} as {surface:?}", key.text());
                // The index of an entry depends on nothing that a document says.
                samples.into_iter().take(2).filter_map(move |sample| check(&sample, &known.id, expected).err())
            };
            faults.extend(of("sso", if strong { ZERO } else { DOUBTFUL }));
            faults.extend(of("shop", if strong { DOUBTFUL } else { None }));
            faults.extend(of("scheduler", None));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_sample_is_the_setting_that_it_is_made_of() {
    let key = Pattern::new("realms.jwt.*.allowed_skew").expect("a key");
    let wanted = |surface, expected: &str| {
        let samples = written::samples(&key, surface, &Context::default(), &[], None, "0");
        assert!(samples.iter().any(|sample| sample.text.contains(expected)), "{expected}: {samples:#?}");
    };
    wanted(Surface::Env, "REALMS_JWT_ONE_ALLOWED_SKEW");
    wanted(Surface::Arg, "--realms.jwt.one.allowed_skew=0");
    wanted(Surface::Properties, "realms.jwt.one.allowed_skew=0");
    wanted(Surface::Ini, "[realms.jwt.one]\nallowed_skew = 0");
    wanted(Surface::Xml, "<allowed_skew>0</allowed_skew>");
}

/// Names that several unrelated services share, as they stand in public files.
#[test]
fn the_names_that_many_services_use_are_refused_at_zero() {
    let names = [
        ("JWT_CLOCK_SKEW_SECONDS", "0"),
        ("JWT_CLOCK_SKEW", "0s"),
        ("OIDC_CLOCK_SKEW_SECONDS", "0"),
        ("OIDC_CLOCK_SKEW", "0s"),
        ("JWT_CLOCK_TOLERANCE_SECONDS", "0"),
        ("AUTH_JWT_LEEWAY_SECONDS", "0"),
        ("AUTH_JWT_CLOCK_SKEW_SECONDS", "0"),
        ("APP_JWT_CLOCK_SKEW_LEEWAY", "0s"),
        ("JWT_LEEWAY", "0"),
        ("SHOP_JWT_LEEWAY", "0"),
        ("AUTH0_CLOCK_TOLERANCE_SECONDS", "0"),
        ("Jwt__ClockSkewSeconds", "0"),
        ("JwtSettings__TokenValidation__ClockSkewMinutes", "0"),
        ("JWT_MAX_CLOCK_SKEW_SECONDS", "0"),
    ];
    let keys = [
        "jwt.clock-skew-seconds",
        "app.security.jwt.clock-skew-seconds",
        "security.jwt.clock-skew",
        "jwt.allowed-clock-skew-seconds",
    ];
    let look = |file: &str, text: &str| -> Vec<(String, Said)> {
        let seen = inspect_file(Some(file), text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
        let found = seen.documents.iter().flat_map(|(_, seen)| &seen.findings);
        found.map(|found| (found.value.clone(), Some((found.rule, found.severity)))).collect()
    };
    for (name, value) in names {
        assert_eq!(look(".env", &format!("{name}={value}\n")), [(value.to_owned(), ZERO)], "{name}");
        let map = format!("services: {{app: {{environment: {{{name}: \"{value}\"}}}}}}");
        assert_eq!(look("compose.yaml", &map), [(value.to_owned(), ZERO)], "{name}");
        assert_eq!(look(".env", &format!("{name}=4\n")).len(), 0, "{name}");
    }
    for (key, file) in keys.iter().flat_map(|key| [(key, "application.properties"), (key, "shop.properties")]) {
        assert_eq!(look(file, &format!("{key}=0\n")), [("0".to_owned(), ZERO)], "{key} in {file}");
    }
}
