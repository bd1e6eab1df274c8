//! Which files there are to look at, in the order in which they are reported.
//!
//! A file that is named is looked at, whatever it is called. Directories are searched as ripgrep searches them: what
//! .gitignore and .ignore leave out is left out, with or without a repository around it; so are hidden files, other than
//! .env files, which hold settings. A path that does not exist and has stars in it is a pattern, for shells that do not
//! know `**` and for patterns in quotes.
//!
//! Does not know: what is in the files.

use super::args::LintArgs;
use crate::inspect::formats;
use globset::GlobBuilder;
use ignore::{DirEntry, WalkBuilder};
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// Directories that hold nothing of one's own.
const SKIPPED: &[&str] = &["target", "node_modules"];

/// Something to look at, or to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A file, or standard input for `-`.
    File(PathBuf),
    /// Cannot be looked at, and why; the job is not done.
    Failed(PathBuf, String),
    /// Not worth a failure, but worth a word.
    Note(PathBuf, String),
}

/// Everything behind the paths, in their order and that of names below directories, each file once.
pub(super) fn targets(args: &LintArgs) -> Vec<Target> {
    let mut found = Vec::new();
    for path in &args.paths {
        let before = found.len();
        if path.as_os_str() == "-" {
            found.push(Target::File(path.clone()));
        } else if path.is_dir() {
            walk(path, args, &may_be_format, &mut found);
            if found.len() == before {
                found.push(Target::Note(path.clone(), "no file in there that is read".to_owned()));
            }
        } else if let Some((base, matches)) = pattern(path) {
            walk(&base, args, &matches, &mut found);
            for target in found.iter_mut().skip(before) {
                // What the pattern does not say is not shown.
                if let Target::File(path) = target {
                    *path = plain(path);
                }
            }
            if found.len() == before {
                found.push(Target::Failed(path.clone(), "no file fits this pattern".to_owned()));
            }
        } else {
            found.push(Target::File(path.clone()));
        }
    }
    let mut known = HashSet::new();
    found.retain(|target| match target {
        Target::File(path) => known.insert(plain(path)),
        Target::Failed(..) | Target::Note(..) => true,
    });
    without_second_names(&mut found);
    found
}

/// Leaves out links to files that are looked at under their own names.
fn without_second_names(found: &mut Vec<Target>) {
    let (mut links, mut real) = (Vec::new(), HashSet::new());
    for target in found.iter() {
        let Target::File(path) = target else { continue };
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => links.push(path.clone()),
            _ => {
                real.insert(path.clone());
            }
        }
    }
    if links.is_empty() {
        return;
    }
    let real: HashSet<PathBuf> = real.iter().filter_map(|path| path.canonicalize().ok()).collect();
    links.retain(|link| link.canonicalize().is_ok_and(|leads_to| real.contains(&leads_to)));
    found.retain(|target| !matches!(target, Target::File(path) if links.contains(path)));
}

/// A path without `./`, so that one file has one name.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn may_be_format(path: &Path) -> bool {
    path.file_name().is_some_and(|name| formats::may_be_format(&name.to_string_lossy()))
}

/// Where to search for a pattern, and what fits it; `None` where the path is none, or exists as it is.
fn pattern(path: &Path) -> Option<(PathBuf, impl Fn(&Path) -> bool + use<>)> {
    let text = path.to_str().filter(|text| text.contains(['*', '?', '[', '{']))?;
    if path.symlink_metadata().is_ok() {
        return None;
    }
    let glob = GlobBuilder::new(text.trim_start_matches("./")).literal_separator(true).build().ok()?.compile_matcher();
    let is_literal = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let base: PathBuf = path.components().take_while(is_literal).collect();
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    Some((base, move |path: &Path| glob.is_match(plain(path))))
}

fn walk(folder: &Path, args: &LintArgs, is_wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<Target>) {
    let (hidden, all) = (args.hidden, args.no_ignore);
    let mut builder = WalkBuilder::new(folder);
    builder.standard_filters(!all).hidden(false).require_git(false).sort_by_file_name(std::ffi::OsStr::cmp);
    builder.filter_entry(move |entry| entry.depth() == 0 || is_searched(entry, hidden, all));
    for entry in builder.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = path_of(&error).unwrap_or_else(|| folder.to_owned());
                found.push(Target::Failed(path, reason(&error)));
                continue;
            }
        };
        if let Some(error) = entry.error() {
            found.push(Target::Note(entry.path().to_owned(), format!("a rule about ignored files: {error}")));
        }
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() || !is_wanted(entry.path()) {
            continue;
        }
        // A link to a file is one; a link to a directory could lead in a circle.
        let leads_to =
            if kind.is_symlink() { std::fs::metadata(entry.path()).map(|it| it.file_type()) } else { Ok(kind) };
        match leads_to {
            Ok(kind) if kind.is_file() => found.push(Target::File(entry.into_path())),
            // A pipe that nobody writes to would never end.
            Ok(kind) if !kind.is_dir() => {
                found.push(Target::Note(entry.into_path(), "not looked at: no regular file".to_owned()));
            }
            Ok(_) => {}
            Err(error) => found.push(Target::Note(entry.into_path(), format!("not looked at: a link: {error}"))),
        }
    }
}

/// Is this entry of a directory looked at, or searched?
fn is_searched(entry: &DirEntry, hidden: bool, all: bool) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    if is_folder && (name == ".git" || (!all && SKIPPED.contains(&name.as_ref()))) {
        return false;
    }
    hidden || !name.starts_with('.') || (!is_folder && name.starts_with(".env"))
}

fn path_of(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child.clone()),
        _ => None,
    }
}

/// What went wrong, without the path, which is told anyway.
fn reason(error: &ignore::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}
