//! The bounds that the rules compare with: flags, then the policy's file, then the defaults.

use super::args::{LintArgs, span};
use super::files::{self, Content};
use crate::inspect::Bounds;
use crate::inspect::Limits;
use crate::inspect::formats::yaml;
use crate::inspect::tree::Tree;
use std::path::Path;
use std::time::Duration;

/// # Errors
/// What to tell the user: the file or flag, and what to write.
pub(super) fn bounds(args: &LintArgs, limits: &Limits) -> Result<Bounds, String> {
    let of_policy = args.policy.as_deref().map(|path| from_file(path, limits)).transpose()?.unwrap_or_default();
    let bounds = Bounds {
        skew_min: args.min_skew.unwrap_or(of_policy.skew_min),
        skew_max: args.max_skew.unwrap_or(of_policy.skew_max),
    };
    if bounds.skew_min > bounds.skew_max {
        let Bounds { skew_min, skew_max } = bounds;
        return Err(format!(
            "the least skew {skew_min:?} is above the greatest {skew_max:?}; see --min-skew and --max-skew"
        ));
    }
    Ok(bounds)
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
        strictest = Some(match strictest {
            None => Bounds { skew_min, skew_max },
            Some(before) => Bounds { skew_min: before.skew_min.max(skew_min), skew_max: before.skew_max.min(skew_max) },
        });
    }
    Ok(strictest.unwrap_or(default))
}
