//! Which format a text has.
//!
//! A file name that tells is believed. A name that several formats share (`*.conf`, `*.cfg`) or that tells nothing
//! leaves it to the content, and then the whole text must read as that format without a note: a tenant's ConfigMap
//! holds scripts, prose and scanner output too, and a setting found in those is a false alarm.
//!
//! Does not know: what is in the text, beyond its form.

use super::{FORMATS, Format, dotenv};

/// Endings of files that hold settings of other kinds, or none: scripts, sources, prose, keys, templates. What
/// matches in there is text about settings, not a setting.
const FOREIGN: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "ps1",
    "bat",
    "cmd",
    "py",
    "rb",
    "pl",
    "php",
    "js",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "jsx",
    "go",
    "rs",
    "java",
    "kt",
    "groovy",
    "scala",
    "cs",
    "c",
    "h",
    "cpp",
    "lua",
    "sql",
    "md",
    "rst",
    "adoc",
    "txt",
    "log",
    "out",
    "html",
    "htm",
    "css",
    "svg",
    "csv",
    "tsv",
    "tpl",
    "tmpl",
    "gotmpl",
    "j2",
    "jinja",
    "jinja2",
    "erb",
    "mustache",
    "ftl",
    "pem",
    "crt",
    "key",
    "cer",
    "pub",
    "lock",
    "diff",
    "patch",
    "xsd",
    "proto",
    "graphql",
    "feature",
    "ipynb",
    "vcl",
    "rego",
    "cue",
    "jsonnet",
    "libsonnet",
    "star",
    // What somebody put aside: nothing loads it.
    "bak",
    "orig",
    "old",
    "disabled",
    "off",
    "rej",
    "swp",
    "save",
];

/// Endings of templates, in front of which stands the ending of what they become.
const TEMPLATES: &[&str] = &["tpl", "tmpl", "gotmpl", "j2", "jinja", "jinja2"];

/// Endings that several formats share: the content decides.
const SHARED: &[&str] = &["conf", "cfg", "config"];

/// Beginnings of names of files that people read.
const PROSE: &[&str] = &["readme", "license", "changelog", "notice", "notes"];

/// The format of a text, by its file name (or entry name) first and by its content otherwise. `None`: not a
/// format that we read.
#[must_use]
pub fn detect(name: Option<&str>, text: &str) -> Option<&'static Format> {
    if let Some(name) = name {
        if let Some(format) = by_name(name) {
            return Some(format);
        }
        if let Some(format) = rendered(name).and_then(by_name) {
            return Some(format);
        }
        if is_foreign(name) {
            return None;
        }
    }
    let text = text.trim_start_matches('\u{feff}');
    if text.starts_with("#!") {
        return None;
    }
    FORMATS.iter().find(|format| (format.sniff)(text))
}

/// The name of what a template becomes: `values.yaml` of `values.yaml.gotmpl`.
fn rendered(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    TEMPLATES.contains(&ending.to_ascii_lowercase().as_str()).then_some(stem)
}

/// Does the name tell that the text is no configuration that we read?
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    extension(&base).is_some_and(|ending| FOREIGN.contains(&ending))
        || base.ends_with('~')
        || PROSE.iter().any(|start| base.starts_with(start))
}

/// The format that a file name tells, if it tells one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Format> {
    let base = base_of(name);
    // `.env.example`, `api.env.sample`; not `vite-env.d.ts`.
    let is_env = base.starts_with(".env.") || base.starts_with("env.") || base.contains(".env.");
    if is_env
        && (base.starts_with(".env.")
            || ["example", "sample", "dist", "template", "local"].iter().any(|end| extension(&base) == Some(end)))
    {
        return Some(&dotenv::FORMAT);
    }
    let whole = FORMATS.iter().find(|format| format.names.contains(&base.as_str()));
    whole.or_else(|| {
        let ending = extension(&base)?;
        FORMATS.iter().find(|format| format.extensions.contains(&ending))
    })
}

/// Is a file of this name worth a look: does its name tell a format, or one of several?
#[must_use]
pub fn may_be_format(name: &str) -> bool {
    by_name(name).is_some() || extension(&base_of(name)).is_some_and(|ending| SHARED.contains(&ending))
}

fn base_of(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase()
}

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| !ending.is_empty())
}

#[cfg(test)]
mod tests;
