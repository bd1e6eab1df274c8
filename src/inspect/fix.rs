//! What to write instead, in the document's own form, unit and quotes.

use super::Bounds;
use super::catalogue::{Reads, Role};
use super::duration::{Form, Nanos, SECOND, Unit};
use super::finding::Spot;
use super::formats::{self, Notation};
use super::link::{Link, Way};
use super::place;
use super::recognise::{Effect, Setting};
use super::tree::{Extent, Kind, Scalar};

/// The setting as it should be written, e.g. `clockTolerance: 5` or `--jwt-leeway=30s`.
pub(crate) fn written(setting: &Setting<'_>, link: &Link<'_>, scalar: &Scalar, bounds: &Bounds) -> String {
    let value = value(setting, link, scalar, bounds);
    let quoted = |value: &str| format!("\"{value}\"");
    match &link.step {
        Way::Named { name, .. } => format!("{{name: {name}, value: {}}}", quoted(&value)),
        Way::Flag { prefix, name, joint, .. } => format!("{prefix}{name}{joint}{value}"),
        _ => {
            let key = match link.step {
                Way::Held { name, .. } | Way::Taken { entry: name, .. } => name,
                _ => link.key().unwrap_or(""),
            };
            match link.notation() {
                Notation::Properties | Notation::Dotenv => format!("{key}={value}"),
                Notation::Jaas => format!("{key}={}", quoted(&value)),
                Notation::Json if scalar.kind == Kind::Text => format!("{}: {}", quoted(key), quoted(&value)),
                Notation::Json if is_literal(&value) => format!("{}: {value}", quoted(key)),
                Notation::Json => format!("{}: {}", quoted(key), quoted(&value)),
                Notation::Yaml if scalar.kind == Kind::Text && needs_quotes(&value, &scalar.text) => {
                    let value =
                        if value.contains('"') { format!("'{}'", value.replace('\'', "''")) } else { quoted(&value) };
                    format!("{key}: {value}")
                }
                Notation::Yaml => format!("{key}: {value}"),
                notation => assigned(notation, link, scalar, &value),
            }
        }
    }
}

/// The value's bytes in the file, and what a program may write there: only where it is certain that the setting is
/// about tokens, and where no more than these bytes have to change.
pub(crate) fn spot(setting: &Setting<'_>, link: &Link<'_>, scalar: &Scalar, bounds: &Bounds) -> Option<Spot> {
    let extent = link.extent(scalar)?;
    Some(Spot { extent, replacement: replacement(setting, link, scalar, extent, bounds) })
}

fn replacement(
    setting: &Setting<'_>,
    link: &Link<'_>,
    scalar: &Scalar,
    extent: Extent,
    bounds: &Bounds,
) -> Option<String> {
    let is_certain = match setting.known.role {
        Role::Generic { strong, .. } => strong && setting.has_auth,
        Role::Product | Role::Exclusion => true,
    };
    if !is_certain || setting.effect == Effect::Unclear {
        return None;
    }
    if is_guess(setting) || is_number_of_days(setting, scalar) || is_of_dotnet(setting, link) {
        return None;
    }
    let value = value(setting, link, scalar, bounds);
    if setting.is_default {
        // A default that is put together of several pieces is for a person.
        return scalar.text.contains(setting.text.as_ref()).then_some(value);
    }
    let is_bare = match (link.notation(), &link.step) {
        (_, Way::Flag { .. }) => false,
        (Notation::Json | Notation::Assignment, _) => scalar.kind != Kind::Text && !is_literal(&value),
        // Left as they are, `00:00:30` is the number 30 to many a reader of YAML.
        (Notation::Yaml, _) => scalar.kind == Kind::Text && needs_quotes(&value, &scalar.text),
        _ => false,
    };
    if !is_bare {
        return Some(value);
    }
    let text = unquoted_root(link)?;
    let before = text.get(..usize::try_from(extent.start).ok()?)?;
    Some(if before.ends_with(['"', '\'']) { value } else { format!("\"{value}\"") })
}

/// Is it a number of thousands, of a unit that is not written? It counts milliseconds, or somebody means it, and neither
/// can be mended by the number of seconds that one would write.
fn is_guess(setting: &Setting<'_>) -> bool {
    const THOUSANDS: Nanos = 1_000 * SECOND;
    let is_guessed = matches!(setting.known.reads, Reads::Span { unit_guessed: true, .. });
    let number = setting.span.filter(|span| span.form == Form::Bare).map(|span| span.nanos(Unit::Seconds));
    is_guessed && number.is_some_and(|number| number >= THOUSANDS)
}

/// Is it a number that its product would read as days? A program that reads a number there reads no text (.NET binds
/// `"ClockSkew": 5` to whatever type it asks for).
fn is_number_of_days(setting: &Setting<'_>, scalar: &Scalar) -> bool {
    scalar.kind == Kind::Number && matches!(setting.known.reads, Reads::Span { bare: Some(Unit::Days), .. })
}

/// Is it a setting of a program in .NET's own, of which nobody knows whether it is a number or a span? A span reads 30 as
/// thirty days.
///
/// Source: <https://learn.microsoft.com/dotnet/api/system.timespan.parse>.
fn is_of_dotnet(setting: &Setting<'_>, link: &Link<'_>) -> bool {
    let is_guessed = matches!(setting.known.reads, Reads::Span { unit_guessed: true, .. });
    let is_bare = setting.span.is_some_and(|span| span.form == Form::Bare);
    let base = link.file().map_or("", |file| file.rsplit('/').next().unwrap_or(file));
    let is_section = |key: &str| key.contains("__") && key.contains(|c: char| c.is_ascii_lowercase());
    is_guessed && is_bare && (base.starts_with("appsettings") || link.key().is_some_and(is_section))
}

/// The file's text, where quotes in the innermost document mean what they mean in the file: it is the file, or stands
/// in it as a block.
fn unquoted_root<'p>(link: &Link<'p>) -> Option<&'p str> {
    let mut begins = None;
    for link in link.upwards() {
        match link.step {
            Way::Document { .. } if begins.is_some() => return None,
            Way::Document { at, .. } => begins = Some(at),
            Way::Root { text, .. } => {
                let text = text?;
                let is_quoted = begins.map(|at| Some(text.get(..place::in_bytes(text, at)?)?.ends_with(['"', '\''])));
                return (is_quoted.is_none_or(|is_quoted| is_quoted == Some(false))).then_some(text);
            }
            _ => {}
        }
    }
    None
}

/// What the value should be, placeholders kept.
fn value(setting: &Setting<'_>, link: &Link<'_>, scalar: &Scalar, bounds: &Bounds) -> String {
    let value = match &setting.known.reads {
        Reads::Switch { off_when } => switch(&setting.text, !off_when),
        Reads::Span { bare, .. } => {
            let unit = link.unit_beside(scalar).unwrap_or(bare.unwrap_or(Unit::Seconds).nanos());
            span(setting, *bare, unit, bounds)
        }
        Reads::Word { on, .. } => on.clone(),
    };
    match scalar.text.rfind(setting.text.as_ref()) {
        // Only the default inside of the placeholder changes.
        Some(at) if setting.is_default => {
            let mut text = scalar.text.to_string();
            text.replace_range(at..at.saturating_add(setting.text.len()), &value);
            text
        }
        _ => value,
    }
}

/// The words for on and off that [`super::value::flag`] reads.
const SWITCHES: &[(&str, &str)] =
    &[("true", "false"), ("yes", "no"), ("on", "off"), ("1", "0"), ("enabled", "disabled")];

/// A switch in the wanted position, in the words and capitals of the one that stands there.
fn switch(before: &str, wanted: bool) -> String {
    let before = before.trim();
    let is_one = |(on, off): &&(&str, &str)| before.eq_ignore_ascii_case(on) || before.eq_ignore_ascii_case(off);
    let (on, off) = SWITCHES.iter().find(is_one).copied().unwrap_or(("true", "false"));
    let word = if wanted { on } else { off };
    if !before.starts_with(|c: char| c.is_ascii_uppercase()) {
        return word.to_owned();
    }
    if before.chars().all(|c| c.is_ascii_uppercase()) {
        return word.to_ascii_uppercase();
    }
    let (first, rest) = word.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

/// Needs no quotes in JSON, TOML and HCL?
fn is_literal(value: &str) -> bool {
    matches!(value, "true" | "false") || value.parse::<f64>().is_ok_and(f64::is_finite)
}

/// In the formats where the name may stand elsewhere than right before its value (`<add key="…" value="0"/>`, nginx's
/// maps): what stands around the value in the document itself, where it is known.
fn assigned(notation: Notation, link: &Link<'_>, scalar: &Scalar, value: &str) -> String {
    let key = link.keys().next().unwrap_or("");
    let around = link.text().zip(scalar.extent).and_then(|(text, extent)| formats::around(notation, text, extent));
    match (around, notation) {
        (Some((before, after)), _) => format!("{before}{value}{after}"),
        (None, Notation::Xml) => format!("<{key}>{value}</{key}>"),
        (None, Notation::Nginx) => format!("{key} {value};"),
        (None, Notation::Apache) => format!("{key} {value}"),
        (None, Notation::Assignment) if scalar.kind == Kind::Text || !is_literal(value) => {
            format!("{key} = \"{value}\"")
        }
        (None, _) => format!("{key} = {value}"),
    }
}

/// Would YAML read this text as something else than the text that stands there?
fn needs_quotes(value: &str, before: &str) -> bool {
    let is_switch = |text: &str| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    !value.chars().any(char::is_alphabetic)
        || (is_switch(value) && is_switch(before))
        || value.contains(": ")
        || value.starts_with(['{', '[', '*', '&', '$'])
}

/// A span within the bounds, in the form of the one that stands there; `unit` is what a number counts there.
fn span(setting: &Setting<'_>, bare: Option<Unit>, unit: Nanos, bounds: &Bounds) -> String {
    let nanos = |d: std::time::Duration| Nanos::try_from(d.as_nanos()).unwrap_or(Nanos::MAX);
    let least = nanos(bounds.skew_min);
    let wanted = setting.known.recommended.max(least).min(nanos(bounds.skew_max).max(least));
    let form = setting.span.map_or(Form::Bare, |span| span.form);
    let form = match form {
        Form::Bare if bare == Some(Unit::Days) => Form::TimeSpan,
        Form::Bare if setting.effect == Effect::Fallback => return format!("{}s", setting.text),
        // Of numbers without a unit only 0 is read there.
        Form::Bare if bare.is_none() => Form::Units,
        form => form,
    };
    let seconds = ceil(wanted, SECOND);
    match form {
        Form::Bare => ceil(wanted, unit).to_string(),
        Form::Units => format!("{seconds}s"),
        Form::Iso => format!("PT{seconds}S"),
        Form::TimeSpan => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

fn ceil(nanos: Nanos, unit: Nanos) -> Nanos {
    nanos.saturating_add(unit.saturating_sub(1)) / unit
}
