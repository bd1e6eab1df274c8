//! The catalogue as it is written in its TOML files, made valid once.

use super::super::duration::{self, Nanos, SECOND, Unit};
use super::super::words::{Letters, Pattern};
use super::resources;
use super::{
    Absence, Catalogue, Condition, Confidence, Context, Convention, Known, List, Meaning, Reads, Resource, Role, Scope,
    Surface,
};
use serde::Deserialize;

/// A file of the catalogue that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not TOML, or a field that is missing, unknown or of another type.
    #[error("catalogue file {file}: {message}")]
    Syntax {
        /// Its name.
        file: String,
        /// What the reader said.
        message: String,
    },
    /// A field whose value makes no sense.
    #[error("catalogue file {file}: {field} = {value:?}: {why}")]
    Field {
        /// Its name.
        file: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    product: String,
    source: String,
    confidence: Confidence,
    #[serde(default)]
    setting: Vec<Setting>,
    #[serde(default)]
    exclude: Vec<Exclude>,
    #[serde(default)]
    resource: Vec<RawResource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResource {
    /// `group/Kind`.
    kind: String,
    plural: String,
    scope: Scope,
    versions: Vec<String>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Type {
    #[default]
    Span,
    Switch,
    Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    key: Vec<String>,
    /// Where this differs from the file's.
    product: Option<String>,
    source: Option<String>,
    confidence: Option<Confidence>,
    #[serde(default)]
    context: Vec<RawContext>,
    surfaces: Vec<Surface>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    off_when: Vec<String>,
    #[serde(default, rename = "type")]
    kind: Type,
    unit: Option<Unit>,
    bare: Option<Meaning>,
    #[serde(default)]
    unit_guessed: bool,
    #[serde(default)]
    default: String,
    zero: Option<Meaning>,
    negative: Option<Meaning>,
    /// A switch: the position that switches the check off.
    disables: Option<bool>,
    /// A word: the one that switches the check off, and the one that switches it on.
    off: Option<String>,
    on: Option<String>,
    /// Which tokens pass then, where it is not the expired ones.
    passes: Option<String>,
    #[serde(default)]
    only_issue: bool,
    recommended: Option<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    needle: Vec<String>,
    unset: Option<RawAbsence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAbsence {
    kind: Vec<String>,
    key: String,
    holder: String,
    when: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclude {
    key: Vec<String>,
    product: Option<String>,
    source: Option<String>,
    #[serde(default)]
    context: Vec<RawContext>,
    surfaces: Vec<Surface>,
    note: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawContext {
    kind: Vec<String>,
    file: Vec<String>,
    beside: Vec<String>,
    within: Vec<String>,
    spelled: Vec<String>,
    auth: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generic {
    product: String,
    source: String,
    auth: Vec<String>,
    silence: Vec<String>,
    services: Vec<String>,
    of_tokens: Vec<String>,
    others: Vec<String>,
    others_all: Vec<String>,
    leads: Vec<String>,
    checks: Vec<String>,
    things: Vec<String>,
    silent_keys: Vec<String>,
    labels: Vec<String>,
    outcomes: Vec<String>,
    switches: Vec<String>,
    switches_before: Vec<String>,
    bounds: Vec<String>,
    greatest: Vec<String>,
    /// Last words of a key that are enough of a name.
    tails: Vec<String>,
    /// Last words that are one only before a unit.
    tails_with_unit: Vec<String>,
    /// Last words that are only a hint.
    tails_weak: Vec<String>,
    /// Words for units, as they stand in keys.
    units: Vec<(Unit, Vec<String>)>,
    recommended: String,
    /// Beginnings of words that a recognised key holds.
    needles: Vec<String>,
}

/// Knows which file is being read.
struct Reader<'f> {
    file: &'f str,
}

impl Reader<'_> {
    fn toml<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, CatalogueError> {
        toml::from_str(text)
            .map_err(|error| CatalogueError::Syntax { file: self.file.to_owned(), message: error.to_string() })
    }

    fn wrong(&self, field: &'static str, value: &str, why: &'static str) -> CatalogueError {
        CatalogueError::Field { file: self.file.to_owned(), field, value: value.to_owned(), why }
    }

    fn patterns(&self, field: &'static str, texts: &[String]) -> Result<Vec<Pattern>, CatalogueError> {
        let read =
            |text: &String| Pattern::new(text).ok_or_else(|| self.wrong(field, text, "no letters after the last star"));
        texts.iter().map(read).collect()
    }

    fn conditions(&self, texts: &[String]) -> Result<Vec<Condition>, CatalogueError> {
        let read = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| self.wrong("condition", text, "not key=value"))?;
            let (key, is_other) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
            let before_star = key.split_once('*').map(|(before, _)| before);
            Ok(Condition {
                text: text.clone(),
                key: Letters::of([key]).text().to_vec(),
                star: before_star.map(|before| Letters::of([before]).text().len()),
                value: value.to_owned(),
                is_other,
                bit: 0,
            })
        };
        texts.iter().map(read).collect()
    }

    fn contexts(&self, raw: Vec<RawContext>) -> Result<Vec<Context>, CatalogueError> {
        let read = |raw: RawContext| {
            Ok(Context {
                beside: self.conditions(&raw.beside)?,
                within: self.patterns("within", &raw.within)?,
                kinds: raw.kind,
                files: raw.file,
                spelled: raw.spelled,
                auth: raw.auth,
            })
        };
        raw.into_iter().map(read).collect()
    }

    fn span(&self, field: &'static str, text: Option<&String>) -> Result<Nanos, CatalogueError> {
        let Some(text) = text else { return Ok(30 * SECOND) };
        let span = duration::read(text).ok_or_else(|| self.wrong(field, text, "not a span of time"))?;
        Ok(span.nanos(Unit::Seconds))
    }

    fn reads(&self, raw: &Setting) -> Result<Reads, CatalogueError> {
        if raw.kind == Type::Switch {
            let off_when = raw.disables.ok_or_else(|| self.wrong("disables", "", "a switch needs it"))?;
            return Ok(Reads::Switch { off_when });
        }
        if raw.kind == Type::Word {
            let word =
                |field, word: &Option<String>| word.clone().ok_or_else(|| self.wrong(field, "", "a word needs it"));
            return Ok(Reads::Word { off: word("off", &raw.off)?, on: word("on", &raw.on)? });
        }
        for (field, missing) in [("zero", raw.zero.is_none()), ("negative", raw.negative.is_none())] {
            if missing {
                return Err(self.wrong(field, "", "a span needs it"));
            }
        }
        Ok(Reads::Span { bare: raw.unit, bare_means: raw.bare, unit_guessed: raw.unit_guessed })
    }

    fn resource(&self, product: &str, raw: RawResource) -> Result<Resource, CatalogueError> {
        let wrong = |field, value: &str, why| self.wrong(field, value, why);
        let (group, kind) =
            raw.kind.split_once('/').ok_or_else(|| wrong("resource.kind", &raw.kind, "not group/Kind"))?;
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_name(&raw.plural) {
            return Err(wrong("resource.plural", &raw.plural, "not a plural in lower-case letters"));
        }
        if raw.versions.is_empty() || !raw.versions.iter().all(|version| is_name(version)) {
            return Err(wrong("resource.versions", &raw.versions.join(","), "not versions, the newest first"));
        }
        Ok(Resource {
            group: group.to_owned(),
            versions: raw.versions,
            kind: kind.to_owned(),
            plural: raw.plural,
            scope: raw.scope,
            product: Some(product.to_owned()),
        })
    }

    fn absence(&self, raw: Option<&RawAbsence>) -> Result<Option<Absence>, CatalogueError> {
        let Some(raw) = raw else { return Ok(None) };
        Ok(Some(Absence {
            kinds: raw.kind.clone(),
            key: raw.key.clone(),
            holder: raw.holder.split('.').map(str::to_owned).collect(),
            when: self.conditions(&raw.when)?,
        }))
    }

    fn known(&self, number: usize, file: &File, raw: Setting) -> Result<Known, CatalogueError> {
        Ok(Known {
            id: format!("{}#{number}", self.file),
            reads: self.reads(&raw)?,
            keys: self.patterns("key", &raw.key)?,
            requires: self.conditions(&raw.requires)?,
            off_when: self.conditions(&raw.off_when)?,
            contexts: self.contexts(raw.context)?,
            recommended: self.span("recommended", raw.recommended.as_ref())?,
            absence: self.absence(raw.unset.as_ref())?,
            product: raw.product.unwrap_or_else(|| file.product.clone()),
            source: raw.source.unwrap_or_else(|| file.source.clone()),
            confidence: raw.confidence.unwrap_or(file.confidence),
            role: Role::Product,
            default: raw.default,
            zero: raw.zero.unwrap_or(Meaning::Unknown),
            negative: raw.negative.unwrap_or(Meaning::Unknown),
            note: raw.note,
            surfaces: raw.surfaces,
            only_issue: raw.only_issue,
            passes: raw.passes.unwrap_or_else(|| EXPIRED.to_owned()),
        })
    }

    fn exclusion(&self, number: usize, file: &File, raw: Exclude) -> Result<Known, CatalogueError> {
        Ok(Known {
            id: format!("{}#not-{number}", self.file),
            keys: self.patterns("key", &raw.key)?,
            contexts: self.contexts(raw.context)?,
            product: raw.product.unwrap_or_else(|| file.product.clone()),
            source: raw.source.unwrap_or_else(|| file.source.clone()),
            confidence: file.confidence,
            role: Role::Exclusion,
            note: raw.note,
            surfaces: raw.surfaces,
            ..unknown()
        })
    }
}

/// What passes where a check is switched off, unless the entry says otherwise.
const EXPIRED: &str = "expired tokens";

fn unknown() -> Known {
    Known {
        id: String::new(),
        product: String::new(),
        source: String::new(),
        confidence: Confidence::Likely,
        role: Role::Product,
        keys: Vec::new(),
        contexts: Vec::new(),
        surfaces: Vec::new(),
        requires: Vec::new(),
        off_when: Vec::new(),
        reads: Reads::Span { bare: Some(Unit::Seconds), bare_means: None, unit_guessed: false },
        default: String::new(),
        zero: Meaning::Zero,
        negative: Meaning::Unknown,
        only_issue: false,
        passes: EXPIRED.to_owned(),
        recommended: 30 * SECOND,
        absence: None,
        note: String::new(),
    }
}

pub(super) fn parse(products: &[(&str, &str)], generic: &str) -> Result<Catalogue, CatalogueError> {
    let mut catalogue = Catalogue { resources: resources::built_in(), ..Catalogue::default() };
    for (name, text) in products {
        let reader = Reader { file: name };
        let mut file: File = reader.toml(text)?;
        let (settings, excludes) = (std::mem::take(&mut file.setting), std::mem::take(&mut file.exclude));
        for resource in std::mem::take(&mut file.resource) {
            catalogue.resources.push(reader.resource(&file.product, resource)?);
        }
        for (number, setting) in settings.into_iter().enumerate() {
            catalogue.needles.extend(needles(&setting));
            let kinds = setting.unset.iter().flat_map(|unset| &unset.kind);
            // Where the setting is missing, only the kind is left to tell.
            let kinds = kinds.map(|kind| kind.rsplit('/').next().unwrap_or(kind).to_ascii_lowercase());
            catalogue.needles.extend(kinds);
            catalogue.known.push(reader.known(number, &file, setting)?);
        }
        for (number, exclude) in excludes.into_iter().enumerate() {
            catalogue.known.push(reader.exclusion(number, &file, exclude)?);
        }
    }
    add_generic(&mut catalogue, generic)?;
    catalogue.resources.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    catalogue.needles.sort();
    catalogue.needles.dedup();
    catalogue.build_index();
    Ok(catalogue)
}

/// The rarest word of each spelling: a word is written in one piece in every spelling. An entry whose words are
/// common in other objects names a longer piece itself.
fn needles(setting: &Setting) -> Vec<String> {
    if !setting.needle.is_empty() {
        return setting.needle.clone();
    }
    let rare = ["skew", "leeway", "tolerance", "drift", "slack"];
    let needle = |key: &String| {
        let letters = Letters::of([key.as_str()]);
        let words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
        let wanted = |word: &&&[u8]| rare.iter().any(|rare| word.windows(rare.len()).any(|w| w == rare.as_bytes()));
        let word = words.iter().rev().find(wanted).or_else(|| words.iter().max_by_key(|word| word.len()));
        let word = word.map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        rare.iter().find(|rare| word.contains(**rare)).map_or(word.clone(), |rare| (*rare).to_owned())
    };
    setting.key.iter().map(needle).collect()
}

fn add_generic(catalogue: &mut Catalogue, text: &str) -> Result<(), CatalogueError> {
    let reader = Reader { file: "generic" };
    let generic: Generic = reader.toml(text)?;
    let words = |texts: &[String]| texts.iter().map(|text| Letters::of([text.as_str()]).text().to_vec()).collect();
    catalogue.convention = Convention::new([
        (List::Auth, words(&generic.auth)),
        (List::Silence, words(&generic.silence)),
        (List::Services, words(&generic.services)),
        (List::OfTokens, words(&generic.of_tokens)),
        (List::Others, words(&generic.others)),
        (List::OthersAll, words(&generic.others_all)),
        (List::Leads, words(&generic.leads)),
        (List::Checks, words(&generic.checks)),
        (List::Things, words(&generic.things)),
        (List::SilentKeys, words(&generic.silent_keys)),
        (List::Labels, words(&generic.labels)),
        (List::Outcomes, words(&generic.outcomes)),
        (List::Switches, words(&generic.switches)),
        (List::SwitchesBefore, words(&generic.switches_before)),
        (List::Bounds, words(&generic.bounds)),
        (List::Greatest, words(&generic.greatest)),
    ]);
    catalogue.needles.extend(generic.needles.iter().cloned());
    let recommended = reader.span("recommended", Some(&generic.recommended))?;
    let mut add = |tails: Vec<String>, bare: Unit, strong: bool, has_unit: bool| {
        let number = catalogue.known.len();
        let known = Known {
            id: format!("generic#{number}"),
            product: generic.product.clone(),
            source: generic.source.clone(),
            role: Role::Generic { strong, has_unit },
            keys: reader.patterns("tails", &tails)?,
            reads: Reads::Span { bare: Some(bare), bare_means: None, unit_guessed: !has_unit },
            recommended,
            ..unknown()
        };
        catalogue.known.push(known);
        Ok(())
    };
    add(generic.tails.clone(), Unit::Seconds, true, false)?;
    add(generic.tails_weak.clone(), Unit::Seconds, false, false)?;
    for (unit, names) in &generic.units {
        let tails = generic.tails.iter().chain(&generic.tails_with_unit);
        let both = |tail: &String| {
            names.iter().flat_map(|name| [format!("{tail}-{name}"), format!("{tail}-in-{name}")]).collect::<Vec<_>>()
        };
        add(tails.flat_map(both).collect(), *unit, true, true)?;
    }
    Ok(())
}
