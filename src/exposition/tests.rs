//! Lines in, figures out; a parser of others as the oracle, on its own pages and on a real one.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// The figure in short: `name{label=value,…} value @timestamp`.
fn shown(line: &str) -> String {
    match point(line.as_bytes()) {
        Ok(None) => "nothing".to_owned(),
        Err(error) => format!("error: {error}"),
        Ok(Some(point)) => {
            let labels: Vec<String> = point.labels().map(|(name, value)| format!("{name}={value}")).collect();
            let timestamp = point.timestamp.map(|at| format!(" @{at}")).unwrap_or_default();
            format!("{}{{{}}} {}{timestamp}", point.name, labels.join(","), point.value)
        }
    }
}

fn check(line: &str, expected: &str) {
    assert_eq!(shown(line), expected, "{line:?}");
}

#[test]
fn figures_are_read_with_labels_escapes_and_timestamps() {
    check("node_time_seconds 1.7952791727321863e+09", "node_time_seconds{} 1795279172.7321863");
    check("  a:b_1 \t 5 \r", "a:b_1{} 5");
    check("a{} 1", "a{} 1");
    check("a{b=\"c\"} 1", "a{b=c} 1");
    check("a{ b = \"c\" , d=\"e\", } 1", "a{b=c,d=e} 1");
    check("a{b=\"}\",c=\"x,y=\\\"z\\\"\"} 1", "a{b=},c=x,y=\"z\"} 1");
    check(r#"a{p="C:\\DIR\\n",q="l\nm",r="\x"} 1"#, "a{p=C:\\DIR\\n,q=l\nm,r=\\x} 1");
    check("a 1 1395066363000", "a{} 1 @1395066363000");
    check("a 1 -3982045", "a{} 1 @-3982045");
    check("a_total 17.0 1520879607.789 # {trace_id=\"x\"} 0.67 1520879606.1", "a_total{} 17 @1520879607.789");
    check("a_total 17.0 # {trace_id=\"x\"} 0.67", "a_total{} 17");
}

#[test]
fn comments_and_blank_lines_are_nothing() {
    for line in ["", "   ", "\r", "# HELP a b", "# EOF", "#", "  # x"] {
        check(line, "nothing");
    }
}

#[test]
fn what_is_no_number_is_nan_or_infinite_or_an_error_and_never_zero() {
    check("a NaN", "a{} NaN");
    check("a +Inf", "a{} inf");
    check("a -Inf", "a{} -inf");
    for line in ["a", "a ", "a b", "a{b=\"c\"}", "a 1,5", "a 0x"] {
        check(line, "error: it has no number");
    }
}

#[test]
fn a_line_that_could_be_read_in_two_ways_is_an_error() {
    for line in
        ["a{b=\"c\" 1", "a{b=c} 1", "a{b} 1", "a{b=\"c\"d=\"e\"} 1", "a{,} 1", "a{b=\"c\",,} 1", "a{b=\"c\\\"} 1"]
    {
        check(line, "error: its labels are not {name=\"value\",…}");
    }
    for line in ["1a 1", "{\"a\"} 1", "\u{e9} 1", "-1"] {
        check(line, "error: it does not begin with the name of a metric");
    }
    for line in ["a 1 2 3", "a 1 x", "a 1 NaN"] {
        check(line, "error: something follows its number that is no timestamp");
    }
    assert_eq!(point(b"a\xff 1"), Err(LineError::Utf8));
}

/// All lines of a page that arrives in pieces of the given lengths, over and over.
fn lines_of(page: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    let (mut lines, mut all, mut rest) = (Lines::default(), Vec::new(), page);
    for length in lengths.iter().cycle() {
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        lines.push(piece, |line| all.push(line.to_vec()));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    lines.finish(|line| all.push(line.to_vec()));
    all
}

#[test]
fn an_endless_line_is_passed_over_and_costs_no_memory() {
    let mut lines = Lines::default();
    let mut seen = Vec::new();
    lines.push(b"a 1\nb ", |line| seen.push(line.to_vec()));
    for _ in 0..1_000 {
        lines.push(&[b'x'; 10_000], |_| panic!("the line has not ended"));
        assert!(lines.begun.capacity() <= 2 * LINE_MAX);
    }
    lines.push(b"\nc 2\n", |line| seen.push(line.to_vec()));
    lines.finish(|_| panic!("nothing is left"));
    assert_eq!(seen, [b"a 1".to_vec(), b"c 2".to_vec()]);
}

/// The figures of a page as the other parser sees them; what it does not take for a gauge is not compared.
fn oracle(page: &str) -> Vec<(String, HashMap<String, String>, f64)> {
    let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let mut all = Vec::new();
    for sample in scrape.samples {
        let (prometheus_parse::Value::Gauge(value)
        | prometheus_parse::Value::Counter(value)
        | prometheus_parse::Value::Untyped(value)) = sample.value
        else {
            continue;
        };
        let labels = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        all.push((sample.metric, labels, value));
    }
    all
}

fn ours(page: &str) -> Vec<(String, HashMap<String, String>, f64)> {
    let mut all = Vec::new();
    for line in lines_of(page.as_bytes(), &[1, 7, 4096]) {
        if let Some(point) = point(&line).unwrap() {
            let labels = point.labels().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            all.push((point.name.to_owned(), labels, point.value));
        }
    }
    all
}

#[test]
fn a_real_page_is_read_as_another_parser_reads_it() {
    let page = include_str!("../../tests/drift/node_exporter/debian-12-whole.input.txt");
    let ours = ours(page);
    let theirs = oracle(page);
    assert!(theirs.len() > 300, "{}", theirs.len());
    for figure in theirs {
        let same = |it: &&(String, HashMap<String, String>, f64)| {
            it.0 == figure.0 && it.1 == figure.1 && (it.2 == figure.2 || (it.2.is_nan() && figure.2.is_nan()))
        };
        assert_eq!(ours.iter().filter(same).count(), 1, "{figure:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_by_us_and_by_another_parser(
        figures in prop::collection::vec(
            ("[a-z_][a-z0-9_]{0,8}", prop::collection::btree_map("[a-z_][a-z0-9_]{0,4}", "[ -!#-\\[\\]-~]{0,8}", 0..4), any::<f64>()),
            1..12,
        ),
    ) {
        let mut page = String::new();
        for (index, (name, labels, value)) in figures.iter().enumerate() {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            page.push_str(&format!("f{index}_{name}{{{}}} {value:e}\n", labels.join(",")));
        }
        let ours = ours(&page);
        prop_assert_eq!(ours.len(), figures.len());
        for (index, (name, labels, value)) in figures.into_iter().enumerate() {
            prop_assert_eq!(&ours[index].0, &format!("f{index}_{name}"));
            prop_assert_eq!(&ours[index].1, &labels.into_iter().collect::<HashMap<_, _>>());
            prop_assert!(ours[index].2 == value || (value.is_nan() && ours[index].2.is_nan()));
        }
    }

    #[test]
    fn nothing_panics_and_pieces_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'"'), Just(b'{'), Just(b'\\'), any::<u8>()], 0..300),
        lengths in prop::collection::vec(1usize..40, 1..5),
    ) {
        let whole = lines_of(&bytes, &[usize::MAX]);
        prop_assert_eq!(&whole, &lines_of(&bytes, &lengths));
        for line in &whole {
            if let Ok(Some(point)) = point(line) {
                prop_assert!(point.labels().count() <= line.len());
            }
        }
    }
}
