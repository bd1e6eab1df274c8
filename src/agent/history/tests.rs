//! The file, on a real file system.

use super::*;
use std::os::unix::fs::{MetadataExt as _, symlink};
use tempfile::TempDir;

#[test]
fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("history");
    for bytes in [&b"one"[..], b"two and more", b""] {
        replace(&path, bytes).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    // A run that was killed while it wrote, and a link laid in our way.
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    symlink(&victim, dir.path().join("history.new")).unwrap();
    replace(&path, b"three").unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["history", "victim"]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let check = |name: &str, writable: bool| {
        let (history, past) = History::open(&dir.path().join(name));
        assert_eq!(history.is_some(), writable, "{name}");
        assert!(past.jumps.is_empty() && past.anchor.is_none(), "{name}");
    };
    std::fs::write(dir.path().join("passwd"), "root:x:0:0").unwrap();
    std::fs::write(dir.path().join("huge"), vec![0; FILE_MAX + 1]).unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    for name in ["passwd", "huge", "folder", "pipe"] {
        check(name, false);
    }
    std::fs::write(dir.path().join("empty"), "").unwrap();
    for name in ["empty", "not-there", "no-folder/history"] {
        check(name, true);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said_once_and_tried_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("folder").join("history");
    let (history, _) = History::open(&path);
    let mut history = history.unwrap();
    history.save(b"clockwarden history 1\n");
    assert!(history.failing && !path.exists());
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    history.save(b"clockwarden history 1\n");
    assert!(!history.failing && path.exists());
}

#[test]
fn the_kernel_says_which_start_this_is() {
    let (one, other) = (boot("a"), boot("b"));
    assert_eq!(one, other);
    assert_eq!(one.len(), 36, "{one}");
}

#[test]
fn a_folder_is_given_to_the_agent_and_a_refusal_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let (us, root) = (dir.path().metadata().unwrap(), rustix::process::geteuid().is_root());
    // Whoever is not root can give nothing away.
    let (uid, gid) = if root { (65_532, 65_533) } else { (us.uid(), us.gid()) };
    let owner: Owner = format!("{uid}:{gid}").parse().unwrap();
    let path = dir.path().join("lib").join("clockwarden").join("history");
    for _ in 0..2 {
        owner.give(&path);
        let folder = path.parent().unwrap().metadata().unwrap();
        assert_eq!((folder.uid(), folder.gid()), (uid, gid));
    }
    owner.give(Path::new("/proc/no-such-folder/history"));
    for wrong in ["", "65532", "a:b", "1:2:3", "-1:0", "4294967296:0"] {
        assert_eq!(wrong.parse::<Owner>(), Err(OwnerError), "{wrong}");
    }
}
