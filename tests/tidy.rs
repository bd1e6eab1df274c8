//! House rules, kept by a test: what a reviewer would have to look for every time.
//!
//! Each finding says where and what to do. Only text is looked at, so a determined author can deceive it; it is for
//! the slips of the others. Does not know: what compiles (clippy.toml bans what can be banned there).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: what it cannot read is its failure")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the repository whose name ends so, by its path from the root. Build output and hidden
/// folders are left out.
fn files(folder: &str, ending: &str) -> Vec<String> {
    fn walk(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                walk(&path, ending, found);
            } else if path.is_file() && name != ".git" && name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    let mut names: Vec<String> =
        found.iter().map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(!names.is_empty(), "no *{ending} below {folder:?}: the rule looks in the wrong place");
    names
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of code, with their numbers; whole-line comments are left out.
fn code(path: &str) -> Vec<(usize, String)> {
    let text = read(path);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Does `line` have `word`, and not as a part of a longer one?
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word_char) && word.starts_with(is_word_char);
        let after = line[at + word.len()..].chars().next().is_some_and(is_word_char) && word.ends_with(is_word_char);
        !before && !after
    })
}

#[track_caller]
fn nothing(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}

#[test]
fn no_source_file_is_longer_than_can_be_read_at_once() {
    let mut findings = Vec::new();
    for folder in ["src", "tests", "examples", "benches", "fuzz"] {
        for path in files(folder, ".rs") {
            let lines = read(&path).lines().count();
            if lines > LINES_MAX {
                findings.push(format!("{path}: {lines} lines"));
            }
        }
    }
    nothing(
        findings,
        &format!("split these into modules of at most {LINES_MAX} lines; tests may move to name/tests.rs"),
    );
}

#[test]
fn pure_modules_know_nothing_of_the_outside_world() {
    const OUTSIDE: &[&str] = &[
        "kube",
        "k8s_openapi",
        "tokio",
        "axum",
        "hyper",
        "rustix",
        "libc",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "crate::agent",
        "crate::api",
        "crate::controller",
        "crate::heartbeats",
        "crate::lint",
        "crate::runtime",
        "crate::scan",
        "crate::sys",
        "crate::telemetry",
        "crate::webhook",
    ];
    // The simulation drives the agent and the controller, of which it takes what is pure: their types, their decoders and
    // their rules. It does not ask, read or wait.
    const SIMULATED: &[&str] = &["crate::agent", "crate::controller", "crate::sys"];
    // The controller's mind knows the objects of the API and who it is told by, but neither the network nor the time.
    const MIND: &[&str] = &[
        "kube",
        "k8s_openapi",
        "crate::agent",
        "crate::api",
        "crate::controller",
        "crate::runtime",
        "crate::telemetry",
    ];
    let pure = [
        ("src/clock", &[][..]),
        ("src/policy", &[]),
        ("src/inspect", &[]),
        ("src/simulation", SIMULATED),
        ("src/controller/engine", MIND),
    ];
    let mut findings = Vec::new();
    for (folder, may) in pure {
        for path in files(folder, ".rs") {
            for (number, line) in code(&path) {
                // A path or an import; a word in a text is none.
                let line = line.split("//").next().unwrap_or_default();
                for word in OUTSIDE.iter().filter(|word| !may.contains(word)) {
                    let uses = has_word(line, &format!("{word}::")) || (line.contains("use ") && has_word(line, word));
                    if uses {
                        findings.push(format!("{path}:{number}: {word}"));
                    }
                }
            }
        }
    }
    nothing(findings, "the pure modules take values and return values: pass in what these lines fetch");
}

/// A write of kube's needs one of these; finding them is surer than telling `Api::replace` from `str::replace`.
/// `scripts/pure-core` builds these two by themselves, with the types of others that they carry made up there.
#[test]
fn the_pure_core_uses_of_the_other_modules_only_what_is_made_up_for_it() {
    let made_up = read("scripts/pure-core");
    let mut findings = Vec::new();
    for path in ["src/clock", "src/policy"].into_iter().flat_map(|folder| files(folder, ".rs")) {
        for (number, line) in code(&path) {
            let Some((_, used)) = line.split_once("crate::") else { continue };
            let used = used.trim_end_matches(';');
            let is_core = ["clock", "policy"].iter().any(|module| used.starts_with(module));
            let name = used.rsplit("::").next().unwrap_or(used);
            if !is_core && !made_up.contains(&format!("pub struct {name}")) {
                findings.push(format!("{path}:{number}: {used}"));
            }
        }
    }
    nothing(
        findings,
        "make coverage and make mutants cannot build these: do without, or make them up in scripts/pure-core",
    );
}

#[test]
fn only_two_files_write_to_a_cluster() {
    const WRITES: &[&str] = &[
        "PostParams",
        "PatchParams",
        "DeleteParams",
        "EvictParams",
        "Recorder",
        ".patch(",
        ".patch_status(",
        ".patch_metadata(",
        ".replace_status(",
        ".delete_collection(",
        ".create_subresource(",
        ".evict(",
        ".cordon(",
        ".uncordon(",
        "runtime::finalizer",
        "Method::POST",
        "Method::PUT",
        "Method::PATCH",
        "Method::DELETE",
    ];
    const WRITERS: &[(&str, &str)] = &[
        ("src/controller/client.rs", "performs the controller's requests"),
        ("src/webhook/managed.rs", "keeps its own certificate"),
    ];
    let mut findings = Vec::new();
    for path in files("src", ".rs").into_iter().filter(|path| !path.ends_with("/tests.rs")) {
        let writes: Vec<_> =
            code(&path).into_iter().filter(|(_, line)| WRITES.iter().any(|word| has_word(line, word))).collect();
        match WRITERS.iter().find(|(writer, _)| *writer == path) {
            Some((_, why)) if writes.is_empty() => {
                findings.push(format!("{path} no longer {why}: take it off the list in tests/tidy.rs"));
            }
            Some(_) => {}
            None => findings.extend(writes.iter().map(|(number, line)| format!("{path}:{number}: {}", line.trim()))),
        }
    }
    nothing(findings, "what is to be written is a Write, whose requests src/controller/client.rs performs");
}

/// Cargo.toml denies it; so only who lifts that lint can have any.
#[test]
fn unsafe_code_is_in_one_file() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"deny\""), "Cargo.toml no longer denies unsafe_code");
    let lint = concat!("unsafe", "_code");
    let mut findings = Vec::new();
    for path in files("", ".rs").iter().filter(|path| *path != "src/sys.rs" && *path != "tests/tidy.rs") {
        let lifted = code(path).into_iter().filter(|(_, line)| has_word(line, lint));
        findings.extend(lifted.map(|(number, _)| format!("{path}:{number}")));
    }
    nothing(findings, "wrap the system call in src/sys.rs, beside the others");
}

/// Paths in backticks, in links, and after commands.
fn paths_in(text: &str) -> BTreeSet<String> {
    const ROOTS: &[&str] =
        &["src/", "tests/", "docs/", "deploy/", "examples/", "crds/", "scripts/", "fuzz/", "benches/", ".ci/"];
    let ends = |c: char| c.is_whitespace() || "`()[]<>\"',;:".contains(c);
    text.split(ends)
        .map(|word| word.trim_end_matches(['.', '!', '?']))
        .filter(|word| ROOTS.iter().any(|root| word.starts_with(root)))
        .map(str::to_owned)
        .collect()
}

/// The part of a path before the first component that stands for many: `tests/rules/NAME/` is `tests/rules`.
fn fixed_part(path: &str) -> PathBuf {
    let stands_for_many = |part: &&str| {
        let upper = part.chars().filter(char::is_ascii_alphabetic).all(|c| c.is_ascii_uppercase());
        part.contains(['*', '{', '…'])
            || (upper && part.len() > 1)
            || part.starts_with("NNNN")
            || part.starts_with("NAME.")
    };
    path.split('/').take_while(|part| !stands_for_many(part)).collect()
}

#[test]
fn every_trap_has_the_tests_that_its_page_names() {
    let code: Vec<String> =
        ["src", "tests"].iter().flat_map(|folder| files(folder, ".rs")).map(|path| read(&path)).collect();
    let page = read("docs/traps.md");
    let named = page.split('`').skip(1).step_by(2).filter(|it| it.matches('_').count() > 3 && !it.contains('/'));
    let named: BTreeSet<&str> = named.collect();
    assert!(named.len() > 10, "docs/traps.md names {named:?}");
    let is_there = |name: &str| code.iter().any(|text| text.contains(&format!("fn {name}(")));
    let missing = named.into_iter().filter(|name| !is_there(name)).map(str::to_owned).collect();
    nothing(missing, "docs/traps.md names tests that are not there");
}

#[test]
fn every_path_that_is_named_exists() {
    let mut findings = Vec::new();
    let mut documents = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "Makefile".to_owned()];
    documents.extend(files("docs", ".md"));
    documents.extend(files("deploy", ".yaml"));
    documents.extend(files("examples", ".yaml"));
    for path in documents {
        for named in paths_in(&read(&path)) {
            if !root().join(fixed_part(&named)).exists() {
                findings.push(format!("{path} names {named}"));
            }
        }
        if !path.ends_with(".md") {
            continue;
        }
        // Links are relative to the file that they stand in.
        let folder = root().join(&path);
        for target in read(&path).split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains("://") && !folder.parent().unwrap().join(target).exists() {
                findings.push(format!("{path} links to {target}"));
            }
        }
    }
    for path in files("src", ".rs") {
        let text = read(&path);
        let comments: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("//")).collect();
        for named in paths_in(&comments.join("\n")) {
            if !root().join(fixed_part(&named)).exists() {
                findings.push(format!("{path} names {named}"));
            }
        }
    }
    nothing(findings, "these do not exist: correct the name, or the text that is out of date");
}

#[test]
fn everything_that_is_listed_has_fixtures_and_fixtures_belong_to_something() {
    let mut findings = Vec::new();
    for (sources, ending, fixtures) in [
        ("src/agent/sources", ".rs", "tests/sources"),
        ("src/inspect/formats", ".rs", "tests/formats"),
        ("src/inspect/rules", ".rs", "tests/rules"),
        ("src/inspect/catalogue", ".toml", "tests/products"),
    ] {
        let depth = sources.matches('/').count() + 1;
        let names: BTreeSet<String> = files(sources, ending)
            .iter()
            .filter(|path| path.matches('/').count() == depth)
            .filter_map(|path| path.rsplit('/').next()?.strip_suffix(ending).map(|name| name.replace('_', "-")))
            // The conventions of generic.toml are no product; the rules' fixtures are about them.
            .filter(|name| name != "mod" && name != "generic")
            .collect();
        let folders: BTreeSet<String> = fs::read_dir(root().join(fixtures))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir() && fs::read_dir(path).unwrap().next().is_some())
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        findings.extend(
            names.difference(&folders).map(|name| format!("{sources}: {name} has nothing in {fixtures}/{name}/")),
        );
        findings.extend(
            folders.difference(&names).map(|name| format!("{fixtures}/{name}/ belongs to nothing in {sources}")),
        );
    }
    nothing(findings, "add a hit and a near miss (CONTRIBUTING.md), or remove what is left over");
}

#[test]
fn the_project_names_no_machine_and_builds_from_public_sources() {
    // In two parts, or this file would be a finding.
    let machines = [concat!("/wo", "rk/"), concat!("/root/", ".ca")];
    let mut findings = Vec::new();
    for path in files("", "") {
        // What is no text names nothing.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            if let Some(machine) = machines.iter().find(|machine| line.contains(**machine)) {
                findings.push(format!("{path}:{}: {machine}", index + 1));
            }
        }
    }
    for line in read("Cargo.lock").lines().filter(|line| line.starts_with("source = ")) {
        if line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"" {
            findings.push(format!("Cargo.lock: {line}"));
        }
    }
    nothing(findings, "nobody else has these: write a path from the root of the repository, or take it from crates.io");
}

/// A rule that sees nothing keeps nothing.
#[test]
fn the_rules_see_what_they_look_for() {
    for (line, word, expected) in [
        ("use kube::Api;", "kube::", true),
        ("let x = mykube::y;", "kube::", false),
        ("let now = Instant::now();", "Instant::", true),
        ("api.patch(name, &x)", ".patch(", true),
        ("text.replace(a, b)", ".replace_status(", false),
        ("use kube::api::{PostParams, X};", "PostParams", true),
        ("struct MyPostParams;", "PostParams", false),
    ] {
        assert_eq!(has_word(line, word), expected, "{word} in {line}");
    }
    let text =
        "See `src/a.rs`, [that](docs/b.md) and\n    kubectl apply -f deploy/c.yaml. Not https://x/src/d or config/e.";
    let expected = ["deploy/c.yaml", "docs/b.md", "src/a.rs"].map(str::to_owned);
    assert_eq!(paths_in(text), BTreeSet::from(expected));
    for (path, expected) in [
        ("src/controller/client.rs", "src/controller/client.rs"),
        ("tests/rules/NAME/", "tests/rules"),
        ("src/inspect/rules/NAME.rs", "src/inspect/rules"),
        ("docs/decisions/NNNN-title.md", "docs/decisions"),
        ("crds/*.yaml", "crds"),
    ] {
        assert_eq!(fixed_part(path), Path::new(expected), "{path}");
    }
}
