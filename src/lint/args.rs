//! What `clockwarden lint` is told.

use crate::inspect::duration::{self, Form};
use crate::inspect::{Level, Levels};
use std::path::PathBuf;
use std::time::Duration;

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: message, place, source line, fix.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
    /// For code scanning: SARIF 2.1.0.
    Sarif,
    /// For GitHub Actions: annotations on the lines of a pull request.
    Github,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Find configuration that leaves token validation with no tolerance for wrong clocks.
///
/// Reads Kubernetes manifests and plain configuration files (YAML, JSON with comments, properties, .env, TOML, INI, XML,
/// HCL, HOCON, nginx, Apache), also the files inside of ConfigMaps, and says where a clock-skew tolerance is zero, too
/// small, too large, or the check of token times is switched off. It is the same engine as the admission webhook's,
/// offline. Entries of ConfigMaps are judged as the variables, too, that containers in the same run make of them.
///
/// A comment `clockwarden:ignore RULE reason` on the line of a value or above it, or an annotation clockwarden.io/ignore
/// with the same words, keeps a finding from counting; it is still listed.
///
/// Exit status: 0 nothing at error level; 1 findings at error level; 2 the job could not be done, e.g. a path that
/// does not exist (whatever could be read is still reported).
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:
  clockwarden lint deploy/
  kustomize build overlays/prod | clockwarden lint -
  helm template ./chart | clockwarden lint -f json -
  clockwarden lint --diff deploy/ | git apply
  clockwarden lint -f sarif . > clockwarden.sarif
  clockwarden lint --policy policy.yaml deploy/ 'config/**/*.conf'")]
pub struct LintArgs {
    /// Files, directories and patterns to look at; `-` is standard input.
    ///
    /// Directories are searched for files whose names tell a format that is read, without what .gitignore and .ignore
    /// leave out, hidden files (other than .env), target and node_modules. A file that is named itself, or by a pattern
    /// such as 'config/**/*.conf', is looked at whatever it is called.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How to write the findings.
    #[arg(short, long, visible_short_alias = 'o', visible_alias = "output", value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// A tolerance below this is an error [default: the policy's, or 1s].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub min_skew: Option<Duration>,

    /// A tolerance above this is a warning; exactly this is allowed [default: the policy's, or 5m].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub max_skew: Option<Duration>,

    /// How bad a rule is: ignore, warning, default or error; may be given for several rules, and overrides the policy's.
    ///
    /// With default a rule's certain findings are errors, as its page says, and its doubtful ones are warnings.
    #[arg(long, value_name = "NAME=LEVEL", value_parser = rule)]
    pub rule: Vec<(String, Level)>,

    /// Take bounds, rules and settings of own products from spec.admission of the TimeSyncPolicy in this file; of several, the
    /// strictest bounds and rules, and all settings.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Write the fixes into the files where that is safe, and report what is left.
    ///
    /// Only the bytes of a value change, only where it is certain what the setting is, and only if the file, read once
    /// more, has changed in nothing else.
    #[arg(long)]
    pub fix: bool,

    /// Show what --fix would write, as a patch for `git apply` and `patch -p1`; write nothing.
    #[arg(long, conflicts_with_all = ["fix", "format"])]
    pub diff: bool,

    /// Look into Secrets too: `stringData`, and `data` in base64.
    ///
    /// What is reported names the key and the fix and shows no value, nor the line that it stands in; --fix leaves it to
    /// you.
    #[arg(long)]
    pub secrets: bool,

    /// Search hidden files and directories too (never .git).
    #[arg(long)]
    pub hidden: bool,

    /// Search also what .gitignore and .ignore leave out, target and node_modules.
    #[arg(long)]
    pub no_ignore: bool,

    /// Whether text has colours.
    #[arg(long, value_name = "WHEN", visible_alias = "colour", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,

    /// How many files to look at in the same moment [default: one for each processor].
    #[arg(short, long, value_name = "NUMBER")]
    pub jobs: Option<std::num::NonZeroUsize>,
}

/// A rule with its level.
fn rule(text: &str) -> Result<(String, Level), String> {
    let (name, word) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no NAME=LEVEL; write for example jwt-skew-unset=ignore"))?;
    let level = level(name, word)?;
    Levels::default().with(name, level.1).map_err(|error| error.to_string())?;
    Ok(level)
}

pub(super) fn level(rule: &str, word: &str) -> Result<(String, Level), String> {
    let wrong = || format!("{word:?} is no level of {rule}; write ignore, warning, default or error");
    Level::named(word).map(|level| (rule.to_owned(), level)).ok_or_else(wrong)
}

/// A span with its unit, not negative.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a span of time with a unit; write for example 500ms, 30s or 5m");
    let span = duration::read(text).filter(|span| span.form != Form::Bare).ok_or_else(wrong)?;
    let nanos = u64::try_from(span.nanos(duration::Unit::Seconds)).map_err(|_| wrong())?;
    Ok(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        lint: LintArgs,
    }

    #[test]
    fn arguments_are_the_contracts() {
        use clap::{CommandFactory, Parser};
        Cli::command().debug_assert();
        let parsed =
            Cli::try_parse_from(["lint", "-f", "json", "--min-skew", "2s", "--policy", "p", "a", "-"]).map(|c| c.lint);
        let parsed = parsed.expect("arguments");
        assert_eq!((parsed.format, parsed.min_skew), (Format::Json, Some(Duration::from_secs(2))));
        assert_eq!(parsed.paths, [PathBuf::from("a"), PathBuf::from("-")]);
        let leveled = Cli::try_parse_from(["lint", "--rule", "fake-time=ignore", "--rule=lease-ratio=Error", "a"])
            .expect("levels");
        let expected = [("fake-time".to_owned(), Level::Ignore), ("lease-ratio".to_owned(), Level::Error)];
        assert_eq!(leveled.lint.rule, expected);
        let short = Cli::try_parse_from(["lint", "-o", "sarif", "--fix", "a"]).expect("arguments").lint;
        assert_eq!((short.format, short.fix, short.diff), (Format::Sarif, true, false));
        for wrong in [
            &["lint"][..],
            &["lint", "--min-skew", "5", "a"],
            &["lint", "-f", "xml", "a"],
            &["lint", "--rule", "fake-time", "a"],
            &["lint", "--rule", "fake-time=quiet", "a"],
            &["lint", "--rule", "fake-tim=ignore", "a"],
            &["lint", "--fix", "--diff", "a"],
            &["lint", "--jobs", "0", "a"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_span_needs_its_unit() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("0s"), Ok(Duration::ZERO));
        for wrong in ["5", "-1s", "", "soon", "999999999999d"] {
            let message = span(wrong).expect_err(wrong);
            assert!(message.contains("write for example"), "{message}");
        }
    }
}
