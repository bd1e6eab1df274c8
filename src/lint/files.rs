//! Which files there are, and their texts: the only part of the linter that touches the disk.

use crate::inspect::formats;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Directories that hold nothing of one's own.
const SKIPPED: &[&str] = &[".git", "target", "node_modules"];

/// A file to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// As it is shown; `-` is standard input.
    pub(super) name: String,
    pub(super) content: Content,
}

/// What reading it gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// There, but nothing that could be looked at; the file is passed over with this note.
    Passed(String),
    /// Could not be read; the job is not done.
    Failed(String),
}

/// The files behind a path, in order of their names; reads one at a time.
pub(super) fn expand(path: &Path) -> Vec<Result<PathBuf, File>> {
    let mut found = Vec::new();
    if path.is_dir() {
        walk(path, &mut found)
    } else {
        found.push(Ok(path.to_owned()))
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Result<PathBuf, File>>) {
    let failed = |error: &io::Error| {
        Err(File { name: folder.display().to_string(), content: Content::Failed(error.to_string()) })
    };
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return found.push(failed(&error)),
    };
    let mut entries: Vec<_> =
        entries.iter().map(|entry| (entry.file_name(), entry.file_type(), entry.path())).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind, path) in entries {
        let name = name.to_string_lossy();
        match kind {
            Ok(kind) if kind.is_dir() => {
                if !SKIPPED.contains(&name.as_ref()) {
                    walk(&path, found);
                }
            }
            // A link to a file is one; a link to a directory could lead in a circle.
            Ok(_) if formats::may_be_format(&name) && path.is_file() => found.push(Ok(path)),
            Ok(_) => {}
            Err(error) => found.push(failed(&error)),
        }
    }
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path, bytes_max: usize) -> File {
    let name = path.display().to_string();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if name == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    let content = match read {
        Err(error) => Content::Failed(error.to_string()),
        Ok(_) if bytes.len() > bytes_max => Content::Passed(format!("not looked at: larger than {bytes_max} bytes")),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => Content::Passed(format!("not looked at: not UTF-8: {}", error.utf8_error())),
        },
    };
    File { name, content }
}
