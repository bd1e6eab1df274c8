//! Flags on command lines: `command` and `args` of a container, scripts given to a shell, options in a variable.
//!
//! Read as programs do: `--key=value`, `--key value`, `-key=value`, `-Dkey=value`, `key=value`. The argument vector
//! is `command` followed by `args`; where it runs a shell with `-c`, the script is split into its commands first.
//! What a script only prints or compares (`echo`, `grep`) is no flag.

use super::super::link::{Link, Way};
use super::super::scope::{Entries, Scope};
use super::super::tree::{Entry, Kind, Position, Scalar, Step, Tree};
use super::super::walk::Walk;
use super::super::words::Letters;
use super::shell::{self, Word};
use crate::inspect::place;
use crate::inspect::rules::host_clock_write::may_set_clocks;
use crate::inspect::sight::{self, Command, What};
use std::borrow::Cow;

/// Keys that hold an argument vector, in the order in which they make one.
pub(crate) const KEYS: &[&str] = &["entrypoint", "command", "args"];

const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "zsh", "ksh", "busybox", "su"];

/// Commands whose words are data.
const TALKERS: &[&str] =
    &["echo", "printf", "grep", "egrep", "test", "[", "[[", "sed", "awk", "logger", ":", "rg", "git", "promtool"];

/// Programs that run tests: what they are given is not what runs in the end.
const TESTERS: &[&str] = &["pytest", "tox", "jest", "mocha", "phpunit", "k6", "newman", "rspec", "behave"];

/// Words of one script that are looked at.
const SCRIPT_WORDS: usize = 20_000;

/// One argument and the way to it.
struct Argument<'t> {
    key: &'t Entry,
    /// The number of that entry in the container.
    place: usize,
    /// Its number in the list; none where the whole value is one string.
    index: Option<usize>,
    scalar: &'t Scalar,
}

/// Does this entry hold an argument vector?
pub(crate) fn is_vector(entry: &Entry) -> bool {
    KEYS.contains(&entry.key.as_str())
        && match &entry.value {
            Tree::List(items) => !items.is_empty() && items.iter().all(|item| item.scalar().is_some()),
            Tree::Scalar(scalar) => scalar.kind == Kind::Text,
            Tree::Map(_) => false,
        }
}

/// Looks at the argument vector of a container; `link` is the container.
pub(crate) fn look(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    let may_set_clocks = may_set_clocks(entries);
    let container = Scope::new(Entries::Map(entries));
    let mut arguments = Vec::new();
    for key in KEYS {
        let place = entries.iter().rposition(|entry| entry.key == *key && is_vector(entry));
        let Some((place, entry)) = place.and_then(|place| Some((place, entries.get(place)?))) else { continue };
        match &entry.value {
            Tree::List(items) => arguments.extend(items.iter().enumerate().filter_map(|(index, item)| {
                Some(Argument { key: entry, place, index: Some(index), scalar: item.scalar()? })
            })),
            // One string is split by a shell, or as one would.
            Tree::Scalar(scalar) => {
                in_argument(link, &container, &Argument { key: entry, place, index: None, scalar }, |link| {
                    script(walk, link, &scalar.text, may_set_clocks);
                })
            }
            Tree::Map(_) => {}
        }
    }
    let texts: Vec<&str> = arguments.iter().map(|argument| argument.scalar.text.as_str()).collect();
    let script_at = script_index(&texts);
    if script_at.is_none() && !arguments.is_empty() {
        let words = arguments.iter().map(Argument::word).collect();
        walk.see(link, What::Command(&Command { words, may_set_clocks, is_repeated: false }));
    }
    if let Some(argument) = script_at.and_then(|at| arguments.get(at)) {
        in_argument(link, &container, argument, |link| script(walk, link, &argument.scalar.text, may_set_clocks));
    }
    if texts.first().is_some_and(|program| is_tester(program)) {
        return;
    }
    let given = given(&texts, script_at);
    let names = names(&given);
    let scope = Scope::new(Entries::Words(&names));
    for (index, Given { flag, value }) in given.iter().enumerate() {
        let Some((word, start, text)) = *value else { continue };
        let Some(argument) = arguments.get(word) else { continue };
        let joint = if start == 0 { " " } else { "=" };
        let way = Way::Flag { prefix: flag.prefix, name: flag.name, joint, scope: &scope, index };
        if start == 0 {
            with_way(link, &container, argument, |link| walk.leaf(&link.down(way), argument.scalar));
            continue;
        }
        in_argument(link, &container, argument, |link| {
            let at = place::position(&argument.scalar.text, start);
            walk.leaf(&link.down(way), &text_at(text, at));
        });
    }
}

impl<'t> Argument<'t> {
    fn word(&self) -> sight::Word<'t> {
        let item = self.index.map(|index| Step::Item { index, name: None });
        let steps = [Step::Key(self.key.key.to_string())].into_iter().chain(item).collect();
        sight::Word { text: &self.scalar.text, steps, at: self.scalar.at }
    }
}

/// A flag with its value, or without one.
struct Given<'t> {
    flag: Flag<'t>,
    /// The word that holds the value, the byte where it begins in there (0: it is all of the word), and the value.
    value: Option<(usize, usize, &'t str)>,
}

/// The flags among the words of one command, but for the word that is a script.
fn given<'t>(words: &[&'t str], script_at: Option<usize>) -> Vec<Given<'t>> {
    let mut found = Vec::new();
    for (number, text) in words.iter().enumerate().filter(|(number, _)| script_at != Some(*number)) {
        let Some(flag) = Flag::of(text) else { continue };
        let is_listed = number
            .checked_sub(1)
            .and_then(|before| words.get(before))
            .is_some_and(|before| Flag::of(before).is_some_and(|flag| flag.value.is_none() && takes_list(flag.name)));
        if is_listed && flag.prefix.is_empty() {
            found.extend(assignments(text, number, 0));
            continue;
        }
        let value = match flag.value {
            Some((value, start)) => Some((number, start, value)),
            None => {
                let next = number.saturating_add(1);
                let text = words.get(next).filter(|text| script_at != Some(next) && is_value(text));
                text.map(|text| (next, 0, *text))
            }
        };
        let is_list = takes_list(flag.name);
        found.push(Given { flag, value });
        // `--set jwt.leeway=0` is a word of its own; `--set=jwt.leeway=0` holds one.
        match value.filter(|(_, start, _)| *start > 0) {
            Some((word, start, text)) if is_list => found.extend(assignments(text, word, start)),
            Some((word, start, text)) => found.extend(assignment(text, word, start)),
            None => {}
        }
    }
    found
}

/// Does a flag of this name take several assignments with commas between them?
///
/// Source: <https://helm.sh/docs/intro/using_helm/#the-format-and-limitations-of---set>,
/// <https://cloud.google.com/sdk/gcloud/reference/run/deploy> (`--set-env-vars`).
fn takes_list(name: &str) -> bool {
    matches!(name, "set" | "set-string" | "set-env-vars" | "update-env-vars")
}

/// The assignment that a text is, which begins at the byte `start` of a word.
fn assignment(text: &str, word: usize, start: usize) -> Option<Given<'_>> {
    let flag = Flag::of(text).filter(|flag| flag.prefix.is_empty())?;
    let (value, at) = flag.value?;
    Some(Given { flag, value: Some((word, start.saturating_add(at), value)) })
}

/// The assignments in a list, which begins at the byte `start` of a word. A comma before something else, and one that is
/// escaped, belong to the value before it, which is then more than can be told here.
fn assignments(text: &str, word: usize, start: usize) -> Vec<Given<'_>> {
    let mut found: Vec<Given<'_>> = Vec::new();
    let mut at = start;
    let mut is_escaped = false;
    for piece in text.split(',') {
        match assignment(piece, word, at).filter(|_| !is_escaped) {
            Some(given) => found.push(given),
            None => drop(found.pop()),
        }
        is_escaped = piece.ends_with('\\');
        at = at.saturating_add(piece.len()).saturating_add(1);
    }
    found
}

/// Names and values as those beside them see them: a flag without a value is set.
fn names<'t>(given: &[Given<'t>]) -> Vec<(&'t str, &'t str)> {
    given.iter().map(|given| (given.flag.name, given.value.map_or("true", |(_, _, value)| value))).collect()
}

/// A flag that stands alone in a word.
struct Flag<'t> {
    /// `--`, `-`, Java's `-D`, or nothing.
    prefix: &'t str,
    name: &'t str,
    /// The value in the same word, and the byte where it begins.
    value: Option<(&'t str, usize)>,
}

impl<'t> Flag<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let is_name = |name: &str| {
            let sign = |c| matches!(c, '-' | '_' | '.' | ':' | '/');
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || sign(c))
        };
        let (whole, value) = match text.split_once('=') {
            Some((whole, value)) => (whole, Some((value, whole.len().saturating_add(1)))),
            None if text.starts_with('-') => (text, None),
            None => return None,
        };
        let is_java = whole.strip_prefix("-D").is_some_and(|rest| rest.contains('.') || value.is_some());
        let length = if is_java { 2 } else { whole.len().saturating_sub(whole.trim_start_matches('-').len()) };
        let (prefix, name) = whole.split_at_checked(length)?;
        is_name(name).then_some(Flag { prefix, name, value })
    }
}

/// Is this the value of the flag before it, and not a flag itself?
fn is_value(text: &str) -> bool {
    !text.starts_with('-') || text.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Which of the words of a command is a script for a shell? The shell may be run by another program (`tini -- sh -c`).
fn script_index(words: &[&str]) -> Option<usize> {
    let is_c = |text: &str| text.starts_with('-') && !text.starts_with("--") && text.ends_with('c');
    let is_shell = |text: &str| SHELLS.contains(&text.rsplit('/').next().unwrap_or(text));
    let shell = words.iter().position(|word| is_shell(word))?;
    let mut before = "";
    for (at, word) in words.iter().enumerate().skip(shell.saturating_add(1)) {
        if is_c(word) {
            return at.checked_add(1).filter(|next| *next < words.len());
        }
        // `-euo pipefail`: the option's own name.
        let is_name = before.starts_with('-') && before.ends_with('o');
        if !(word.starts_with('-') || is_shell(word) || is_name) {
            return None;
        }
        before = word;
    }
    None
}

/// Commands, each followed by those of the script that it gives to a shell, in the order of their places. What comes
/// behind such a script is given to it, and left out.
fn unwrapped(commands: Vec<Vec<Word>>) -> impl Iterator<Item = Vec<Word>> {
    commands.into_iter().flat_map(|mut command| {
        let texts: Vec<&str> = command.iter().map(|word| word.text.as_str()).collect();
        let at = script_index(&texts).filter(|_| !is_talk(&command));
        let script = at.and_then(|at| command.get(at)).map(|word| shell::within(word, SCRIPT_WORDS));
        command.truncate(at.unwrap_or(command.len()));
        std::iter::once(command).chain(script.unwrap_or_default())
    })
}

fn is_talk(command: &[Word]) -> bool {
    let mut words = command.iter().map(|word| word.text.as_str()).filter(|word| !sight::RESERVED.contains(word));
    let Some(program) = words.find(|word| !word.contains('=')) else { return false };
    // What is looked for, or written to labels.
    let mut is_about_objects = || words.any(|word| VERBS.contains(&word));
    TALKERS.contains(&program) || is_tester(program) || (matches!(program, "kubectl" | "oc") && is_about_objects())
}

/// What `kubectl` does with objects, not with settings.
const VERBS: &[&str] = &["get", "label", "annotate", "describe", "logs", "wait", "delete", "top"];

fn is_tester(program: &str) -> bool {
    TESTERS.contains(&program.rsplit('/').next().unwrap_or(program))
}

/// Calls with the way to an argument.
fn with_way(link: &Link<'_>, container: &Scope<'_>, argument: &Argument<'_>, then: impl FnOnce(&Link<'_>)) {
    let key = link.down(Way::Key { name: &argument.key.key, scope: container, index: argument.place });
    match argument.index {
        Some(index) => then(&key.down(Way::Item { index, name: None })),
        None => then(&key),
    }
}

/// Calls with the way into the text of an argument.
fn in_argument(link: &Link<'_>, container: &Scope<'_>, argument: &Argument<'_>, then: impl FnOnce(&Link<'_>)) {
    with_way(link, container, argument, |link| {
        let Scalar { text, at, .. } = argument.scalar;
        then(&link.down(Way::Document { text, notation: link.notation(), at: *at, name: None }));
    });
}

fn text_at(text: &str, at: Position) -> Scalar {
    Scalar { text: text.into(), kind: Kind::Text, at, extent: None }
}

/// Looks at the commands, flags and assignments in a script, or in a variable that holds options; `link` leads into its
/// text, and what runs it may, or may not, set clocks.
pub(crate) fn script(walk: &mut Walk<'_>, link: &Link<'_>, text: &str, may_set_clocks: bool) {
    // Any command of a container that may set clocks can be of interest, whatever its words.
    let may_hold = may_set_clocks || walk.mentions(text);
    if text.len() > walk.limits().bytes || !may_hold {
        return;
    }
    let (mut lines, mut word_lines) = (place::Lines::new(text), place::Lines::new(text));
    let mut loops = 0_usize;
    for command in unwrapped(shell::commands(text, SCRIPT_WORDS)) {
        if is_talk(&command) {
            continue;
        }
        match command.first().map(|word| word.text.as_str()) {
            Some("while" | "until" | "for") => loops = loops.saturating_add(1),
            Some("done") => loops = loops.saturating_sub(1),
            _ => {}
        }
        let words = command.iter().map(|word| word_at(word, &mut word_lines)).collect();
        walk.see(link, What::Command(&Command { words, may_set_clocks, is_repeated: loops > 0 }));
        let texts: Vec<&str> = command.iter().map(|word| word.text.as_str()).collect();
        let given = given(&texts, None);
        let names = names(&given);
        let scope = Scope::new(Entries::Words(&names));
        for (index, Given { flag, value }) in given.iter().enumerate() {
            let Some((word, start, text)) = *value else { continue };
            let Some(at) = command.get(word).map(|word| word.source_of(start)) else { continue };
            let joint = if start == 0 { " " } else { "=" };
            let way = Way::Flag { prefix: flag.prefix, name: flag.name, joint, scope: &scope, index };
            walk.leaf(&link.down(way), &text_at(text, lines.place(at)));
        }
    }
}

fn word_at<'w>(word: &'w Word, lines: &mut place::Lines<'_>) -> sight::Word<'w> {
    sight::Word { text: &word.text, steps: Vec::new(), at: lines.place(word.start) }
}

/// Words at the end of a key whose value is a command line, or a part of one.
const OPTIONS: &[&[u8]] =
    &[b"opts", b"options", b"args", b"arguments", b"flags", b"params", b"parameters", b"cmd", b"command"];

/// Does a key have assignments as its value?
///
/// Source: <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Environment=>,
/// <https://supervisord.org/configuration.html#program-x-section-values> (with commas between them).
fn is_assigned(key: &str) -> bool {
    matches!(key, "Environment" | "environment")
}

/// Is it a line of a unit of systemd that holds variables or a command?
pub(crate) fn is_of_unit(key: &str) -> bool {
    is_assigned(key) || key.starts_with("Exec")
}

/// Is it of several lines, and does every one but the last go on after a backslash?
pub(crate) fn is_continued(text: &str) -> bool {
    let mut lines = text.trim_end().lines().rev().skip(1).peekable();
    lines.peek().is_some() && lines.all(|line| line.ends_with('\\'))
}

/// Options as a shell would split them: commas between assignments stand for blanks.
pub(crate) fn options<'t>(key: &str, text: &'t str) -> Cow<'t, str> {
    if !is_assigned(key) || !text.contains(',') {
        return Cow::Borrowed(text);
    }
    let mut quote = None;
    let blanked = text.chars().map(|c| match (c, quote) {
        (',', None) => ' ',
        ('"' | '\'', None) => {
            quote = Some(c);
            c
        }
        _ => {
            quote = quote.filter(|open| *open != c);
            c
        }
    });
    Cow::Owned(blanked.collect())
}

/// Does a value under this key hold options for a command line?
pub(crate) fn holds_options(key: &str, text: &str) -> bool {
    // Units of systemd: `Environment=A=0 "B=0"`, `ExecStart=/app --a=0`; supervisord: `environment=A="0",B="0"`.
    if is_assigned(key) {
        return text.contains('=');
    }
    if !text.contains('-') || !(text.starts_with('-') || text.contains(" -")) {
        return false;
    }
    let letters = Letters::of([key]);
    let words = || letters.words(0, letters.text().len());
    // `JAVA_OPTS_APPEND` of many images; `options` and the rest say so as the last word only.
    let named = words().last().is_some_and(|word| OPTIONS.contains(&word)) || words().any(|word| word == b"opts");
    named || is_of_unit(key) || text.starts_with("-D") || text.starts_with("--")
}
