//! What each format's parser makes of good and bad files: every leaf with its place.

use super::{check_golden, fixtures, text_of};
use clockwarden::inspect::formats::{FORMATS, Format, yaml};
use clockwarden::inspect::tree::{Kind, Scalar, Tree};
use clockwarden::inspect::{Limits, object_ref};
use proptest::prelude::*;
use std::fmt::Write as _;

fn leaves(tree: &Tree, path: &str, out: &mut String) {
    match tree {
        Tree::Scalar(scalar) => {
            let _ =
                writeln!(out, "{}:{} {path} = {:?} {:?}", scalar.at.line, scalar.at.column, scalar.kind, scalar.text);
        }
        Tree::Map(entries) if entries.is_empty() => {
            let _ = writeln!(out, "{path} = {{}}");
        }
        Tree::Map(entries) => {
            for entry in entries {
                leaves(&entry.value, &format!("{path}/{}", entry.key.escape_debug()), out);
            }
        }
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}/{index}"), out);
            }
        }
    }
}

#[test]
fn golden() {
    for format in FORMATS {
        for path in fixtures(&format!("formats/{}", format.name)) {
            assert!(path.extension().is_some_and(|e| e == "input"), "{}", path.display());
            let (tree, notes) = (format.parse)(&text_of(&path), &Limits::default());
            let mut out = String::new();
            leaves(&tree, "", &mut out);
            for note in notes {
                let _ = writeln!(out, "{}:{} note: {}", note.at.line, note.at.column, note.message);
            }
            check_golden(&path.with_extension("output"), &out);
        }
    }
}

/// What formats write otherwise than it is read: a value whose bytes hold one of these need not be those bytes.
const ESCAPES: &[(&str, &[&str])] = &[
    ("json", &["\\"]),
    ("dotenv", &["\\", "\r"]),
    ("properties", &["\\"]),
    // Escapes, two quotes for one, folded lines, the indentation of blocks.
    ("yaml", &["\\", "''", "\n", "\r"]),
    ("jaas", &["\\", "\r"]),
    // References, character data, comments between text, and blanks that attributes make one of.
    ("xml", &["&", "<", "\n", "\r", "\t"]),
    // Escapes, and what may stand between digits.
    ("toml", &["\\", "_", "\r"]),
    // Lines that continue a value lose their indentation.
    ("ini", &["\n", "\r"]),
    ("apache", &["\\"]),
    ("nginx", &["\\", "\r"]),
    // Escapes, the indentation of heredocs, a blank after a minus.
    ("hcl", &["\\", "$${", "%%{", "\n", "\r", "- "]),
    ("hocon", &["\\"]),
    ("ntp", &[]),
];

/// A leaf stands where it says: its place is that of its first byte, and its bytes are its text.
fn check_places(format: &Format, text: &str) -> Result<(), String> {
    let escapes = ESCAPES.iter().find(|(name, _)| *name == format.name).map(|(_, escapes)| *escapes).expect("listed");
    let (tree, _) = (format.parse)(text, &Limits::default());
    let mut fault = None;
    each(&tree, &mut |scalar| {
        let Some(extent) = scalar.extent else { return };
        let Some(written) = extent.of(text) else {
            fault = Some(format!("{scalar:?} is outside of the text"));
            return;
        };
        let before = text[..extent.start as usize].trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let line = before.rsplit('\n').next().unwrap_or("");
        let place = (before.matches('\n').count() + 1, line.chars().count() + 1);
        let is_there =
            place == (scalar.at.line as usize, scalar.at.column as usize) || text.replace("\r\n", "").contains('\r');
        let is_it = written == scalar.text
            || scalar.kind == Kind::Null
            || escapes.iter().any(|escape| written.contains(escape));
        if !is_there || !is_it || written.len() > text.len() {
            fault = Some(format!("{scalar:?} is not {written:?} at {place:?}"));
        }
    });
    fault.map_or(Ok(()), |fault| Err(format!("{}: {fault} in {text:?}", format.name)))
}

#[test]
fn places_are_true() {
    let mut leaves = 0;
    for format in FORMATS {
        let mut known = 0;
        for path in fixtures(&format!("formats/{}", format.name)) {
            for text in [text_of(&path), format!("\u{feff}{}", text_of(&path)), text_of(&path).replace('\n', "\r\n")] {
                check_places(format, &text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
                let (tree, _) = (format.parse)(&text, &Limits::default());
                each(&tree, &mut |scalar| {
                    leaves += 1;
                    known += usize::from(scalar.extent.is_some());
                });
            }
        }
        assert!(known > 5, "{}: {known} values know their bytes", format.name);
    }
    assert!(leaves > 300, "{leaves}");
}

fn each(tree: &Tree, check: &mut impl FnMut(&Scalar)) {
    match tree {
        Tree::Scalar(scalar) => check(scalar),
        Tree::Map(entries) => entries.iter().for_each(|entry| each(&entry.value, check)),
        Tree::List(items) => items.iter().for_each(|item| each(item, check)),
    }
}

/// The text at a leaf's place is the leaf, whatever the text.
fn fragments() -> impl Strategy<Value = String> {
    let words = [
        "jwt",
        "leeway",
        "é",
        "0",
        "-1",
        "0s",
        "a",
        " ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "=",
        " = ",
        ":",
        ": ",
        ".",
        ",",
        ";",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "\"",
        "'",
        "\"\"\"",
        "\\",
        "\\\n",
        "#",
        "//",
        "/*",
        "*/",
        "<",
        ">",
        "</",
        "/>",
        "<a>",
        "</a>",
        "<a b=\"",
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "$",
        "${",
        "$${",
        "<<E\n",
        "<<-E\n",
        "E\n",
        "[a]\n",
        "[[a]]\n",
        "set $a ",
        "map $a $b {",
        "a_by_lua_block {",
        "--",
        "for ",
        "true",
        "null",
        "include ",
        "+=",
        "\0",
        "- ",
        "a \"b\" {\n",
        "_",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_place_is_true(text in fragments()) {
        for format in FORMATS {
            check_places(format, &text).map_err(TestCaseError::fail)?;
        }
    }
}

/// What an attacker would write: nesting without end, one long line, quotes and brackets that are never closed. A parser
/// that goes back over what it has read needs minutes for these, a recursive one the stack.
#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is this process, not a clock under test")]
fn hostile_texts_cost_no_more_than_their_size() {
    let deep = ["[", "{", "<a>", "a {", "a = [", "<A b>\n", "a \"b\" {\n", "a.", "-", "a?a:", "\"${", "%{if a}", "a={"];
    let long = [
        "é",
        " ",
        "\r",
        "\"",
        "'",
        "\\\n",
        "=",
        "a 0;",
        "A{}",
        "<a/>",
        "{},",
        "0,",
        ">",
        "${?a}\n",
        "<![CDATA[",
        "a={b=0}\n",
        " a\n",
        "f(",
        "a = <<E\n",
        "[a]\nb=0\n",
        "[[a]]\n",
        "a \"b\" {}\n",
        "set $a 0;",
        "/*",
        "-[[",
    ];
    let deeply = |unit: &&str| unit.repeat(if unit.len() <= 3 { 100_000 } else { 5_000 });
    let mut texts: Vec<String> = deep.iter().map(deeply).collect();
    texts.extend(["[", "{", "(", "-", "\"${", "f("].iter().map(|unit| format!("a = {}", deeply(unit))));
    texts.push(format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)));
    texts.push(format!("{}{}", "a { ".repeat(100_000), "} ".repeat(100_000)));
    for unit in long {
        let many = unit.repeat((10 << 10) / unit.len());
        texts.extend([
            format!("<a>{many}</a>"),
            format!("<a {many}/>"),
            format!("a = {{ {many} }}"),
            format!("a = \"{many}\"\n"),
            many,
        ]);
    }
    texts.push(format!("a={{{}}}", (0..20_000).map(|n| format!("k{n}=0,")).collect::<String>()));
    texts.push((0..20_000).map(|n| format!("k{n} = 0\n")).collect());
    texts.push(format!("<a {}/>", (0..20_000).map(|n| format!("k{n}=\"0\" ")).collect::<String>()));
    texts.push(format!("a = \"{}\"", "x".repeat(3 << 20)));
    for format in FORMATS {
        for text in &texts {
            let begun = std::time::Instant::now();
            let (_, notes) = (format.parse)(text, &Limits::default());
            let _ = (format.sniff)(text);
            let took = begun.elapsed();
            let what: String = text.chars().take(30).collect();
            assert!(notes.len() < 100, "{}: {what:?}: {} notes", format.name, notes.len());
            // The largest takes a second or two without optimization; what is quadratic in it takes minutes.
            assert!(took < std::time::Duration::from_secs(30), "{}: {what:?}: {took:?}", format.name);
        }
    }
}

/// What is told of a file in which nothing is looked for must not depend on that.
#[test]
fn the_heads_of_documents_tell_what_they_are_and_the_same_faults() {
    let limits = Limits::default();
    let few = Limits { nodes: 40, ..limits };
    let deepest = "kind: List\nitems:\n- kind: Secret\n  metadata: {name: a, annotations: {example.org/b: c}}\n";
    let yaml = super::corpus::files().into_iter().filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    let texts = yaml.map(|path| (path.display().to_string(), text_of(&path)));
    for (name, text) in texts.chain([("a list".to_owned(), deepest.to_owned())]) {
        for limits in [&limits, &few] {
            let told = |(documents, notes): (Vec<Tree>, _)| {
                let annotations = |tree: &Tree| tree.at(&["metadata", "annotations"]).cloned();
                let items = documents.iter().flat_map(|tree| tree.get("items").map_or(&[][..], Tree::items));
                let all: Vec<&Tree> = documents.iter().chain(items).collect();
                let told: Vec<_> = all.iter().map(|tree| (object_ref(tree), annotations(tree))).collect();
                (documents.len(), told, notes)
            };
            let (whole, heads) = (told(yaml::documents(&text, limits)), told(yaml::heads(&text, limits)));
            assert_eq!(whole, heads, "{name}");
        }
    }
}

#[test]
fn entities_are_never_expanded() {
    let xml = FORMATS.iter().find(|format| format.name == "xml").expect("xml");
    let mut bomb = String::from("<!DOCTYPE a [<!ENTITY b0 \"x\">");
    for level in 1..30 {
        let below = format!("&b{};", level - 1).repeat(10);
        let _ = write!(bomb, "<!ENTITY b{level} \"{below}\">");
    }
    for text in [format!("{bomb}]><a>&b29;</a>"), format!("{bomb}]><a c=\"&b29;\"/>")] {
        let (tree, notes) = (xml.parse)(&text, &Limits::default());
        assert_eq!((tree, notes.len()), (Tree::Map(Vec::new()), 1));
    }
}
