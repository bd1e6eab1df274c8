//! By what is judged: the bounds that the rules compare with (flags, then the policy's file, then the defaults), and the
//! settings that the policy adds to the catalogue.

use super::args::{LintArgs, level, span};
use super::files::{self, Content};
use crate::api::admission::SettingSpec;
use crate::api::convert;
use crate::inspect::catalogue::Own;
use crate::inspect::formats::yaml;
use crate::inspect::tree::Tree;
use crate::inspect::{Bounds, Level, Levels, Limits};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) bounds: Bounds,
    pub(super) settings: Vec<Own>,
}

/// # Errors
/// What to tell the user: the file or flag, and what to write.
pub(super) fn read(args: &LintArgs, limits: &Limits) -> Result<Policy, String> {
    let of_file = args.policy.as_deref().map(|path| from_file(path, limits)).transpose()?.unwrap_or_default();
    let bounds = Bounds {
        skew_min: args.min_skew.unwrap_or(of_file.bounds.skew_min),
        skew_max: args.max_skew.unwrap_or(of_file.bounds.skew_max),
        levels: levels(of_file.bounds.levels, &args.rule)?,
    };
    if bounds.skew_min > bounds.skew_max {
        let Bounds { skew_min, skew_max, .. } = bounds;
        return Err(format!(
            "the least skew {skew_min:?} is above the greatest {skew_max:?}; see --min-skew and --max-skew"
        ));
    }
    Ok(Policy { bounds, settings: of_file.settings })
}

/// # Errors
/// The rule that does not exist, and those that do.
fn levels(from: Levels, set: &[(String, Level)]) -> Result<Levels, String> {
    set.iter().try_fold(from, |levels, (rule, level)| levels.with(rule, *level)).map_err(|error| error.to_string())
}

fn from_file(path: &Path, limits: &Limits) -> Result<Policy, String> {
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
    let (mut strictest, mut settings) = (None::<Bounds>, Vec::new());
    for policy in policies {
        settings.extend(own(policy).map_err(|error| named(&error))?);
        let skew_min = read(policy, "minSkew")?.unwrap_or(default.skew_min);
        let skew_max = read(policy, "maxSkew")?.unwrap_or(default.skew_max);
        let rules = policy.at(&["spec", "admission", "rules"]).map_or(&[][..], Tree::entries);
        let rules = rules.iter().map(|rule| level(&rule.key, rule.value.text().unwrap_or("")));
        let rules = rules.collect::<Result<Vec<_>, _>>().and_then(|rules| levels(Levels::default(), &rules));
        let rules = rules.map_err(|error| named(&format!("spec.admission.rules: {error}")))?;
        let bounds = Bounds { skew_min, skew_max, levels: rules };
        strictest = Some(strictest.map_or(bounds, |before| before.strictest(bounds)));
    }
    Ok(Policy { bounds: strictest.unwrap_or(default), settings })
}

/// The settings that a policy adds.
///
/// # Errors
/// The field, its value, and what to write.
fn own(policy: &Tree) -> Result<Vec<Own>, String> {
    let settings = match policy.at(&["spec", "admission", "settings"]) {
        None => return Ok(Vec::new()),
        Some(Tree::List(settings)) => settings,
        Some(_) => return Err("spec.admission.settings: no list; write `- product: …` below it".to_owned()),
    };
    let read = |(number, setting): (usize, &Tree)| {
        serde_json::from_value::<SettingSpec>(json(setting))
            .map_err(|error| format!("spec.admission.settings[{number}]: {error}"))
    };
    let specs: Vec<SettingSpec> = settings.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    convert::settings(&specs).map_err(|error| error.to_string())
}

/// As the API server would get it. Every leaf of these settings is a text.
fn json(tree: &Tree) -> Value {
    match tree {
        Tree::Scalar(scalar) => Value::String(scalar.text.to_string()),
        Tree::List(items) => items.iter().map(json).collect(),
        Tree::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
    }
}
