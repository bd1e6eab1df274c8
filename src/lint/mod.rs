//! `clockwarden lint`: the webhook's engine over files.
//!
//! ```text
//! paths -> targets -> texts -> inspect_file (pure, on all cores) -> text, JSON, SARIF or annotations; exit status
//!                                │ └─▶ mend (pure) -> the file, or a patch
//!                                └─▶ join: who takes variables from whom -> those files once more
//! ```
//!
//! Reads, calls the engine, writes; decides nothing about settings. Files that do not parse are notes on standard
//! error; a path that cannot be read makes the exit status 2, and everything else is still linted. The order of
//! the output is the order of the paths, and of names below directories.

pub mod args;
mod diff;
mod files;
mod find;
mod github;
mod join;
mod look;
mod names;
mod pages;
mod policy;
mod progress;
mod report;
mod sarif;
mod text;

pub use args::LintArgs;
pub use report::Summary;

use crate::inspect::Eyes;
use crate::inspect::{Catalogue, Limits, Note, Severity};
use args::{Colour, Format};
use look::{Linted, Mend, Outcome};
use names::Base;
use progress::Progress;
use report::{Report, Told};
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;

/// Exit status: nothing at error level.
const CLEAN: u8 = 0;
/// Exit status: findings at error level.
const FOUND: u8 = 1;
/// Exit status: the job could not be done.
const FAILED: u8 = 2;

/// Lints and writes the report to `out`, notes and failures to `err`; returns the exit status.
pub fn run(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match lint(args, out, err) {
        Ok(status) => status,
        // Whoever reads our output has seen enough (`| head`); there is nobody left to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => FOUND,
        Err(error) => {
            // If this cannot be written either, the exit status still says it.
            let _ = writeln!(err, "clockwarden: the report could not be written: {error}");
            FAILED
        }
    }
}

fn lint(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let limits = Limits { secrets: args.secrets, ..Limits::default() };
    let policy = match policy::read(args, &limits) {
        Ok(policy) => policy,
        Err(message) => {
            writeln!(err, "clockwarden: {message}")?;
            return Ok(FAILED);
        }
    };
    if args.fix && args.paths.iter().any(|path| path.as_os_str() == "-") {
        writeln!(err, "clockwarden: --fix cannot write into standard input; name the file, or use --diff")?;
        return Ok(FAILED);
    }
    let catalogue = Catalogue::with(&policy.settings);
    let eyes = Eyes { catalogue: &catalogue, bounds: &policy.bounds, limits: &limits };
    let mend = match (args.fix, args.diff) {
        (true, _) => Mend::Write,
        (_, true) => Mend::Show,
        _ => Mend::No,
    };
    let targets = find::targets(args);
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut progress = Progress::new(io::stderr().is_terminal(), targets.len());
    let mut run = Run::default();
    let mut done = 0_usize;
    join::all(&targets, jobs, &eyes, mend, |number, outcome| {
        let known = run.told.len();
        run.take(number, outcome);
        for (_, told) in run.told.get(known..).unwrap_or(&[]) {
            progress.clear(err)?;
            tell(err, told)?;
        }
        done = done.saturating_add(1);
        progress.show(err, done)
    })?;
    progress.clear(err)?;
    run.sort();
    if run.summary.files == 0 && !run.is_failed {
        run.is_failed = true;
        writeln!(
            err,
            "clockwarden: nothing could be read; name files that hold Kubernetes objects or configuration (YAML, JSON, TOML, …)"
        )?;
    }
    let status = if run.is_failed {
        FAILED
    } else if run.summary.errors > 0 {
        FOUND
    } else {
        CLEAN
    };
    match write(args, out, err, &run).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(status),
        written => written.map(|()| status),
    }
}

fn write(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write, run: &Run) -> io::Result<()> {
    let Run { linted, told, summary, is_failed, .. } = run;
    let linted: Vec<&Linted> = linted.iter().map(|(_, linted)| linted).collect();
    let told: Vec<&Told> = told.iter().map(|(_, told)| told).collect();
    let report = Report { linted: &linted, told: &told, summary: *summary, is_failed: *is_failed };
    if args.diff {
        let base = Base::here();
        for file in &linted {
            let Some(mended) = &file.mended else { continue };
            // A patch changes what a link leads to, as --fix does.
            let is_link = file.path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
            let path = if is_link { file.path.canonicalize().ok() } else { None };
            let path = path.as_ref().unwrap_or(&file.path);
            let name = if file.name == "-" { "stdin".to_owned() } else { base.name(path) };
            out.write_all(diff::unified(name.trim_start_matches('/'), &file.text, mended).as_bytes())?;
        }
        let unfixed = Summary { fixed: 0, ..*summary };
        return writeln!(err, "{unfixed}; {} in the patch", summary.fixed);
    }
    match args.format {
        Format::Json => report::write(out, &report),
        Format::Sarif => sarif::write(out, &report),
        Format::Github => github::write(out, &report),
        Format::Text => text::write(out, &report, has_colours(args.color)),
    }
}

/// What has come together so far.
#[derive(Default)]
struct Run {
    /// Files with something in them that is reported, with their numbers.
    linted: Vec<(usize, Linted)>,
    told: Vec<(usize, Told)>,
    summary: Summary,
    is_failed: bool,
    /// Charts whose templates have to be rendered; told once each.
    charts: HashSet<String>,
}

impl Run {
    fn take(&mut self, number: usize, outcome: Outcome) {
        match outcome {
            Outcome::Note(file, message) => self.tell(number, file, message, false),
            Outcome::Passed(file, message) => {
                self.summary.skipped = self.summary.skipped.saturating_add(1);
                self.tell(number, file, message, false);
            }
            Outcome::Failed(file, message) => {
                self.summary.skipped = self.summary.skipped.saturating_add(1);
                self.tell(number, file, message, true);
            }
            Outcome::Linted(linted) => self.file(number, *linted),
        }
    }

    /// In the order of the paths, whatever had to wait for others.
    fn sort(&mut self) {
        self.linted.sort_by_key(|(number, _)| *number);
        self.told.sort_by_key(|(number, _)| *number);
    }

    fn tell(&mut self, number: usize, file: String, message: String, is_failure: bool) {
        self.is_failed |= is_failure;
        self.told.push((number, Told { file, line: 0, column: 0, message, is_failure }));
    }

    fn file(&mut self, number: usize, mut linted: Linted) {
        let notes = std::mem::take(&mut linted.notes);
        self.told.extend(notes.into_iter().map(|note| (number, told(&mut self.charts, &linted.name, note))));
        if let Some(failure) = linted.failure.take() {
            self.tell(number, linted.name.clone(), format!("not fixed: {failure}"), true);
        }
        let errors = linted.findings.iter().filter(|(_, finding)| finding.severity == Severity::Error).count();
        let summary = &mut self.summary;
        let add = |to: &mut usize, count: usize| *to = to.saturating_add(count);
        add(&mut summary.files, usize::from(linted.is_read));
        add(&mut summary.skipped, usize::from(!linted.is_read));
        add(&mut summary.objects, linted.objects);
        add(&mut summary.errors, errors);
        add(&mut summary.warnings, linted.findings.len().saturating_sub(errors));
        add(&mut summary.suppressed, linted.suppressed.len());
        add(&mut summary.fixed, linted.fixed);
        if !linted.text.is_empty() {
            self.linted.push((number, linted));
        }
    }
}

/// A note about a file as it is told. Of a chart's templates, the first one says how to render them all.
fn told(charts: &mut HashSet<String>, file: &str, note: Note) -> Told {
    let path = note.path.to_string();
    let inside = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let mut message = format!("{inside}{}", note.message);
    if let (Some((what, _)), Some((chart, _))) = (message.split_once("; render it: "), file.rsplit_once("/templates/"))
    {
        message = if charts.insert(chart.to_owned()) { message.replace("CHART", chart) } else { what.to_owned() };
    }
    Told { file: file.to_owned(), line: note.at.line, column: note.at.column, message, is_failure: false }
}

fn tell(err: &mut dyn Write, told: &Told) -> io::Result<()> {
    let mut place = text::clean(&told.file);
    if told.line > 0 {
        place = format!("{place}:{}:{}", told.line, told.column);
    }
    let head = if told.is_failure { "clockwarden" } else { "note" };
    writeln!(err, "{head}: {place}: {}", text::clean(&told.message))
}

/// Colours for a person's terminal, unless they are not wanted (<https://no-color.org>).
fn has_colours(wanted: Colour) -> bool {
    match wanted {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !unwanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && io::stdout().is_terminal()
        }
    }
}

#[cfg(test)]
mod tests;
