//! Looks at many files at once, and gives what was found in the order in which they were named.
//!
//! Threads take the next file from one counter; whatever they find waits until everything before it was given out, so
//! the report of two runs is the same to the byte. Texts are kept only where something was found in them.

use super::files::{self, Content};
use super::find::Target;
use crate::inspect::mend::{Eyes, mend};
use crate::inspect::{FileInspection, Finding, Note, ObjectRef, Suppressed};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// What is done about findings that can be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mend {
    No,
    /// Show what would be written.
    Show,
    Write,
}

/// One file with what was found in it.
#[derive(Debug, Default)]
pub(super) struct Linted {
    pub(super) path: PathBuf,
    /// As it is shown; `-` is standard input.
    pub(super) name: String,
    /// Empty where nothing was found.
    pub(super) text: String,
    pub(super) findings: Vec<(ObjectRef, Finding)>,
    pub(super) suppressed: Vec<Suppressed>,
    pub(super) notes: Vec<Note>,
    pub(super) is_read: bool,
    /// Kubernetes objects.
    pub(super) objects: usize,
    /// Findings that were mended, and are no longer among the others.
    pub(super) fixed: usize,
    /// What the text would be, where that is to be shown.
    pub(super) mended: Option<String>,
    /// Why mending failed.
    pub(super) failure: Option<String>,
}

/// What came of one target.
#[derive(Debug)]
pub(super) enum Outcome {
    Linted(Box<Linted>),
    /// There, but not looked at.
    Passed(String, String),
    /// The job is not done.
    Failed(String, String),
    /// Only to be told.
    Note(String, String),
}

/// Looks at all targets on `jobs` threads, and hands each outcome to `then`, in order, with its number.
///
/// # Errors
/// The first of `then`'s, and when no thread can be had.
pub(super) fn all(
    targets: &[Target],
    jobs: usize,
    eyes: &Eyes<'_>,
    how: Mend,
    mut then: impl FnMut(usize, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    // Depth of recursion is limited, but each level of a debug build takes its room.
    const STACK: usize = 16 << 20;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for number in 0..jobs.min(targets.len()).max(1) {
            let (sender, next) = (sender.clone(), &next);
            let work = move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(target) = targets.get(number) else { return };
                    // Nobody listens once the report has failed.
                    if sender.send((number, one(target, eyes, how))).is_err() {
                        return;
                    }
                }
            };
            let name = format!("lint-{number}");
            std::thread::Builder::new().name(name).stack_size(STACK).spawn_scoped(scope, work)?;
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut expected = 0_usize;
        for (number, outcome) in receiver {
            waiting.insert(number, outcome);
            while let Some(outcome) = waiting.remove(&expected) {
                then(expected, outcome)?;
                expected = expected.saturating_add(1);
            }
        }
        Ok(())
    })
}

fn one(target: &Target, eyes: &Eyes<'_>, how: Mend) -> Outcome {
    let shown = |path: &Path| path.display().to_string();
    match target {
        Target::Failed(path, message) => Outcome::Failed(shown(path), message.clone()),
        Target::Note(path, message) => Outcome::Note(shown(path), message.clone()),
        Target::File(path) => match files::read(path, eyes.limits.bytes) {
            Content::Passed(message) => Outcome::Passed(shown(path), message),
            Content::Failed(message) => Outcome::Failed(shown(path), message),
            Content::Text(text) => Outcome::Linted(Box::new(linted(path, text, eyes, how))),
        },
    }
}

fn linted(path: &Path, text: String, eyes: &Eyes<'_>, how: Mend) -> Linted {
    let name = path.display().to_string();
    let known_as = Some(name.as_str()).filter(|name| *name != "-");
    let found = eyes.look(known_as, &text);
    let mended = if how == Mend::No { None } else { mend(known_as, &text, &found, eyes) };
    let Some(mended) = mended else { return with(path, name, text, found) };
    match how {
        Mend::No | Mend::Show => {
            let mut linted = with(path, name, text, found);
            (linted.fixed, linted.mended) = (mended.fixed, Some(mended.text));
            linted
        }
        Mend::Write => match files::replace(path, &text, &mended.text) {
            Ok(()) => {
                let mut linted = with(path, name, mended.text, mended.left);
                linted.fixed = mended.fixed;
                linted
            }
            Err(failure) => {
                let mut linted = with(path, name, text, found);
                linted.failure = Some(failure);
                linted
            }
        },
    }
}

fn with(path: &Path, name: String, text: String, found: FileInspection) -> Linted {
    let mut linted = Linted {
        path: path.to_owned(),
        name,
        notes: found.notes,
        suppressed: found.suppressed,
        is_read: found.is_read,
        ..Linted::default()
    };
    for (object, inspection) in found.documents {
        linted.objects = linted.objects.saturating_add(usize::from(!object.kind.is_empty()));
        linted.notes.extend(inspection.notes);
        linted.findings.extend(inspection.findings.into_iter().map(|finding| (object.clone(), finding)));
    }
    if !linted.findings.is_empty() || !linted.suppressed.is_empty() {
        linted.text = text;
    }
    linted
}
