//! The bounds that the rules compare with: flags, then the policy's file, then the defaults.

use super::args::{LintArgs, level, span};
use super::files::{self, Content};
use crate::inspect::formats::yaml;
use crate::inspect::tree::Tree;
use crate::inspect::{Bounds, Level, Levels, Limits};
use std::path::Path;
use std::time::Duration;

/// # Errors
/// What to tell the user: the file or flag, and what to write.
pub(super) fn bounds(args: &LintArgs, limits: &Limits) -> Result<Bounds, String> {
    let of_policy = args.policy.as_deref().map(|path| from_file(path, limits)).transpose()?.unwrap_or_default();
    let bounds = Bounds {
        skew_min: args.min_skew.unwrap_or(of_policy.skew_min),
        skew_max: args.max_skew.unwrap_or(of_policy.skew_max),
        levels: levels(of_policy.levels, &args.rule)?,
    };
    if bounds.skew_min > bounds.skew_max {
        let Bounds { skew_min, skew_max, .. } = bounds;
        return Err(format!(
            "the least skew {skew_min:?} is above the greatest {skew_max:?}; see --min-skew and --max-skew"
        ));
    }
    Ok(bounds)
}

/// # Errors
/// The rule that does not exist, and those that do.
fn levels(from: Levels, set: &[(String, Level)]) -> Result<Levels, String> {
    set.iter().try_fold(from, |levels, (rule, level)| levels.with(rule, *level)).map_err(|error| error.to_string())
}

fn from_file(path: &Path, limits: &Limits) -> Result<Bounds, String> {
    let named = |message: &str| format!("{}: {message}", path.display());
    let text = match files::read(path, limits.bytes) {
        Content::Text(text) => text,
        Content::Passed(message) | Content::Failed(message) => return Err(named(&message)),
    };
    let (documents, notes) = yaml::documents(&text, limits);
    if let Some(note) = notes.first() {
        return Err(named(&format!("line {}: {}", note.at.line, note.message)));
    }
    let is_policy = |document: &&Tree| document.get("kind").and_then(Tree::text) == Some("TimeSyncPolicy");
    let policies: Vec<&Tree> = documents.iter().filter(is_policy).collect();
    if policies.is_empty() {
        return Err(named("no TimeSyncPolicy in there"));
    }
    let read = |policy: &Tree, field: &str| -> Result<Option<Duration>, String> {
        let text = policy.at(&["spec", "admission", field]).and_then(Tree::text);
        text.map(span).transpose().map_err(|error| named(&format!("spec.admission.{field}: {error}")))
    };
    // As at admission: where several policies hold, the strictest of each setting.
    let default = Bounds::default();
    let mut strictest: Option<Bounds> = None;
    for policy in policies {
        let skew_min = read(policy, "minSkew")?.unwrap_or(default.skew_min);
        let skew_max = read(policy, "maxSkew")?.unwrap_or(default.skew_max);
        let rules = policy.at(&["spec", "admission", "rules"]).map_or(&[][..], Tree::entries);
        let rules = rules.iter().map(|rule| level(&rule.key, rule.value.text().unwrap_or("")));
        let rules = rules.collect::<Result<Vec<_>, _>>().and_then(|rules| levels(Levels::default(), &rules));
        let rules = rules.map_err(|error| named(&format!("spec.admission.rules: {error}")))?;
        let bounds = Bounds { skew_min, skew_max, levels: rules };
        strictest = Some(strictest.map_or(bounds, |before| before.strictest(bounds)));
    }
    Ok(strictest.unwrap_or(default))
}
