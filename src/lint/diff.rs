//! What fixes would change, as a patch that `git apply` and `patch -p1` take.
//!
//! A fix replaces bytes inside of lines, so old and new have the same number of lines, and nothing has to be searched
//! for. Lines end at `\n`; a carriage return before it belongs to the line.
//!
//! Source: POSIX diff, the unified format; `git diff` for names that hold blanks or need quotes.

use std::fmt::Write as _;
use std::ops::Range;

/// Lines around a change.
const CONTEXT: usize = 3;

/// The patch from `old` to `new` of a file that `name` names below the root of the patch; empty if they are equal.
pub(super) fn unified(name: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let changed: Vec<usize> = old.iter().zip(&new).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
    let mut out = String::new();
    if changed.is_empty() {
        return out;
    }
    for (sign, side) in [("---", "a"), ("+++", "b")] {
        let _ = writeln!(out, "{sign} {}", quoted(&format!("{side}/{name}")));
    }
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        let near = |pair: &[usize]| matches!(pair, [a, b] if b.saturating_sub(*a) <= 2 * CONTEXT + 1);
        let length = rest.windows(2).take_while(|pair| near(pair)).count().saturating_add(1);
        let (hunk, others) = rest.split_at(length);
        let last = hunk.last().copied().unwrap_or(*first);
        let lines = first.saturating_sub(CONTEXT)..last.saturating_add(CONTEXT + 1).min(old.len());
        push_hunk(&mut out, lines, &old, &new);
        rest = others;
    }
    out
}

fn push_hunk(out: &mut String, lines: Range<usize>, old: &[&str], new: &[&str]) {
    let (start, count) = (lines.start.saturating_add(1), lines.len());
    let _ = writeln!(out, "@@ -{start},{count} +{start},{count} @@");
    let mut at = lines.start;
    while at < lines.end {
        let pair = |at: usize| old.get(at).copied().zip(new.get(at).copied());
        let run = (at..lines.end).take_while(|at| pair(*at).is_some_and(|(old, new)| old != new)).count();
        if run == 0 {
            push_line(out, ' ', old.get(at).copied().unwrap_or(""));
            at = at.saturating_add(1);
            continue;
        }
        let end = at.saturating_add(run);
        old.get(at..end).into_iter().flatten().for_each(|line| push_line(out, '-', line));
        new.get(at..end).into_iter().flatten().for_each(|line| push_line(out, '+', line));
        at = end;
    }
}

fn push_line(out: &mut String, sign: char, line: &str) {
    out.push(sign);
    out.push_str(line);
    if !line.ends_with('\n') {
        out.push_str("\n\\ No newline at end of file\n");
    }
}

/// A name as git writes it: in quotes where it holds quotes, backslashes or control characters, and followed by a tab
/// where it holds blanks, after which `patch` would end it.
fn quoted(name: &str) -> String {
    if !name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        return if name.contains(' ') { format!("{name}\t") } else { name.to_owned() };
    }
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => c.to_string().bytes().for_each(|byte| {
                let _ = write!(out, "\\{byte:03o}");
            }),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &str) {
        assert_eq!(unified("f", old, new), expected);
    }

    #[test]
    fn a_patch_has_three_lines_around_each_change() {
        check("a\n", "a\n", "");
        check(
            "a: 0",
            "a: 5",
            "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a: 0\n\\ No newline at end of file\n+a: 5\n\\ No newline at end of file\n",
        );
        check("0\r\n1\r\n", "5\r\n1\r\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-0\r\n+5\r\n 1\r\n");
        let lines = |zeros: &[usize]| -> String {
            (1..=20).map(|n| if zeros.contains(&n) { "0\n".to_owned() } else { format!("l{n}\n") }).collect()
        };
        let patch = unified("f", &lines(&[]), &lines(&[2, 3, 9, 17]));
        let heads: Vec<&str> = patch.lines().filter(|line| line.starts_with("@@")).collect();
        assert_eq!(heads, ["@@ -1,12 +1,12 @@", "@@ -14,7 +14,7 @@"]);
        assert!(patch.contains(" l1\n-l2\n-l3\n+0\n+0\n l4\n"), "{patch}");
    }

    #[test]
    fn a_name_is_written_as_git_writes_it() {
        assert_eq!(quoted("a/b.yaml"), "a/b.yaml");
        assert_eq!(quoted("a/é b.yaml"), "a/é b.yaml\t");
        assert_eq!(quoted("a/\"\\\n\u{1}"), "\"a/\\\"\\\\\\n\\001\"");
    }
}
