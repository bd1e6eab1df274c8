//! Keeps what happened to the clock in a file, so that a restart of the agent or of the machine forgets nothing.
//!
//! The whole file is written anew, beside the old one, made durable and put in its place (rename(2)): there is always
//! one that is whole. That happens when there is something to keep, at the start and at the end, and never by time, for
//! the sake of the disk. With it go the clocks of the moment, so that the next run sees what was done to the clock in
//! between.
//!
//! The agent never depends on it. A file that is not ours is left alone, one that cannot be written is tried again with
//! the next change; either is said once, and the jumps are kept in memory.

mod format;

pub use format::{FILE_MAX, Foreign, Loaded, decode, encode};

use crate::agent::board::Board;
use crate::agent::jumps::Past;
use crate::runtime::CancellationToken;
use anyhow::Context as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where the kernel says which start of the machine this is (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A write that failed is tried again after this, or with the next change.
const RETRY: Duration = Duration::from_secs(600);

/// The file, if it may be written.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    failing: bool,
}

/// This start of the machine; `instance` where the kernel does not tell, which is like no other.
#[must_use]
pub fn boot(instance: &str) -> Arc<str> {
    match std::fs::read_to_string(BOOT_ID) {
        Ok(text) if !text.trim().is_empty() && text.len() <= 64 => Arc::from(text.trim()),
        Ok(_) | Err(_) => Arc::from(format!("unknown-{instance}")),
    }
}

/// The user and group that an agent runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    uid: u32,
    gid: u32,
}

/// Not `UID:GID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the numbers of a user and a group, for example 65532:65532")]
pub struct OwnerError;

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Owner, OwnerError> {
        let (uid, gid) = text.split_once(':').ok_or(OwnerError)?;
        Ok(Owner { uid: uid.parse().map_err(|_| OwnerError)?, gid: gid.parse().map_err(|_| OwnerError)? })
    }
}

impl Owner {
    /// Gives the folder of `path` to this owner, or says why not. The kubelet makes the folders of hostPath volumes as
    /// root's, and fsGroup does not apply to them.
    pub fn give(self, path: &Path) {
        let folder = folder(path);
        let given = std::fs::create_dir_all(folder)
            .and_then(|()| std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid)));
        let (shown, Owner { uid, gid }) = (folder.display(), self);
        match given {
            Ok(()) => tracing::info!(folder = %shown, uid, gid, "the folder of the history is the agent's"),
            Err(error) => tracing::warn!(
                folder = %shown, uid, gid, %error,
                "the folder of the history cannot be given to the agent, which will keep jumps in memory only"
            ),
        }
    }
}

impl History {
    /// Reads what an earlier run kept. `None` for a file that is left alone.
    #[must_use]
    pub fn open(path: &Path) -> (Option<History>, Past) {
        let shown = path.display();
        let history = Some(History { path: path.to_owned(), failing: false });
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (history, Past::default()),
            Err(error) => {
                tracing::warn!(
                    path = %shown, %error,
                    "the history cannot be read and is left alone; jumps are kept in memory only. Make the file readable \
                     for this user, or name another one with --history"
                );
                return (None, Past::default());
            }
        };
        match decode(&bytes) {
            Ok(loaded) => {
                let (jumps, dropped) = (loaded.past.jumps.len(), loaded.dropped);
                if dropped > 0 {
                    tracing::warn!(path = %shown, jumps, dropped, "lines of the history were torn or spoilt and are dropped");
                } else {
                    tracing::info!(path = %shown, jumps, "history read");
                }
                (history, loaded.past)
            }
            Err(foreign) => {
                tracing::warn!(
                    path = %shown, because = %foreign,
                    "the file is not a history of ours and is left alone; jumps are kept in memory only. Move it away, or \
                     name another one with --history"
                );
                (None, Past::default())
            }
        }
    }

    /// Puts `bytes` in the place of the file, or says once that it cannot.
    fn save(&mut self, bytes: &[u8]) {
        match replace(&self.path, bytes) {
            Ok(()) if self.failing => {
                tracing::info!(path = %self.path.display(), "the history is kept on disk again");
                self.failing = false;
            }
            Ok(()) => {}
            Err(error) if !self.failing => {
                tracing::warn!(
                    path = %self.path.display(), %error,
                    "the history cannot be written; jumps are kept in memory until it can. Its folder must exist, be \
                     writable for this user and have space left"
                );
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}

/// Writes with every change, at the start, and when told to stop.
///
/// # Errors
/// If writing panics, which ends the process.
pub async fn keep(board: Arc<Board>, mut history: History, stop: CancellationToken) -> anyhow::Result<()> {
    let mut revision = board.revision();
    loop {
        let last = stop.is_cancelled();
        revision.borrow_and_update();
        let bytes = board
            .with(|core, clocks| {
                let (ring, boot) = core.jumps().kept();
                encode(ring.iter(), Some((&**boot, clocks)))
            })
            .context("the history could not be put into words")?;
        // A disk may take its time.
        history = tokio::task::spawn_blocking(move || {
            history.save(&bytes);
            history
        })
        .await
        .context("writing the history failed")?;
        if last {
            return Ok(());
        }
        tokio::select! {
            changed = revision.changed() => changed.context("the board is gone")?,
            () = tokio::time::sleep(RETRY), if history.failing => {}
            () = stop.cancelled() => {}
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe or a device must not hold us up.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it has no file name"))?.to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // What a crash left; and whatever else has that name, a link too, is not written through.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // A full disk is not helped by half a file; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
