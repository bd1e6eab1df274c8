//! Round trip: what is reported is what was written and where, and mending changes that and nothing else.
//!
//! Documents are generated in every format, alone and inside of a ConfigMap, with other line ends, a byte order mark or no
//! end. Signs that stand in no document mark each value that means no tolerance, go through everything that happens to
//! the text, and are taken out at last: so its place is known without asking the engine.

use super::corpus;
use clockwarden::inspect::Eyes;
use clockwarden::inspect::mend::mend;
use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Finding, Limits, Severity};
use proptest::prelude::*;
use std::fmt::Write as _;

/// Around a value that must be found.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

#[derive(Debug, Clone)]
struct Setting {
    key: &'static str,
    value: &'static str,
    comment: String,
    /// Which of the format's ways to quote.
    quote: usize,
}

#[derive(Debug, Clone)]
struct Section {
    word: &'static str,
    settings: Vec<Setting>,
}

const ZEROS: &[&str] = &["0", "0s", "0ms", "PT0S", "00:00:00", "0.0"];
const OTHERS: &[&str] = &["30", "30s", "PT30S", "00:00:30", "5"];

/// How a format writes sections of settings. The last is its name inside of a ConfigMap, and as a file.
type Writer = (&'static str, fn(&[Section]) -> String, &'static str);

const WRITERS: &[Writer] = &[
    ("yaml", yaml, "a.yaml"),
    ("json", json, "a.json"),
    ("properties", properties, "a.properties"),
    ("dotenv", dotenv, "a.env"),
    ("toml", toml, "a.toml"),
    ("ini", ini, "a.ini"),
    ("xml", xml, "a.xml"),
    ("apache", apache, "httpd.conf"),
    ("nginx", nginx, "nginx.conf"),
    ("hcl", hcl, "a.hcl"),
    ("hocon", hocon, "application.conf"),
    ("jaas", jaas, "a.jaas"),
];

/// The value as it is written, marked where it has to be found.
fn marked(setting: &Setting) -> String {
    let value = setting.value;
    if ZEROS.contains(&value) { format!("{OPEN}{value}{CLOSE}") } else { value.to_owned() }
}

/// In one of these pairs of quotes; the first is none, for numbers only where `needs` says so.
fn quoted(setting: &Setting, quotes: &[&str], needs: bool) -> String {
    let is_number = setting.value.parse::<f64>().is_ok();
    let first = usize::from(needs && !is_number);
    let quote = quotes.get(first..).and_then(|quotes| quotes.get(setting.quote % quotes.len())).expect("a quote");
    format!("{quote}{}{quote}", marked(setting))
}

fn each(sections: &[Section]) -> impl Iterator<Item = (usize, &Section, &Setting)> {
    let numbered = sections.iter().enumerate();
    numbered.flat_map(|(number, section)| section.settings.iter().map(move |setting| (number, section, setting)))
}

/// One block for each section.
fn blocks(sections: &[Section], open: fn(&str) -> String, line: fn(&Setting) -> String, close: &str) -> String {
    let mut out = String::new();
    for (number, Section { word, settings }) in sections.iter().enumerate() {
        let _ = writeln!(out, "{}", open(&format!("{word}{number}")));
        for setting in settings {
            let _ = writeln!(out, "{}", line(setting));
        }
        out.push_str(close);
    }
    out
}

fn yaml(sections: &[Section]) -> String {
    let line = |it: &Setting| format!("  {}: {} # {}", it.key, quoted(it, &["", "\"", "'"], false), it.comment);
    blocks(sections, |name| format!("{name}:"), line, "")
}

fn json(sections: &[Section]) -> String {
    let of = |(number, Section { word, settings }): (usize, &Section)| {
        let line = |it: &Setting| format!("\"{}\": {} /* {} */", it.key, quoted(it, &["", "\""], true), it.comment);
        format!("\"{word}{number}\": {{{}}}", settings.iter().map(line).collect::<Vec<_>>().join(", "))
    };
    format!("{{\n\t{}\n}}\n", sections.iter().enumerate().map(of).collect::<Vec<_>>().join(",\n\t"))
}

fn properties(sections: &[Section]) -> String {
    let line = |(number, section, it): (usize, &Section, &Setting)| {
        let joint = ["=", " = ", ": ", " "].get(it.quote % 4).expect("a joint");
        format!("# {}\n{}{number}.{}{joint}{}\n", it.comment, section.word, it.key, marked(it))
    };
    each(sections).map(line).collect()
}

fn name_of_variable(number: usize, section: &Section, setting: &Setting) -> String {
    format!("{}{number}_{}", section.word, setting.key.replace('-', "_").replace("clockSkew", "clock_skew"))
}

fn dotenv(sections: &[Section]) -> String {
    let line = |(number, section, it): (usize, &Section, &Setting)| {
        let name = name_of_variable(number, section, it).to_uppercase();
        format!("{name}={} # {}\n", quoted(it, &["", "\"", "'"], false), it.comment)
    };
    each(sections).map(line).collect()
}

fn toml(sections: &[Section]) -> String {
    let line = |it: &Setting| {
        // A number keeps its form; a text may stand in both quotes.
        format!("{} = {} # {}", it.key, quoted(it, &["", "\"", "'"], true), it.comment)
    };
    blocks(sections, |name| format!("[{name}]"), line, "")
}

fn ini(sections: &[Section]) -> String {
    let line = |it: &Setting| format!("; {}\n{} = {}", it.comment, it.key, marked(it));
    blocks(sections, |name| format!("[{name}]"), line, "")
}

fn xml(sections: &[Section]) -> String {
    let mut out = String::from("<config>\n");
    for (number, section, it) in each(sections) {
        let (word, key, value) = (section.word, it.key, marked(it));
        let _ = match it.quote {
            0 => writeln!(out, "<{word}{number}><!-- {} --><{key}>{value}</{key}></{word}{number}>", it.comment),
            1 => writeln!(out, "<{word}{number} {key}=\"{value}\"/>"),
            _ => writeln!(out, "<add key=\"{word}{number}:{key}\" value='{value}' />"),
        };
    }
    out + "</config>\n"
}

fn apache(sections: &[Section]) -> String {
    let mut out = String::from("<Location \"/\">\n");
    for (number, section, it) in each(sections) {
        let name = name_of_variable(number, section, it);
        let _ = writeln!(out, "  # {}\n  {name} {}", it.comment, quoted(it, &["", "\""], false));
    }
    out + "</Location>\n"
}

fn nginx(sections: &[Section]) -> String {
    let mut out = String::from("server {\n");
    for (number, section, it) in each(sections) {
        let name = name_of_variable(number, section, it);
        let _ = writeln!(out, "    {name}   {}; # {}", quoted(it, &["", "\"", "'"], false), it.comment);
    }
    out + "}\n"
}

fn hcl(sections: &[Section]) -> String {
    let line = |it: &Setting| format!("  {} = {} // {}", it.key, quoted(it, &["", "\""], true), it.comment);
    blocks(sections, |name| format!("{name} {{"), line, "}\n")
}

fn hocon(sections: &[Section]) -> String {
    let line = |it: &Setting| format!("  {} = {} # {}", it.key, quoted(it, &["", "\""], true), it.comment);
    blocks(sections, |name| format!("{name} {{"), line, "}\n")
}

fn jaas(sections: &[Section]) -> String {
    let option = |(number, section, it): (usize, &Section, &Setting)| {
        format!("  {}=\"{}\"\n", name_of_variable(number, section, it), marked(it))
    };
    format!("com.example.LoginModule required\n{};\n", each(sections).map(option).collect::<String>())
}

/// The document alone, or as an entry of a ConfigMap: as a block, in quotes, or in JSON.
fn packed(form: usize, name: &'static str, document: &str) -> (&'static str, String) {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: é}\ndata:\n";
    match form {
        0 => (name, document.to_owned()),
        1 => {
            let lines: String = document.lines().map(|line| format!("    {line}\n")).collect();
            ("map.yaml", format!("{head}  {name}: |\n{lines}  z: '0'\n"))
        }
        2 => {
            let text = serde_json::to_string(document).expect("JSON");
            ("map.yaml", format!("{head}  {name}: {text}\n  z: '0'\n"))
        }
        _ => {
            let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {name: document}});
            ("map.json", serde_json::to_string_pretty(&map).expect("JSON"))
        }
    }
}

/// Where a value stands: line and column in characters, both from 1, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    bytes: (usize, usize),
}

/// The text without marks, and the places that were marked.
fn unmarked(text: &str) -> (String, Vec<Place>) {
    let (mut out, mut places) = (String::new(), Vec::new());
    for c in text.chars() {
        match c {
            OPEN => {
                let before = out.trim_start_matches('\u{feff}');
                let line = before.rsplit('\n').next().unwrap_or("");
                let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
                places.push(Place { line, column, bytes: (out.len(), out.len()) });
            }
            CLOSE => places.last_mut().expect("an opened mark").bytes.1 = out.len(),
            c => out.push(c),
        }
    }
    (out, places)
}

fn look(name: &str, text: &str) -> FileInspection {
    eyes(&Bounds::default(), &Limits::default()).look(Some(name), text)
}

fn eyes<'c>(bounds: &'c Bounds, limits: &'c Limits) -> Eyes<'c> {
    Eyes { catalogue: Catalogue::builtin(), bounds, limits }
}

fn errors(file: &FileInspection) -> Vec<&Finding> {
    let all = file.documents.iter().flat_map(|(_, inspection)| &inspection.findings);
    all.filter(|finding| finding.severity == Severity::Error).collect()
}

/// The text with other values in some of these places; every byte around them must be what it was.
fn check_between(before: &str, after: &str, places: &[(usize, usize)]) -> Result<(), String> {
    let (mut rest, mut done) = (after, 0);
    for (number, (start, end)) in places.iter().enumerate() {
        let kept = before.get(done..*start).ok_or("places overlap")?;
        rest = rest.strip_prefix(kept).ok_or_else(|| format!("{kept:?} has changed: {rest:?}"))?;
        done = *end;
        // What follows the value tells where the new one ends; the last one is followed by all the rest.
        let next = places.get(number + 1).map_or(before.len(), |(start, _)| *start);
        let following = before.get(done..next).ok_or("places overlap")?;
        let at = if next == before.len() && rest.ends_with(following) {
            rest.len() - following.len()
        } else {
            rest.find(following).ok_or_else(|| format!("{following:?} has changed: {rest:?}"))?
        };
        rest = rest.get(at..).unwrap_or("");
    }
    let kept = before.get(done..).ok_or("places overlap")?;
    (rest == kept).then_some(()).ok_or_else(|| format!("{kept:?} has become {rest:?}"))
}

fn check(name: &str, text: &str, is_alone: bool) -> Result<(), String> {
    let (text, places) = unmarked(text);
    let file = look(name, &text);
    let found = errors(&file);
    let told: Vec<_> = found.iter().map(|it| (it.at.line as usize, it.at.column as usize)).collect();
    let wanted: Vec<_> = places.iter().map(|place| (place.line, place.column)).collect();
    if told != wanted {
        return Err(format!("{name}: zeros at {wanted:?}, told at {told:?}:\n{text}\n{:?}", file.notes));
    }
    for (finding, place) in found.iter().zip(&places) {
        let Some(spot) = &finding.spot else { return Err(format!("{name}: no bytes for {place:?}:\n{text}")) };
        let bytes = (spot.extent.start as usize, spot.extent.end as usize);
        if bytes != place.bytes || spot.extent.of(&text) != Some(finding.value.as_str()) {
            return Err(format!("{name}: {bytes:?} for {place:?} and {:?}:\n{text}", finding.value));
        }
    }
    let (bounds, limits) = (Bounds::default(), Limits::default());
    let Some(mended) = mend(Some(name), &text, &file, &eyes(&bounds, &limits)) else {
        // Inside of quotes a new value that needs quotes of its own is for a person.
        return if places.is_empty() || !is_alone { Ok(()) } else { Err(format!("{name}: not mended:\n{text}")) };
    };
    let bytes: Vec<_> = places.iter().map(|place| place.bytes).collect();
    check_between(&text, &mended.text, &bytes)?;
    let left = errors(&look(name, &mended.text)).len();
    if left + mended.fixed != found.len() || (is_alone && left != 0) {
        return Err(format!("{name}: {left} left of {}:\n{text}\n{}", found.len(), mended.text));
    }
    Ok(())
}

fn sections() -> impl Strategy<Value = Vec<Section>> {
    let key = proptest::sample::select(vec!["leeway", "clockSkew", "clock-tolerance"]);
    let value = proptest::sample::select([ZEROS, OTHERS].concat());
    let setting = (key, value, "[a-z0 é日𝄞=]{0,8}", 0..3_usize);
    let setting = setting.prop_map(|(key, value, comment, quote)| Setting { key, value, comment, quote });
    let word = proptest::sample::select(vec!["jwt", "oidc", "sso", "auth"]);
    let section = (word, proptest::collection::vec(setting, 1..4)).prop_map(|(word, mut settings)| {
        // Of two of one name only the last would count.
        settings.sort_by_key(|setting| setting.key);
        settings.dedup_by_key(|setting| setting.key);
        Section { word, settings }
    });
    proptest::collection::vec(section, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_format_says_where_and_is_mended_there(
        sections in sections(),
        writer in 0..WRITERS.len(),
        form in 0..4_usize,
        is_crlf in any::<bool>(),
        has_mark in any::<bool>(),
        has_end in any::<bool>(),
    ) {
        let (_, write, name) = WRITERS[writer];
        let (name, mut text) = packed(form, name, &write(&sections));
        if is_crlf {
            text = text.replace('\n', "\r\n");
        }
        if !has_end {
            text.truncate(text.trim_end().len());
        }
        if has_mark {
            text.insert(0, '\u{feff}');
        }
        check(name, &text, form == 0).map_err(TestCaseError::fail)?;
    }
}

/// Each way to write is found and mended, or the property is about nothing.
#[test]
fn every_format_holds_a_finding() {
    for (format, write, name) in WRITERS {
        for quote in 0..3 {
            let setting = Setting { key: "leeway", value: "0", comment: "é".to_owned(), quote };
            let document = write(&[Section { word: "jwt", settings: vec![setting] }]);
            for form in 0..4 {
                let (name, text) = packed(form, name, &document);
                let (plain, places) = unmarked(&text);
                assert_eq!(errors(&look(name, &plain)).len(), places.len(), "{format} {form}: {plain}");
                check(name, &text, form == 0).unwrap_or_else(|fault| panic!("{format} {form} {quote}: {fault}"));
            }
        }
    }
    let formats: Vec<_> = clockwarden::inspect::formats::FORMATS.iter().map(|format| format.name).collect();
    // Time daemons have no tokens.
    let missing: Vec<_> = formats.iter().filter(|name| !WRITERS.iter().any(|(known, _, _)| known == *name)).collect();
    assert_eq!(missing, [&"ntp"]);
}

/// The same for what people write.
#[test]
fn the_corpus_is_mended_where_it_is_told() {
    let (mut found, mut placed, mut fixed) = (0, 0, 0);
    for path in corpus::files() {
        let (name, text) = (corpus::name_of(&path), super::text_of(&path));
        for text in [text.replace("\r\n", "\n").replace('\n', "\r\n"), format!("\u{feff}{text}"), text] {
            let file = look(&name, &text);
            let mut places = Vec::new();
            for finding in file.documents.iter().flat_map(|(_, inspection)| &inspection.findings) {
                found += usize::from(finding.severity == Severity::Error);
                let Some(spot) = &finding.spot else { continue };
                placed += usize::from(finding.severity == Severity::Error);
                assert_eq!(spot.extent.of(&text), Some(finding.value.as_str()), "{name}");
                places.push((spot.extent.start as usize, spot.extent.end as usize));
            }
            places.sort_unstable();
            places.dedup();
            let (bounds, limits) = (Bounds::default(), Limits::default());
            let Some(mended) = mend(Some(&name), &text, &file, &eyes(&bounds, &limits)) else { continue };
            check_between(&text, &mended.text, &places).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let again = mend(Some(&name), &mended.text, &mended.left, &eyes(&bounds, &limits));
            assert!(again.is_none(), "{name}: a second look mends more");
            fixed += mended.fixed;
        }
    }
    println!("of {found} errors {placed} have their bytes and {fixed} were mended");
    // Most of them, or this proves nothing; the rules about the machine's clock have nothing to write instead.
    assert!(found > 400 && placed * 10 > found * 8 && fixed * 10 > found * 8, "{found} {placed} {fixed}");
}
