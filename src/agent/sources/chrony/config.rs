//! What chrony.conf says about stepping the clock: `makestep THRESHOLD LIMIT`.
//!
//! With a limit of three, chronyd steps the clock in its first three updates only, and slews later. A negative limit
//! takes that away: the clock may jump at any time, in front of running programs (chrony.conf(5), `makestep`). The last
//! directive counts; `include` and `confdir` are followed one level deep. chronyd does not tell this over its command
//! protocol, so the file is read where it usually is. A file elsewhere, or one that we may not read, is no error: then
//! nothing is said.
//!
//! Does not know: whether chronyd was restarted since the file was written.

use crate::agent::sources::under;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where distributions put it: Debian and others, Fedora and others.
const USUAL: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
/// Bytes of one file that are read, and files that are followed: nobody's configuration is longer.
const FILE_MAX: u64 = 64 * 1024;
const FILES_MAX: usize = 64;

/// A directive that lets chronyd step the clock at any time, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the machine itself names it.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The directive as it is written.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// The `makestep` without a limit that is in force on the machine whose files are below `host_root`; `None` if there is
/// none, or if no chrony.conf can be read.
#[must_use]
pub fn unbounded_step(host_root: &Path) -> Option<Place> {
    let (file, text) = USUAL.iter().find_map(|file| read(host_root, file).map(|text| ((*file).to_owned(), text)))?;
    let mut last = None;
    for (line, directive) in directives(&text) {
        match directive {
            Directive::Step(step) => last = Some(placed(&file, line, step)),
            Directive::Files(pattern) => {
                for included in matching(host_root, pattern) {
                    let Some(text) = read(host_root, &included) else { continue };
                    for (line, directive) in directives(&text) {
                        if let Directive::Step(step) = directive {
                            last = Some(placed(&included, line, step));
                        }
                    }
                }
            }
        }
    }
    last.flatten()
}

fn placed(file: &str, line: usize, step: Step<'_>) -> Option<Place> {
    step.unbounded.then(|| Place { file: file.to_owned(), line, text: step.text.to_owned() })
}

/// A directive that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive<'a> {
    Step(Step<'a>),
    /// More files: a path whose last part may hold `*`.
    Files(Pattern<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step<'a> {
    text: &'a str,
    unbounded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern<'a> {
    /// `include`: a path, perhaps with `*` in its last part.
    Glob(&'a str),
    /// `confdir`: every `*.conf` of a folder.
    Folder(&'a str),
}

/// The directives of a file with their lines. Names are not case-sensitive; `!`, `;`, `#` and `%` begin a comment.
fn directives(text: &str) -> impl Iterator<Item = (usize, Directive<'_>)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.starts_with(['!', ';', '#', '%']) {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let directive = match (words.next()?.to_ascii_lowercase().as_str(), words.next()?, words.next()) {
            ("makestep", _, limit) => {
                let limit = limit.and_then(|limit| limit.parse::<i64>().ok());
                Directive::Step(Step { text: line, unbounded: limit.is_some_and(|limit| limit < 0) })
            }
            ("include", path, _) => Directive::Files(Pattern::Glob(path)),
            ("confdir", path, _) => Directive::Files(Pattern::Folder(path)),
            _ => return None,
        };
        Some((index + 1, directive))
    })
}

/// The files that a pattern names, sorted as chronyd reads them.
fn matching(host_root: &Path, pattern: Pattern<'_>) -> Vec<String> {
    let (folder, prefix, suffix) = match pattern {
        Pattern::Folder(folder) => (folder, "", ".conf"),
        Pattern::Glob(path) => match path.rsplit_once('/') {
            Some((folder, name)) => match name.split_once('*') {
                Some((prefix, suffix)) => (folder, prefix, suffix),
                None => return vec![path.to_owned()],
            },
            None => return Vec::new(),
        },
    };
    let Ok(entries) = std::fs::read_dir(under(host_root, folder)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let long_enough = |name: &String| name.len() >= prefix.len() + suffix.len();
    let mut files: Vec<String> = names
        .filter(|name| long_enough(name) && name.starts_with(prefix) && name.ends_with(suffix))
        .map(|name| format!("{}/{name}", folder.trim_end_matches('/')))
        .take(FILES_MAX)
        .collect();
    files.sort();
    files
}

fn read(host_root: &Path, file: &str) -> Option<String> {
    let path: PathBuf = under(host_root, file);
    // A pipe or a device would keep us waiting.
    if !std::fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    std::fs::File::open(&path).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a machine in, the place that is found out.
    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let root = tempfile::TempDir::new().unwrap();
        for (path, text) in files {
            let path = under(root.path(), path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = unbounded_step(root.path()).map(|place| place.to_string());
        assert_eq!(found.as_deref(), expected, "{files:?}");
    }

    #[test]
    fn a_step_without_limit_is_found_where_it_stands_and_the_last_one_counts() {
        let main = "/etc/chrony/chrony.conf";
        check(&[], None);
        check(&[(main, "makestep 1.0 3\nrtcsync\n")], None);
        check(&[(main, "pool x iburst\n  MakeStep 1 -1  \n")], Some("/etc/chrony/chrony.conf:2: MakeStep 1 -1"));
        check(&[("/etc/chrony.conf", "makestep 0.1 -1")], Some("/etc/chrony.conf:1: makestep 0.1 -1"));
        // The first usual place is the one that the distribution uses.
        check(&[(main, "makestep 1 3"), ("/etc/chrony.conf", "makestep 1 -1")], None);
        for comment in ["#", "!", ";", "%", "# "] {
            check(&[(main, &format!("{comment}makestep 1 -1\n"))], None);
        }
        check(&[(main, "makestep 1 -1\nmakestep 1 3\n")], None);
        check(&[(main, "makestep 1 3\nmakestep 1 -1\n")], Some("/etc/chrony/chrony.conf:2: makestep 1 -1"));
        // chronyd itself would refuse these.
        check(&[(main, "makestep\n")], None);
        check(&[(main, "makestep 1\nmakestep 1 x\n")], None);
    }

    #[test]
    fn included_files_are_followed_one_level_deep_in_their_order() {
        let main = "/etc/chrony/chrony.conf";
        let folder = (main, "makestep 1 3\nconfdir /etc/chrony/conf.d\n");
        let a = ("/etc/chrony/conf.d/a.conf", "makestep 5 -1\n");
        check(&[folder, a], Some("/etc/chrony/conf.d/a.conf:1: makestep 5 -1"));
        check(&[folder, a, ("/etc/chrony/conf.d/b.conf", "makestep 1 3\n")], None);
        check(&[folder, ("/etc/chrony/conf.d/a.conf.bak", "makestep 5 -1\n")], None);
        check(
            &[(main, "include /etc/chrony.d/*.conf\n"), ("/etc/chrony.d/x.conf", "makestep 1 -1")],
            Some("/etc/chrony.d/x.conf:1: makestep 1 -1"),
        );
        check(&[(main, "include /etc/one\nmakestep 1 3\n"), ("/etc/one", "makestep 1 -1")], None);
        // A file that includes itself ends.
        check(&[(main, "include /etc/chrony/chrony.conf\nmakestep 1 3")], None);
        check(&[(main, "include /nowhere/*\ninclude relative\nconfdir /nowhere\n")], None);
    }
}
