//! How files are called where a person's working directory means nothing: in SARIF, in annotations, in patches.

use std::path::{Component, Path, PathBuf};

/// A directory that names are relative to.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// Where we were started.
    here: PathBuf,
    /// What names begin at.
    root: PathBuf,
}

impl Base {
    /// The working directory.
    pub(super) fn here() -> Self {
        // Without one (it was removed), names stay as they were given.
        let here = std::env::current_dir().unwrap_or_default();
        Base { root: here.clone(), here }
    }

    /// The top of the repository that we were started in, or the working directory where there is none.
    pub(super) fn repository() -> Self {
        let Base { here, .. } = Base::here();
        let root = here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&here).to_owned();
        Base { here, root }
    }

    /// A file's name below the base, with slashes; `None` where it is elsewhere.
    pub(super) fn below(&self, path: &Path) -> Option<String> {
        let whole = resolved(&self.here.join(path));
        let below = whole.strip_prefix(&self.root).ok()?;
        (below.components().count() > 0).then(|| below.to_string_lossy().into_owned())
    }

    /// The same, or the whole path.
    pub(super) fn name(&self, path: &Path) -> String {
        self.below(path).unwrap_or_else(|| resolved(&self.here.join(path)).to_string_lossy().into_owned())
    }
}

/// Without `.` and `..`, as far as names tell.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => drop(out.pop()),
                Some(Component::RootDir) => {}
                _ => out.push(part),
            },
            part => out.push(part),
        }
    }
    out
}

/// A name as part of a URI (RFC 3986, section 3.3): all but unreserved characters and slashes in percent.
pub(super) fn uri(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_base() {
        let base = Base { here: "/r/sub".into(), root: "/r".into() };
        let below = |path: &str| base.below(Path::new(path));
        assert_eq!(below("./a/../b.yaml").as_deref(), Some("sub/b.yaml"));
        assert_eq!(below("../b.yaml").as_deref(), Some("b.yaml"));
        assert_eq!(below("/r/b.yaml").as_deref(), Some("b.yaml"));
        assert_eq!(below("/x/b.yaml"), None);
        assert_eq!(below("../../x"), None);
        assert_eq!(base.name(Path::new("../../x")), "/x");
    }

    #[test]
    fn a_path_has_one_name() {
        for (path, expected) in
            [("./a/../b", "b"), ("../b", "../b"), ("../../b/./c", "../../b/c"), ("a/../../b", "../b"), ("/../b", "/b")]
        {
            assert_eq!(resolved(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn a_uri_holds_what_it_may() {
        assert_eq!(uri("a b/é:%.yaml"), "a%20b/%C3%A9%3A%25.yaml");
    }
}
