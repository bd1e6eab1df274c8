//! Looks at many files at once, and gives what was found in the order in which they were named.
//!
//! Threads take the next file from one counter; whatever they find waits until everything before it was given out, so
//! the report of two runs is the same to the byte. Texts are kept only where something was found in them.

use super::files::{self, Content};
use super::find::Target;
use crate::inspect::Eyes;
use crate::inspect::mend::mend_with;
use crate::inspect::{FileInspection, Finding, Note, ObjectRef, Supplier, Suppressed, Taker, Uses};
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
    pub(super) seen: Seen,
}

/// What a file is to others.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What variables can be taken from; a file with any is not mended at the first look.
    pub(super) suppliers: Vec<Supplier>,
    /// ConfigMaps that are generated from environment files, and these.
    pub(super) from_files: Vec<(Supplier, Supplier)>,
    /// Containers in it that take variables from other objects.
    pub(super) takers: Vec<Taker>,
    /// There may be more of them.
    pub(super) may_take: bool,
    /// It speaks of clocks.
    pub(super) may_hold: bool,
    /// The text of standard input, which cannot be read twice.
    pub(super) input: Option<String>,
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

/// Does something with all items on `jobs` threads, and hands each result to `then`, in order, with its number.
///
/// # Errors
/// The first of `then`'s, and when no thread can be had.
pub(super) fn each<I: Sync, T: Send>(
    items: &[I],
    jobs: usize,
    work: impl Fn(&I) -> T + Sync,
    mut then: impl FnMut(usize, T) -> io::Result<()>,
) -> io::Result<()> {
    // Depth of recursion is limited, but each level of a debug build takes its room.
    const STACK: usize = 16 << 20;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for number in 0..jobs.min(items.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            let work = move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { return };
                    // Nobody listens once the report has failed.
                    if sender.send((number, work(item))).is_err() {
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
        for (number, result) in receiver {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&expected) {
                then(expected, result)?;
                expected = expected.saturating_add(1);
            }
        }
        Ok(())
    })
}

/// The first look at a target.
pub(super) fn one(target: &Target, eyes: &Eyes<'_>, how: Mend) -> Outcome {
    match target {
        Target::Failed(path, message) => Outcome::Failed(shown(path), message.clone()),
        Target::Note(path, message) => Outcome::Note(shown(path), message.clone()),
        Target::File(path) => read(path, eyes, |text| {
            let name = shown(path);
            let found = eyes.look(known_as(&name), &text);
            if found.suppliers.is_empty() {
                return mended(path, text, found, eyes, how, None);
            }
            // Who takes its variables may have a say in what is to be mended.
            mended(path, text, found, eyes, Mend::No, None)
        }),
    }
}

/// The second look, with who takes variables from the file's objects; `input` is its text, if it cannot be read again.
pub(super) fn again(path: &Path, input: Option<&str>, eyes: &Eyes<'_>, how: Mend, uses: Option<&Uses<'_>>) -> Outcome {
    let look = |text: String| {
        let found = eyes.look_with(known_as(&shown(path)), &text, uses);
        mended(path, text, found, eyes, how, uses)
    };
    match input {
        Some(text) => Outcome::Linted(Box::new(look(text.to_owned()))),
        None => read(path, eyes, look),
    }
}

fn read(path: &Path, eyes: &Eyes<'_>, look: impl FnOnce(String) -> Linted) -> Outcome {
    match files::read(path, eyes.limits.bytes) {
        Content::Passed(message) => Outcome::Passed(shown(path), message),
        Content::Failed(message) => Outcome::Failed(shown(path), message),
        Content::Text(text) => Outcome::Linted(Box::new(look(text))),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Standard input has no name that would tell its format.
pub(super) fn known_as(name: &str) -> Option<&str> {
    Some(name).filter(|name| *name != "-")
}

fn mended(
    path: &Path,
    text: String,
    found: FileInspection,
    eyes: &Eyes<'_>,
    how: Mend,
    uses: Option<&Uses<'_>>,
) -> Linted {
    let name = shown(path);
    let mended = if how == Mend::No { None } else { mend_with(known_as(&name), &text, &found, eyes, uses) };
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
        seen: Seen {
            suppliers: found.suppliers,
            from_files: found.from_files,
            takers: found.takers,
            may_take: found.may_take,
            may_hold: found.may_hold,
            input: None,
        },
        ..Linted::default()
    };
    for (object, inspection) in found.documents {
        linted.objects = linted.objects.saturating_add(usize::from(!object.kind.is_empty()));
        linted.notes.extend(inspection.notes);
        linted.findings.extend(inspection.findings.into_iter().map(|finding| (object.clone(), finding)));
    }
    let seen = &mut linted.seen;
    if path.as_os_str() == "-" && (seen.may_take || !seen.suppliers.is_empty()) {
        seen.input = Some(text.clone());
    }
    if !linted.findings.is_empty() || !linted.suppressed.is_empty() {
        linted.text = text;
    }
    linted
}
