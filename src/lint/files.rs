//! The texts of files, read and replaced: the only part of the linter that touches what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What reading a file gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// There, but nothing that could be looked at; the file is passed over with this note.
    Passed(String),
    /// Could not be read; the job is not done.
    Failed(String),
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path, bytes_max: usize) -> Content {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match read {
        Err(error) => Content::Failed(error.to_string()),
        Ok(_) if bytes.len() > bytes_max => Content::Passed(format!("not looked at: larger than {bytes_max} bytes")),
        Ok(_) => text(bytes),
    }
}

fn text(bytes: Vec<u8>) -> Content {
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Content::Passed("not looked at: binary".to_owned()),
        Ok(text) => Content::Text(text),
        Err(_) if is_utf16 => Content::Passed("not looked at: UTF-16; save it as UTF-8".to_owned()),
        Err(error) if error.as_bytes().contains(&0) => Content::Passed("not looked at: binary".to_owned()),
        Err(error) => Content::Passed(format!("not looked at: not UTF-8: {}", error.utf8_error())),
    }
}

/// Replaces the text of a file by another, wholly or not at all; its mode, its owner and a link to it stay.
///
/// # Errors
/// Why the file is as it was: it has changed since `before` was read, it is read-only, it has another name (a hard link,
/// which would go on leading to the old text), or the system refuses.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> Result<(), String> {
    // What a link leads to is replaced, not the link.
    let path = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let meta = fs::metadata(&path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if meta.permissions().readonly() {
        return Err("it is read-only".to_owned());
    }
    if meta.nlink() > 1 {
        return Err("it has several names (hard links), and only this one would be mended".to_owned());
    }
    if fs::read(&path).map_err(|error| error.to_string())? != before.as_bytes() {
        return Err("it has changed since it was read".to_owned());
    }
    let (temporary, file) = beside(&path).map_err(|error| error.to_string())?;
    let written = write(file, &meta, after).and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|error| {
        // It is ours, and half a file; that it cannot be removed changes nothing about the reason.
        let _ = fs::remove_file(&temporary);
        error.to_string()
    })
}

/// A new file in the same directory, since a rename is whole only within one file system.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..100 {
        let temporary = path.with_file_name(format!(".{name}.clockwarden-{}-{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn write(mut file: File, meta: &fs::Metadata, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        std::os::unix::fs::fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
    }
    // After the owner, since a change of owner takes set-user-id bits away.
    file.set_permissions(meta.permissions())?;
    file.sync_all()
}
