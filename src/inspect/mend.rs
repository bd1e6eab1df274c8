//! A file's text with the safe fixes in it, and the proof that they are.
//!
//! Every finding knows the bytes of its value and what may stand there instead ([`Finding::spot`]). What comes of it is
//! read and looked at once more, and kept only if nothing else has changed: the same documents with the same keys, no
//! more values that differ than were written (an alias would change two), what was mended is no longer found, and
//! nothing is found that was not there. What does not hold together is tried in halves, down to single fixes.
//!
//! Does not know: files, and whether anybody wants the fixes.

use super::file::{self, Eyes, FileInspection};
use super::finding::Finding;
use super::taken::Uses;
use super::tree::{Extent, Position, Tree};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What mending gave.
#[derive(Debug)]
pub struct Mended {
    /// The text; every byte that is no mended value is as it was.
    pub text: String,
    /// What is found in it.
    pub left: FileInspection,
    /// How many findings are gone.
    pub fixed: usize,
}

/// Writes one value.
struct Edit<'f> {
    extent: Extent,
    replacement: &'f str,
    findings: Vec<Found>,
}

/// A finding as it can be found again: its document's number, rule, path, line.
type Found = (usize, &'static str, String, u32);

/// Mends what can be mended safely in a file in which `before` was found; `None` where that is nothing.
#[must_use]
pub fn mend(name: Option<&str>, text: &str, before: &FileInspection, eyes: &Eyes<'_>) -> Option<Mended> {
    mend_with(name, text, before, eyes, None)
}

/// The same, with who takes variables from the file's objects: what was found through them can be mended too.
#[must_use]
pub fn mend_with(
    name: Option<&str>,
    text: &str,
    before: &FileInspection,
    eyes: &Eyes<'_>,
    uses: Option<&Uses<'_>>,
) -> Option<Mended> {
    let edits = edits(before);
    let mut bench = Bench { name, text, before, eyes, uses, kept: Vec::new(), best: None };
    bench.add(&edits);
    let (text, left) = bench.best?;
    let fixed = bench.kept.iter().map(|edit| edit.findings.len()).sum();
    Some(Mended { text, left, fixed })
}

/// What the findings ask for, in the order of the file. Where two want the same bytes to be different things, neither.
fn edits(before: &FileInspection) -> Vec<Edit<'_>> {
    let mut edits: BTreeMap<u32, Edit<'_>> = BTreeMap::new();
    let mut disputed = HashSet::new();
    for (number, finding) in findings(before) {
        let Some(spot) = &finding.spot else { continue };
        let Some(replacement) = spot.replacement.as_deref() else { continue };
        let new = Edit { extent: spot.extent, replacement, findings: vec![found(number, finding)] };
        match edits.get_mut(&spot.extent.start) {
            Some(edit) if edit.extent == new.extent && edit.replacement == new.replacement => {
                edit.findings.extend(new.findings);
            }
            Some(_) => {
                disputed.insert(spot.extent.start);
            }
            None => {
                edits.insert(spot.extent.start, new);
            }
        }
    }
    let mut end = 0;
    let is_free = |edit: &Edit<'_>| {
        let is_free = edit.extent.start >= end && !disputed.contains(&edit.extent.start);
        end = end.max(edit.extent.end);
        is_free
    };
    edits.into_values().filter(is_free).collect()
}

fn findings(file: &FileInspection) -> impl Iterator<Item = (usize, &Finding)> {
    let documents = file.documents.iter().enumerate();
    documents.flat_map(|(number, (_, found))| found.findings.iter().map(move |finding| (number, finding)))
}

fn found(number: usize, finding: &Finding) -> Found {
    (number, finding.rule, finding.path.to_string(), finding.at.line)
}

/// Where edits are tried.
struct Bench<'t> {
    name: Option<&'t str>,
    text: &'t str,
    before: &'t FileInspection,
    eyes: &'t Eyes<'t>,
    uses: Option<&'t Uses<'t>>,
    kept: Vec<&'t Edit<'t>>,
    best: Option<(String, FileInspection)>,
}

impl<'t> Bench<'t> {
    /// Keeps as many of these as hold together with those that are kept.
    fn add<'e: 't>(&mut self, edits: &'e [Edit<'t>]) {
        if edits.is_empty() {
            return;
        }
        let mut all = self.kept.clone();
        all.extend(edits);
        all.sort_by_key(|edit| edit.extent.start);
        if let Some((text, left)) = self.attempt(&all) {
            self.kept = all;
            self.best = Some((text, left));
        } else if edits.len() > 1 {
            let (first, second) = edits.split_at(edits.len() / 2);
            self.add(first);
            self.add(second);
        }
    }

    fn attempt(&self, edits: &[&Edit<'_>]) -> Option<(String, FileInspection)> {
        let text = applied(self.text, edits)?;
        let (old, new) = (self.documents(self.text)?, self.documents(&text)?);
        let mut changed = Vec::new();
        if old.len() != new.len() || !old.iter().zip(&new).all(|(old, new)| is_alike(old, new, &mut changed)) {
            return None;
        }
        let places: BTreeSet<Position> = changed.iter().copied().collect();
        if places.len() != changed.len() || changed.len() > edits.len() {
            return None;
        }
        let left = self.eyes.look_with(self.name, &text, self.uses);
        self.is_better(&left, edits).then_some((text, left))
    }

    fn documents(&self, text: &str) -> Option<Vec<Tree>> {
        file::parsed(self.name, text, self.eyes.limits, super::formats::yaml::documents).map(|parsed| parsed.documents)
    }

    /// Are those gone that were mended, and no others come?
    fn is_better(&self, left: &FileInspection, edits: &[&Edit<'_>]) -> bool {
        let notes = |file: &FileInspection| {
            file.notes.len() + file.documents.iter().map(|(_, found)| found.notes.len()).sum::<usize>()
        };
        let mended: HashSet<&Found> = edits.iter().flat_map(|edit| &edit.findings).collect();
        let mut known: HashMap<Found, usize> = HashMap::new();
        for (number, finding) in findings(self.before) {
            let found = found(number, finding);
            if !mended.contains(&found) {
                *known.entry(found).or_default() += 1;
            }
        }
        // Beyond the limit there may be more, which come to light now.
        let most = self.eyes.limits.settings;
        let is_full = self.before.documents.iter().any(|(_, found)| found.findings.len() >= most);
        let is_known = |found: Found| match known.get_mut(&found) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => is_full && !mended.contains(&found),
        };
        left.suppressed.len() == self.before.suppressed.len()
            && notes(left) <= notes(self.before)
            && findings(left).map(|(number, finding)| found(number, finding)).all(is_known)
    }
}

/// The text with other values in it.
fn applied(text: &str, edits: &[&Edit<'_>]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        let (start, end) = (usize::try_from(edit.extent.start).ok()?, usize::try_from(edit.extent.end).ok()?);
        out.push_str(text.get(done..start)?);
        out.push_str(edit.replacement);
        done = end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// The same keys and items in the same order? Where values differ, `changed` gets the old one's place.
fn is_alike(old: &Tree, new: &Tree, changed: &mut Vec<Position>) -> bool {
    match (old, new) {
        (Tree::Scalar(old), Tree::Scalar(new)) => {
            changed.extend((old.text != new.text).then_some(old.at));
            true
        }
        (Tree::Map(old), Tree::Map(new)) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|(old, new)| old.key == new.key && is_alike(&old.value, &new.value, changed))
        }
        (Tree::List(old), Tree::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_alike(old, new, changed))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Bounds, Catalogue, Limits};

    /// What a file becomes; `None`: as it is.
    fn check(name: &str, text: &str, expected: Option<&str>) {
        let (bounds, limits) = (Bounds::default(), Limits::default());
        let eyes = Eyes { catalogue: Catalogue::builtin(), bounds: &bounds, limits: &limits };
        let before = eyes.look(Some(name), text);
        let mended = mend(Some(name), text, &before, &eyes);
        assert_eq!(mended.as_ref().map(|mended| mended.text.as_str()), expected, "{:?}", before.documents);
        let Some(mended) = mended else { return };
        let (had, has) = (findings(&before).count(), findings(&mended.left).count());
        assert_eq!(had, has + mended.fixed, "{text}");
        assert!(mend(Some(name), &mended.text, &mended.left, &eyes).is_none(), "{text}");
    }

    #[test]
    fn a_value_is_written_in_its_own_form() {
        check("a.yaml", "jwt:\n  leeway: 0 # why\n", Some("jwt:\n  leeway: 30 # why\n"));
        check("a.yaml", "jwt: {leeway: '0'}", Some("jwt: {leeway: '30'}"));
        check("a.yaml", "jwt:\r\n  clockSkew: 0s\r\n", Some("jwt:\r\n  clockSkew: 30s\r\n"));
        check("a.yaml", "jwt: {clockSkew: 00:00:00}\n", Some("jwt: {clockSkew: \"00:00:30\"}\n"));
        check("a.yaml", "jwt: {clockSkew: PT0S}\n", Some("jwt: {clockSkew: PT30S}\n"));
        check("a.yaml", "jwt: {leeway: \"${LEEWAY:-0}\"}\n", Some("jwt: {leeway: \"${LEEWAY:-30}\"}\n"));
        check("a.json", "\u{feff}{\"jwt\": {\"leeway\":0}}", Some("\u{feff}{\"jwt\": {\"leeway\":30}}"));
        check("a.properties", "jwt.leeway = 0", Some("jwt.leeway = 30"));
        check("a.env", "export JWT_LEEWAY='0'\r\n", Some("export JWT_LEEWAY='30'\r\n"));
        check("a.toml", "[jwt]\nleeway = \"0s\"", Some("[jwt]\nleeway = \"30s\""));
        check("web.xml", "<jwt><leeway>0</leeway></jwt>", Some("<jwt><leeway>30</leeway></jwt>"));
        check("a.ini", "[jwt]\nleeway=0\n", Some("[jwt]\nleeway=30\n"));
    }

    /// A bare number would be refused there, or count something else.
    #[test]
    fn where_only_zero_is_read_without_a_unit_a_unit_is_written() {
        let realm = "xpack.security.authc.realms.jwt.j.allowed_clock_skew: ";
        check("elasticsearch.yml", &format!("{realm}0\n"), Some(&format!("{realm}60s\n")));
        let krakend = |leeway: &str| format!(r#"{{"extra_config": {{"auth/validator": {{"leeway": "{leeway}"}}}}}}"#);
        check("krakend.json", &krakend("0"), Some(&krakend("10s")));
        let liberty = |element: &str, skew: &str| format!("<server><{element} clockSkew=\"{skew}\"/></server>");
        check("server.xml", &liberty("mpJwt", "0"), Some(&liberty("mpJwt", "300s")));
        check("server.xml", &liberty("mpJwt", "1000"), None);
        // What falls back to a default for want of a unit gets one, and stays the number that was meant.
        check("krakend.json", &krakend("20"), Some(&krakend("20s")));
        check("server.xml", &liberty("openidConnectClient", "0"), Some(&liberty("openidConnectClient", "300s")));
    }

    /// Milliseconds, or meant: nobody can tell which.
    #[test]
    fn thousands_of_a_unit_that_is_not_written_are_for_a_person() {
        check("a.properties", "jwt.clock.skew=300000\n", None);
        check("a.json", r#"{"jwt": {"clockTolerance": 5000}}"#, None);
        check("a.properties", "jwt.clock.skew=600\n", Some("jwt.clock.skew=30\n"));
    }

    #[test]
    fn a_number_where_dotnet_reads_a_span_is_for_a_person() {
        let settings = |value: &str| format!(r#"{{"Jwt": {{"ClockSkew": {value}}}}}"#);
        check("appsettings.json", &settings("0"), None);
        check("appsettings.json", &settings("5"), None);
        check("appsettings.json", &settings("\"0\""), Some(&settings("\"00:00:30\"")));
    }

    #[test]
    fn what_dotnet_may_read_as_days_is_for_a_person() {
        check("a.env", "Jwt__AllowedClockSkew=0\n", None);
        check("appsettings.json", r#"{"Jwt": {"ClockSkewTolerance": "0"}}"#, None);
        check("a.env", "Jwt__ClockSkewSeconds=0\n", Some("Jwt__ClockSkewSeconds=30\n"));
        check("a.env", "APP__JWT_LEEWAY=0\n", Some("APP__JWT_LEEWAY=30\n"));
    }

    #[test]
    fn a_value_beside_its_unit_is_mended_in_it() {
        let leeway = |value: &str, unit: &str| format!("jwt: {{leeway: {{value: {value}, unit: {unit}}}}}\n");
        for (unit, mended) in [("s", "30"), ("minutes", "1"), ("ms", "30000")] {
            check("a.yaml", &leeway("0", unit), Some(&leeway(mended, unit)));
        }
    }

    #[test]
    fn the_unit_of_an_element_is_read_however_it_is_written() {
        let saml = |unit: &str, skew: &str| {
            format!("<SP><IDP entityID=\"i\"><AllowedClockSkew{unit}>{skew}</AllowedClockSkew></IDP></SP>")
        };
        for unit in [" unit=\"MILLISECONDS\"", "\n\t\tunit=\"MILLISECONDS\"", " unit = 'MILLISECONDS'"] {
            check("keycloak-saml.xml", &saml(unit, "30000"), None);
            check("keycloak-saml.xml", &saml(unit, "0"), Some(&saml(unit, "30000")));
        }
        check("keycloak-saml.xml", &saml("\tunit=\"MINUTES\"", "10"), Some(&saml("\tunit=\"MINUTES\"", "1")));
    }

    #[test]
    fn a_value_inside_of_a_value_is_written_where_it_stands() {
        let pod =
            |args: &str| format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    args: [{args}]\n");
        check("a.yaml", &pod("a, --jwt-leeway=0"), Some(&pod("a, --jwt-leeway=30")));
        check("a.yaml", &pod("a, \"--jwt-leeway=0s\""), Some(&pod("a, \"--jwt-leeway=30s\"")));
        check("a.yaml", &pod("--jwt-leeway, '0'"), Some(&pod("--jwt-leeway, '30'")));
        let map = |value: &str| {
            format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  a.properties: |\n    jwt.leeway={value}\n")
        };
        check("a.yaml", &map("0"), Some(&map("30")));
        let json = |value: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.json: \"{{\\\"jwt\\\":{{\\\"leeway\\\":{value}}}}}\"\n"
            )
        };
        check("a.yaml", &json("0"), Some(&json("30")));
    }

    #[test]
    fn what_stands_for_several_values_is_left_to_a_person() {
        check("a.yaml", "jwt: {leeway: &z 0}\nreplicas: *z\n", None);
        check("a.yaml", "a: &a {jwt: {leeway: 0}}\nb: *a\n", None);
        let text =
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.properties: &a |\n    jwt.leeway=0\n  b.properties: *a\n";
        check("a.yaml", text, None);
        // The rest of the file is mended all the same.
        check(
            "a.yaml",
            "jwt: {leeway: &z 0}\nb: *z\noidc: {leeway: 0}\n",
            Some("jwt: {leeway: &z 0}\nb: *z\noidc: {leeway: 30}\n"),
        );
    }

    #[test]
    fn what_is_not_certain_is_left_to_a_person() {
        check("a.yaml", "clockSkew: 0\n", None);
        check("a.yaml", "jwt: {leeway: 30}\n", None);
        check("a.yaml", "jwt: {leeway: \"\\x30\"}\n", None);
        check("a.yaml", "jwt: {leeway: 0} # clockwarden:ignore jwt-skew-zero test\n", None);
    }

    #[test]
    fn a_template_is_mended_as_it_stands() {
        let text = |value: &str| {
            format!(
                "{{{{- if .a }}}}\napiVersion: v1\nkind: ConfigMap\ndata:\n  JWT_LEEWAY: \"{value}\"\n  b: {{{{ .é }}}}\n{{{{- end }}}}\n"
            )
        };
        check("templates/a.yaml", &text("0"), Some(&text("30")));
    }
}
