//! Time daemons' own files, chrony.conf and ntp.conf: `directive argument …`, one a line.
//!
//! The arguments together are the value, and a directive without any is null. A comment begins a line with `#`, `%`,
//! `;` or `!`; ntp.conf has `#` after a directive too. A directive that is given twice is kept twice. Any text could be
//! read so; without a telling name it is this format only where every line begins with a directive that we know.
//!
//! Source: <https://chrony-project.org/doc/latest/chrony.conf.html>, <https://www.ntp.org/documentation/4.2.8-series/>.

use super::{Format, Notation, empty, entry, meaningful, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Extent, Kind, Position, Scalar, Tree};

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "ntp",
    notation: Notation::Apache,
    extensions: &[],
    names: &["chrony.conf", "chronyd.conf", "ntp.conf", "ntpsec.conf"],
    sniff,
    parse,
};

const COMMENTS: &[char] = &['#', '%', ';', '!'];

/// Directives that no other format begins a line with.
const TELLING: &[&str] = &["driftfile", "makestep", "maxchange", "tinker", "rtcsync", "leapsectz", "refclock"];

/// The other ones that stand in nearly every such file.
const USUAL: &[&str] = &[
    "server",
    "pool",
    "peer",
    "restrict",
    "keys",
    "keyfile",
    "logdir",
    "logfile",
    "log",
    "allow",
    "deny",
    "bindaddress",
    "bindcmdaddress",
    "cmdport",
    "cmdallow",
    "port",
    "local",
    "maxupdateskew",
    "maxslewrate",
    "maxdistance",
    "minsources",
    "sourcedir",
    "confdir",
    "include",
    "includefile",
    "ntsdumpdir",
    "dumpdir",
    "dumponexit",
    "leapfile",
    "leapsecmode",
    "leapseclist",
    "statsdir",
    "statistics",
    "filegen",
    "interface",
    "disable",
    "enable",
    "tos",
    "trustedkey",
    "rtcfile",
    "hwtimestamp",
    "user",
    "lock_all",
    "sched_priority",
    "smoothtime",
    "clientloglimit",
    "noclientlog",
    "authselectmode",
    "maxclockerror",
    "corrtimeratio",
    "combinelimit",
    "stratumweight",
    "logchange",
    "mailonchange",
    "pidfile",
    "fudge",
    "initstepslew",
    "generatecommandkey",
    "commandkey",
    "maxjitter",
    "ntpsigndsocket",
    "ntstrustedcerts",
];

fn sniff(text: &str) -> bool {
    let first = |line: &'_ str| line.split_ascii_whitespace().next().unwrap_or("").to_owned();
    let directives = || meaningful(text, COMMENTS).map(first);
    let is_known = |word: String| TELLING.contains(&word.as_str()) || USUAL.contains(&word.as_str());
    directives().all(is_known) && directives().any(|word| TELLING.contains(&word.as_str()))
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let body = text.trim_start_matches('\u{feff}');
    let mut offset = text.len().saturating_sub(body.len());
    let mut entries = Vec::new();
    for (number, line) in body.split('\n').enumerate() {
        if entries.len().saturating_mul(2) >= limits.nodes {
            let at = Position { line: whole(number), column: 1 };
            return (Tree::Map(entries), vec![note(at, format!("not read: more than {} values", limits.nodes))]);
        }
        entries.extend(directive(line, whole(number), offset));
        offset = offset.saturating_add(line.len()).saturating_add(1);
    }
    (Tree::Map(entries), Vec::new())
}

/// One line that says something; `start` is its first byte.
fn directive(line: &str, number: u32, start: usize) -> Option<Entry> {
    let name = line.split_ascii_whitespace().next().filter(|name| !name.starts_with(COMMENTS))?;
    let before = line.find(name)?;
    let after = before.saturating_add(name.len());
    let rest = line.get(after..)?;
    let rest = rest.find(" #").or_else(|| rest.find("\t#")).and_then(|end| rest.get(..end)).unwrap_or(rest);
    let value = rest.trim();
    let blank = rest.len().saturating_sub(rest.trim_start().len());
    let value_at = if value.is_empty() { after } else { after.saturating_add(blank) };
    let place =
        |at: usize| Position { line: number, column: whole(line.get(..at).map_or(0, |before| before.chars().count())) };
    let (from, to) = (start.saturating_add(value_at), start.saturating_add(value_at).saturating_add(value.len()));
    let scalar = Scalar {
        text: value.into(),
        kind: if value.is_empty() { Kind::Null } else { Kind::Text },
        at: place(value_at),
        extent: Extent::new(from, to),
    };
    Some(entry(name, place(before), Tree::Scalar(scalar)))
}

/// Counted from 1.
fn whole(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1)
}
