//! What the walk passes by, as rules see it: a map, a value under its key, or a command with its words.
//!
//! The rules about recognised settings get the setting. The others ask about an object's own shape (a capability of a
//! container, two flags that do not go together), which no single key tells. They see a piece of the tree with the way to
//! it, and answer with [`Remark`]s that say where, inside of that piece, the fault stands.
//!
//! Does not know: findings, severities as a policy sets them, how the walk got there.

use super::catalogue::Catalogue;
use super::finding::Severity;
use super::link::Link;
use super::tree::{Entry, Kind, Position, Scalar, Step, Tree};
use super::words::Letters;
use super::{Bounds, value};

/// A piece of a document and where it stands.
pub struct Sight<'s> {
    /// What it is.
    pub what: What<'s>,
    /// `group/Kind` of the object that it is in; empty where the document is none.
    pub kind: &'s str,
    /// The policy's numbers.
    pub bounds: &'s Bounds,
    /// What is known about products.
    pub catalogue: &'s Catalogue,
    link: &'s Link<'s>,
}

/// Kinds of pieces.
#[derive(Clone, Copy)]
pub enum What<'s> {
    /// The root of a Kubernetes object. Comes again as a map.
    Object(&'s Tree),
    /// Any map.
    Map(&'s [Entry]),
    /// A value that is no setting of the catalogue, under its key: the name of a variable or flag, where it has one.
    Value(&'s Scalar),
    /// One command that runs: a container's argument vector, or a line of a script.
    Command(&'s Command<'s>),
}

/// One command that runs.
pub struct Command<'s> {
    /// Its words, quotes resolved.
    pub words: Vec<Word<'s>>,
    /// The container that it runs in may set the node's clock.
    pub may_set_clocks: bool,
    /// It stands in a loop of a script.
    pub is_repeated: bool,
}

/// A word of a command and the place of it.
pub struct Word<'s> {
    /// As the program gets it.
    pub text: &'s str,
    pub(crate) steps: Vec<Step>,
    pub(crate) at: Position,
}

/// Where something stands, from the sight on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    steps: Vec<Step>,
    at: Position,
    value: String,
}

/// What a rule says about a spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// At most the rule's own.
    pub severity: Severity,
    /// Where.
    pub spot: Spot,
    /// Whose setting it is.
    pub product: String,
    /// A clause that follows the place and its value (`… is "SYS_TIME", which …`); where the spot is a map, the place alone.
    pub meaning: String,
    /// What to do, as an order: `write …`, `remove …`.
    pub fix: String,
}

impl Spot {
    /// Steps from the sight, place in the innermost document, value as written.
    pub(crate) fn parts(self) -> (Vec<Step>, Position, String) {
        (self.steps, self.at, self.value)
    }
}

impl<'s> Sight<'s> {
    pub(crate) fn new(
        what: What<'s>,
        kind: &'s str,
        link: &'s Link<'s>,
        bounds: &'s Bounds,
        catalogue: &'s Catalogue,
    ) -> Self {
        Sight { what, kind, bounds, catalogue, link }
    }

    /// The innermost key: of the map, or of the value.
    #[must_use]
    pub fn key(&self) -> &str {
        self.keys().next().unwrap_or("")
    }

    /// All keys, innermost first.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.link.keys()
    }

    /// Does a later entry of the same name take the value's place?
    #[must_use]
    pub fn is_shadowed(&self) -> bool {
        self.link.scopes().next().is_some_and(|(scope, _, index)| scope.is_shadowed(self.key(), index))
    }

    /// Does the map around the value hold this key?
    #[must_use]
    pub fn has_beside(&self, key: &str) -> bool {
        self.link.scopes().next().is_some_and(|(scope, _, _)| scope.has(key))
    }

    /// Does a map around hold this key with this value? Stars at either end stand for anything.
    #[must_use]
    pub fn is_within(&self, key: &str, wanted: &str) -> bool {
        let letters = Letters::of([key]);
        self.link.scopes().any(|(scope, _, _)| scope.holds(letters.text(), wanted))
    }

    /// The value, where the sight is one.
    #[must_use]
    pub fn spot(&self, scalar: &Scalar) -> Spot {
        Spot { steps: Vec::new(), at: scalar.at, value: scalar.text.to_string() }
    }
}

impl Word<'_> {
    /// Where it stands.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot { steps: self.steps.clone(), at: self.at, value: self.text.to_owned() }
    }
}

/// Words of the shell that stand before a command (POSIX 1003.1, Shell Command Language, 2.4).
pub(crate) const RESERVED: &[&str] = &["!", "{", "do", "then", "else", "elif", "if", "while", "until", "time"];

/// Programs that run another.
const RUNNERS: &[&str] = &[
    "exec",
    "command",
    "env",
    "sudo",
    "nohup",
    "nice",
    "ionice",
    "setsid",
    "stdbuf",
    "timeout",
    "watch",
    "nsenter",
    "chroot",
    "busybox",
    "tini",
    "dumb-init",
    "--",
];

impl<'s> Command<'s> {
    /// The number of the word that names the program, and the program without its folder.
    #[must_use]
    pub fn program(&self) -> Option<(usize, &'s str)> {
        let mut rest = self.words.iter().enumerate();
        let mut is_after_runner = false;
        loop {
            let (number, word) = rest.next()?;
            let base = word.text.rsplit('/').next().unwrap_or(word.text);
            let is_assignment = word.text.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            // Options of the program before, and their numbers: `nsenter -t 1`, `timeout 5s`.
            let is_option = is_after_runner && word.text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            // It asks whether there is such a program.
            let asks = |word: &Word<'_>| matches!(word.text, "-v" | "-V");
            if base == "command" && self.words.get(number.saturating_add(1)).is_some_and(asks) {
                return None;
            }
            if base == "chroot" {
                rest.next();
            }
            match () {
                () if RUNNERS.contains(&base) => is_after_runner = true,
                () if RESERVED.contains(&word.text) || is_assignment || is_option => {}
                () => return (!base.is_empty()).then_some((number, base)),
            }
        }
    }

    /// The words after the program.
    #[must_use]
    pub fn arguments(&self) -> &[Word<'s>] {
        let after = self.program().map_or(self.words.len(), |(number, _)| number.saturating_add(1));
        self.words.get(after..).unwrap_or(&[])
    }

    /// Is this option given: alone (`-s`, `--set`), with a value (`--set=…`), or among other letters (`-us`)? After one of
    /// the letters in `valued`, the rest of a word is its value (`-Iseconds`).
    #[must_use]
    pub fn has_option(&self, short: char, long: &str, valued: &str) -> bool {
        self.arguments().iter().any(|word| match word.text.strip_prefix("--") {
            Some(name) => !long.is_empty() && name.split('=').next() == Some(long),
            None => word.text.strip_prefix('-').is_some_and(|letters| {
                let letter = letters.chars().find(|letter| *letter == short || valued.contains(*letter));
                letter == Some(short)
            }),
        })
    }

    /// The value of the last flag of this name, as `--name=value` or `--name value`, with the word that holds it.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<(&'s str, &Word<'s>)> {
        self.words.iter().enumerate().rev().find_map(|(number, word)| {
            let rest = word.text.strip_prefix("--").or_else(|| word.text.strip_prefix('-'))?.strip_prefix(name)?;
            match rest.strip_prefix('=') {
                Some(value) => Some((value, word)),
                None if rest.is_empty() => {
                    let next = self.words.get(number.saturating_add(1))?;
                    Some((next.text, next))
                }
                None => None,
            }
        })
    }

    /// The whole of it, for people; without the words of a loop that it stands in.
    #[must_use]
    pub fn shown(&self) -> String {
        let words = self.words.iter().map(|word| word.text).skip_while(|word| RESERVED.contains(word));
        let whole = words.collect::<Vec<_>>().join(" ");
        if whole.chars().count() <= 60 { whole } else { whole.chars().take(60).chain(['…']).collect() }
    }
}

/// A part of the tree below a map, and the way to it.
#[derive(Debug, Clone)]
pub struct Branch<'t> {
    /// What stands there.
    pub tree: &'t Tree,
    steps: Vec<Step>,
    key_at: Position,
}

impl<'t> Branch<'t> {
    /// The last entry of that name.
    #[must_use]
    pub fn of(entries: &'t [Entry], key: &str) -> Option<Branch<'t>> {
        let entry = entries.iter().rev().find(|entry| entry.key == key)?;
        Some(Branch { tree: &entry.value, steps: vec![Step::Key(key.to_owned())], key_at: entry.at })
    }

    /// The tree itself.
    #[must_use]
    pub fn root(tree: &'t Tree) -> Branch<'t> {
        Branch { tree, steps: Vec::new(), key_at: Position::default() }
    }

    /// One key further.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Branch<'t>> {
        let below = Branch::of(self.tree.entries(), key)?;
        Some(Branch { steps: self.steps.iter().cloned().chain(below.steps).collect(), ..below })
    }

    /// Several keys further.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Option<Branch<'t>> {
        keys.iter().try_fold(self.clone(), |branch, key| branch.get(key))
    }

    /// The items of a list.
    pub fn items(&self) -> impl Iterator<Item = Branch<'t>> {
        self.tree.items().iter().enumerate().map(|(index, tree)| {
            let name = tree.get("name").and_then(Tree::text).map(str::to_owned);
            let steps = self.steps.iter().cloned().chain([Step::Item { index, name }]).collect();
            Branch { tree, steps, key_at: self.key_at }
        })
    }

    /// The text of a value.
    #[must_use]
    pub fn text(&self) -> Option<&'t str> {
        self.tree.text()
    }

    /// Where it stands: a value at itself, anything else at its key.
    #[must_use]
    pub fn spot(&self) -> Spot {
        let (at, value) = match self.tree.scalar() {
            Some(scalar) if scalar.kind != Kind::Null => (scalar.at, scalar.text.to_string()),
            _ => (self.key_at, String::new()),
        };
        Spot { steps: self.steps.clone(), at, value }
    }
}

/// Is this value a `true`, written out? What a template fills in is not.
#[must_use]
pub fn is_true(tree: Option<&Tree>) -> bool {
    tree.and_then(Tree::text).and_then(value::flag) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Command<'_> {
        let word = |text| Word { text, steps: Vec::new(), at: Position::default() };
        Command { words: text.split_whitespace().map(word).collect(), may_set_clocks: false, is_repeated: false }
    }

    #[test]
    fn the_program_is_found_behind_what_runs_it() {
        for (text, expected) in [
            ("date -s now", Some("date")),
            ("/bin/date", Some("date")),
            ("TZ=UTC exec /usr/sbin/ntpd -g", Some("ntpd")),
            ("do ntpd -gq", Some("ntpd")),
            ("nsenter -t 1 -m -u -- date -s x", Some("date")),
            ("chroot /host date -s x", Some("date")),
            ("timeout 5s hwclock -w", Some("hwclock")),
            ("env", None),
            ("command -v ntpd", None),
            ("command ntpd", Some("ntpd")),
            ("", None),
        ] {
            assert_eq!(command(text).program().map(|(_, program)| program), expected, "{text}");
        }
    }

    #[test]
    fn options_and_flags_are_found_in_every_spelling() {
        for (text, expected) in [
            ("date -s x", true),
            ("date -us x", true),
            ("date --set=x", true),
            ("date --set x", true),
            ("date --rfc-3339=seconds", false),
            ("date -u +%s", false),
            ("date -d @0", false),
            ("date -Iseconds", false),
            ("date -uIs", false),
            ("date -dyesterday", false),
        ] {
            assert_eq!(command(text).has_option('s', "set", "IdfrD"), expected, "{text}");
        }
        let value = |text| command(text).flag("lease").map(|(value, _)| value.to_owned());
        assert_eq!(value("x --lease=1s --lease 2s"), Some("2s".to_owned()));
        assert_eq!(value("x --lease-other=1s"), None);
        assert_eq!(value("x --lease"), None);
    }
}
