//! The way from the root of an object down to the value that is being looked at.
//!
//! A chain of links on the walk's own stack, innermost first: nothing is allocated for the many leaves that match
//! nothing. The path, its words, its file and its place are worked out of the chain for the few that do. A document
//! inside a value (a file in a ConfigMap, JSON in a variable) is a link like any other, so conditions and paths see
//! through it.

use super::duration::Nanos;
use super::formats::{self, Notation};
use super::place;
use super::scope::Scope;
use super::tree::{Extent, Path, Position, Scalar, Step};
use super::words::Letters;

/// One step of the way.
pub(crate) struct Link<'p> {
    /// The step before; none at the root.
    pub(crate) up: Option<&'p Link<'p>>,
    /// This step.
    pub(crate) step: Way<'p>,
}

/// Is a key a path itself: one of properties, and a dotted key of TOML?
fn is_path(notation: Notation, key: &str) -> bool {
    let is_bare = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match notation {
        Notation::Properties => key.split('.').all(|part| !part.is_empty()),
        Notation::Assignment => key.split('.').all(|part| !part.is_empty() && is_bare(part)),
        _ => false,
    }
}

/// Kinds of steps.
pub(crate) enum Way<'p> {
    /// The root of the object or file, its text where it is known, and how it is written.
    Root { text: Option<&'p str>, notation: Notation, file: Option<&'p str> },
    /// Into a map: the key, and the map with this entry's number.
    Key { name: &'p str, scope: &'p Scope<'p>, index: usize },
    /// Into a list.
    Item { index: usize, name: Option<&'p str> },
    /// Into a map that is a value and what goes with it (`leeway: {value: 0, unit: s}`): the value's key there, which is
    /// no part of the setting's name, and what a number counts there, in nanoseconds, where that is said.
    Held { name: &'p str, unit: Option<Nanos> },
    /// From an item with a name to its value, which the name is the key of.
    Named { name: &'p str, scope: &'p Scope<'p>, index: usize },
    /// From an entry of an object to the variable that a container makes of it: the variable is what it is called, the
    /// entry where it stands.
    Taken { entry: &'p str, name: &'p str, scope: &'p Scope<'p>, index: usize },
    /// A flag of a command line, or an assignment in a text: `--`, its name, what joins it to its value, and those
    /// beside it with its own number.
    Flag { prefix: &'p str, name: &'p str, joint: &'p str, scope: &'p Scope<'p>, index: usize },
    /// Into a document inside of a value: its text, how it is written, where the value stands in the outer document.
    Document { text: &'p str, notation: Notation, at: Position, name: Option<&'p str> },
}

impl<'p> Link<'p> {
    /// A root.
    pub(crate) fn root(text: Option<&'p str>, notation: Notation, file: Option<&'p str>) -> Self {
        Link { up: None, step: Way::Root { text, notation, file } }
    }

    /// A link below this one.
    pub(crate) fn down<'q>(&'q self, step: Way<'q>) -> Link<'q>
    where
        'p: 'q,
    {
        Link { up: Some(self), step }
    }

    /// This link and those above, innermost first.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = &Link<'p>> {
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let link = next?;
            next = link.up;
            Some(link)
        })
    }

    /// The same as far as the first root, which ends the document that the value stands in.
    fn in_document(&self) -> impl Iterator<Item = &Link<'p>> {
        let mut is_over = false;
        self.upwards().take_while(move |link| !std::mem::replace(&mut is_over, matches!(link.step, Way::Root { .. })))
    }

    /// The key of this step, if it has one.
    pub(crate) fn key(&self) -> Option<&'p str> {
        match self.step {
            Way::Key { name, .. } | Way::Named { name, .. } | Way::Flag { name, .. } | Way::Taken { name, .. } => {
                Some(name)
            }
            Way::Root { .. } | Way::Item { .. } | Way::Held { .. } | Way::Document { .. } => None,
        }
    }

    /// All keys, innermost first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'p str> + '_ {
        self.upwards().filter_map(Link::key)
    }

    /// Adds the letters of all keys, outermost first.
    pub(crate) fn spell(&self, letters: &mut Letters) {
        if let Some(up) = self.up {
            up.spell(letters);
        }
        if let Some(key) = self.key() {
            letters.push(key);
        }
    }

    /// The maps and lists of names around the value, innermost first, each with the number of keys above it and
    /// the number of the entry that the way goes through.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = (&'p Scope<'p>, usize, usize)> + '_ {
        let mut keys = self.keys().count();
        self.upwards().filter_map(move |link| {
            link.key()?;
            keys = keys.saturating_sub(1);
            match link.step {
                Way::Key { scope, index, .. }
                | Way::Named { scope, index, .. }
                | Way::Flag { scope, index, .. }
                | Way::Taken { scope, index, .. } => Some((scope, keys, index)),
                _ => None,
            }
        })
    }

    /// How the innermost document is written.
    pub(crate) fn notation(&self) -> Notation {
        let written = self.upwards().find_map(|link| match link.step {
            Way::Root { notation, .. } | Way::Document { notation, .. } => Some(notation),
            _ => None,
        });
        written.unwrap_or(Notation::Yaml)
    }

    /// The text of the innermost document, where it is known.
    pub(crate) fn text(&self) -> Option<&'p str> {
        self.upwards().find_map(|link| match link.step {
            Way::Root { text, .. } => Some(text),
            Way::Document { text, .. } => Some(Some(text)),
            _ => None,
        })?
    }

    /// What a bare number counts, in nanoseconds, where the document itself says so beside it.
    pub(crate) fn unit_beside(&self, scalar: &Scalar) -> Option<Nanos> {
        if let Way::Held { unit, .. } = self.step {
            return unit;
        }
        formats::unit_beside(self.notation(), self.text()?, scalar.extent?)
    }

    /// The name of the innermost document that has one.
    pub(crate) fn file(&self) -> Option<&'p str> {
        self.upwards().find_map(|link| match link.step {
            Way::Root { file, .. } => file,
            Way::Document { name, .. } => name,
            _ => None,
        })
    }

    /// How many documents inside of documents.
    pub(crate) fn embedded(&self) -> usize {
        self.upwards().filter(|link| matches!(link.step, Way::Document { .. })).count()
    }

    /// The path, as people write it. Keys of properties are paths themselves. What is above a root (a container, for an
    /// entry of a ConfigMap that it takes) is in another document, and is no part of it.
    pub(crate) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let links: Vec<&Link<'p>> = self.in_document().collect();
        for link in links.into_iter().rev() {
            match link.step {
                Way::Root { .. } | Way::Document { .. } | Way::Flag { .. } => {}
                Way::Named { .. } => steps.push(Step::Key("value".to_owned())),
                // In a text the name stands beside its value, and is no step.
                Way::Taken { .. } if link.is_in_text() => {}
                Way::Held { name, .. } | Way::Taken { entry: name, .. } => steps.push(Step::Key(name.to_owned())),
                Way::Item { index, name } => steps.push(Step::Item { index, name: name.map(str::to_owned) }),
                Way::Key { name, .. } => {
                    if is_path(link.notation(), name) {
                        steps.extend(name.split('.').map(|part| Step::Key(part.to_owned())));
                    } else {
                        steps.push(Step::Key(name.to_owned()));
                    }
                }
            }
        }
        Path(steps)
    }

    /// A place in the innermost document as a place in the file; unknown where there is no file.
    pub(crate) fn place(&self, at: Position) -> Position {
        let mut at = at;
        let mut inner: Option<(&str, Position)> = None;
        for link in self.in_document() {
            let text = match link.step {
                Way::Document { text, .. } => Some(text),
                Way::Root { text, .. } => text,
                _ => continue,
            };
            if let Some((inner_text, value_at)) = inner {
                at = match text {
                    Some(text) => place::outer(text, value_at, inner_text, at),
                    None => Position::default(),
                };
            }
            inner = match link.step {
                Way::Document { text, at, .. } => Some((text, at)),
                _ => None,
            };
        }
        at
    }

    /// Is it cut out of a text that is no format of its own?
    fn is_in_text(&self) -> bool {
        let is_assigned = || self.up.is_some_and(|up| matches!(up.step, Way::Document { .. }));
        matches!(self.step, Way::Flag { .. }) || (matches!(self.step, Way::Taken { .. }) && is_assigned())
    }

    /// The bytes of a value in the file, where they are the value letter for letter and nothing else's; `None` also
    /// where there is no file. Every document around the value is followed exactly, or not at all.
    pub(crate) fn extent(&self, scalar: &Scalar) -> Option<Extent> {
        let value = scalar.text.as_str();
        let mut at: Option<Position> = None;
        let mut start = 0;
        let mut inner: Option<(&str, Position)> = None;
        for link in self.in_document() {
            let (text, begins) = match link.step {
                Way::Document { text, at, .. } => (text, Some(at)),
                Way::Root { text, .. } => (text?, None),
                _ => continue,
            };
            let here = match (at, inner) {
                (Some(at), Some((inner_text, value_at))) => place::exact(text, value_at, inner_text, at)?,
                // Flags are cut out of a text that is no format of its own.
                _ if scalar.extent.is_some() || self.is_in_text() => scalar.at,
                _ => return None,
            };
            start = match scalar.extent {
                Some(extent) if at.is_none() && extent.of(text) != Some(value) => return None,
                Some(extent) if at.is_none() => usize::try_from(extent.start).ok()?,
                _ => place::in_bytes(text, here)?,
            };
            if !text.get(start..)?.starts_with(value) {
                return None;
            }
            at = Some(place::position(text.trim_start_matches('\u{feff}'), start.saturating_sub(place::mark(text))));
            // Quotes and escapes mean something else from one document to the next.
            inner = begins.map(|begins| (text, begins));
            if inner.is_some() && value.contains(['\\', '"', '\'', '\n', '\r']) {
                return None;
            }
        }
        (at.is_some() && inner.is_none()).then(|| Extent::new(start, start.saturating_add(value.len())))?
    }
}
