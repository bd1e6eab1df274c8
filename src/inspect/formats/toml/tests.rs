//! The reader against the `toml` crate, which reads our own catalogue: they agree on what is TOML, and on every leaf.

use super::*;
use proptest::prelude::*;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Each leaf: its keys with dots between them (items of lists have their numbers), and its text.
type Leaves = Vec<(String, String)>;

fn below(path: &str, key: &str) -> String {
    format!("{path}.{key}")
}

fn leaves(tree: &Tree, path: &str, out: &mut Leaves) {
    match tree {
        Tree::Scalar(scalar) => out.push((path.to_owned(), scalar.text.to_string())),
        Tree::Map(entries) => entries.iter().for_each(|entry| leaves(&entry.value, &below(path, &entry.key), out)),
        Tree::List(items) => {
            items.iter().enumerate().for_each(|(number, item)| leaves(item, &below(path, &number.to_string()), out));
        }
    }
}

fn leaves_of_table(table: &DeTable<'_>, path: &str, out: &mut Leaves) {
    table.iter().for_each(|(key, value)| leaves_of_value(value, &below(path, key.get_ref()), out));
}

fn leaves_of_value(value: &Spanned<DeValue<'_>>, path: &str, out: &mut Leaves) {
    let text = match value.get_ref() {
        DeValue::Table(table) => return leaves_of_table(table, path, out),
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            return items.for_each(|(number, item)| leaves_of_value(item, &below(path, &number.to_string()), out));
        }
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => {
            let base = if number.radix() == 16 { "0x" } else { "" };
            format!("{base}{}", number.as_str())
        }
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
    };
    out.push((path.to_owned(), text));
}

/// What both say of a text; `None`: it is not TOML.
fn both(text: &str) -> (Option<Leaves>, Option<Leaves>) {
    let sorted = |mut leaves: Leaves| {
        leaves.sort();
        leaves
    };
    let (tree, notes) = parse(text, &Limits::default());
    let line_by_line = read(text, &Limits::default(), 1);
    assert_eq!((&tree, notes.is_empty()), (&line_by_line.0, line_by_line.1.is_empty()), "{text}");
    let ours = notes.is_empty().then(|| {
        let mut out = Leaves::new();
        leaves(&tree, "", &mut out);
        sorted(out)
    });
    let theirs = DeTable::parse(text).ok().map(|table| {
        let mut out = Leaves::new();
        leaves_of_table(table.get_ref(), "", &mut out);
        sorted(out)
    });
    (ours, theirs)
}

/// A dotted key may lead through an array of tables (`[[a.b]]`, then `b.c.d = 1` in `[a]`), which TOML forbids and the
/// crate lets pass. It takes an array of tables below something.
fn may_be_let_pass(text: &str) -> bool {
    text.lines().any(|line| line.strip_prefix("[[").is_some_and(|name| name.contains('.')))
}

fn key() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "a", "b", "b", "c", "\"a\"", "'b'", "\"c.d\"", "\"\""]);
    let dot = prop::sample::select(vec![".", ".", ".", " . "]);
    prop::collection::vec((part, dot), 1..4).prop_map(|parts| {
        let mut key: String = parts.iter().map(|(part, dot)| format!("{part}{dot}")).collect();
        let dot = parts.last().map_or(0, |(_, dot)| dot.len());
        key.truncate(key.len() - dot);
        key
    })
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "1_000",
        "-7",
        "0x1F",
        "1.5",
        "1e3",
        "true",
        "\"x\"",
        "'y'",
        "\"a\\tb\"",
        "\"\"\"\nz\"\"\"",
        "2020-01-02",
        "nan",
        "07",
        "\"",
        "tru",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 4, |inner| {
        let pair = (key(), inner.clone()).prop_map(|(key, value)| format!("{key} = {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(pair, 0..4).prop_map(|pairs| format!("{{{}}}", pairs.join(", "))),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        5 => (key(), value()).prop_map(|(key, value)| format!("{key} = {value}\n")),
        2 => key().prop_map(|key| format!("[{key}]\n")),
        1 => key().prop_map(|key| format!("[[{key}]]\n")),
        1 => Just("# a comment\n\n".to_owned()),
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_crate_and_the_reader_agree(text in document()) {
        let (ours, theirs) = both(&text);
        prop_assert!(ours == theirs || (ours.is_none() && may_be_let_pass(&text)), "{ours:?}\n{theirs:?}\n{text}");
    }
}

/// Each rule of what may be written once, with the text that breaks it and one beside it that does not.
#[test]
fn what_may_be_written_once_is_not_written_twice() {
    for (text, is_toml) in [
        ("a = 1\nb = 1\n", true),
        ("a = 1\na = 2\n", false),
        ("a = 1\n\"a\" = 2\n", false),
        ("a.b = 1\na.c = 2\n", true),
        ("a.b = 1\na.b = 2\n", false),
        ("a.b = 1\na.b.c = 2\n", false),
        ("a.b.c = 1\na.b = 2\n", false),
        ("a.b.c = 1\na.b.d = 2\na.e = 3\n", true),
        ("a = 1\na.b = 2\n", false),
        ("a = {}\na.b = 2\n", false),
        ("a = {b = 1, c.d = 2, c.e = 3}\n", true),
        ("a = {b = 1, b.c = 2}\n", false),
        ("a = {b = 1, b = 2}\n", false),
        ("a = [{b = 1}, {b = 1}]\n", true),
        ("[a]\n[b]\n", true),
        ("[a]\n[a]\n", false),
        ("[a.b]\n[a]\n", true),
        ("[a.b]\n[a]\nb = 1\n", false),
        ("[a.b]\n[a]\nb.c = 1\n", false),
        ("[a.b.c]\n[a]\nb.d = 1\n", true),
        ("[a]\nb.c = 1\n[a.b]\n", false),
        ("[a]\nb.c = 1\n[a.b.d]\ne = 1\n", true),
        ("[a]\nb.c.d = 1\n[a.b.c]\n", false),
        ("[a]\nb.c.d = 1\n[a.b.c.d]\n", false),
        ("[a]\nb.c.d = 1\n[a.b.c.e]\n", true),
        ("[[a]]\nb = 1\n[[a]]\nb = 1\n", true),
        ("[[a]]\n[a]\n", false),
        ("[a]\n[[a]]\n", false),
        ("a = []\n[[a]]\n", false),
        ("a = 1\n[a]\n", false),
        ("a = 1\n[a.b]\n", false),
        ("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 1\n", true),
        ("[[a]]\n[a.b]\n[a.b]\n", false),
        ("[[a.b]]\n[[a.b]]\n[a]\nc = 1\n", true),
    ] {
        let (ours, theirs) = both(text);
        assert_eq!((ours.is_some(), &ours), (is_toml, &theirs), "{text}");
    }
    // TOML forbids this one, and the crate lets it pass.
    assert_eq!(both("[[a.b]]\n[a]\nb.c.d = 1\n").0, None);
}
