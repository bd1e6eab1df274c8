//! Is this leaf a clock-skew setting, whose, and what does its value do there?
//!
//! The index gives entries whose spelling fits; here the rest must fit too: words, the object's kind, neighbours,
//! ancestors, file. The most telling entry wins: a product over the generic convention, a longer spelling over a
//! shorter one, where a context counts as so many letters; an exclusion that wins ends it.
//!
//! Does not know: bounds, severities, what is done about it.

use super::catalogue::{Candidate, Catalogue, Condition, Context, Known, List, Meaning, Reads, Role};
use super::duration::{self, Nanos, Span};
use super::formats::{self, Notation};
use super::link::{Link, Way};
use super::lookalike;
use super::scope::{Sign, fits};
use super::surfaces::command;
use super::tree::{Kind, Scalar};
use super::value::{self, Written};
use super::words::{self, Letters, Pattern};
use std::borrow::Cow;
use std::cell::OnceCell;

/// Keys that are longer together than this are no settings; bounds the work for each suspect.
const PATH_BYTES: usize = 1024;

/// A recognised setting.
#[derive(Debug)]
pub struct Setting<'s> {
    /// The entry that recognised it.
    pub known: &'s Known,
    /// Its value, resolved.
    pub text: Cow<'s, str>,
    /// The value is only the default of a placeholder.
    pub is_default: bool,
    /// What the value does.
    pub effect: Effect,
    /// The span as written, where it is one.
    pub span: Option<Span>,
    /// By the generic convention: an authentication word is on the path.
    pub has_auth: bool,
}

/// What a value does in its product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// This much tolerance, in nanoseconds; zero or less is none.
    Tolerance(Nanos),
    /// The product's default holds, as it does without the setting.
    Default,
    /// The value is not understood, and the product's default silently holds.
    Fallback,
    /// A check is switched off.
    Disabled,
    /// Nobody can tell from the document.
    Unclear,
}

/// Room to work in, kept from leaf to leaf.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The spellings that fit a leaf's name.
    found: Vec<Candidate>,
    /// Those of its path.
    letters: Letters,
}

/// Finds the setting that a leaf is, if its value may be of interest in one of the products that it could belong to.
/// Whose it is takes much longer to find than what its value would do, and nearly all values are fine whoever's they are.
pub(crate) fn recognise<'s>(
    catalogue: &'s Catalogue,
    kind: &str,
    link: &Link<'_>,
    scalar: &'s Scalar,
    is_of_interest: impl Fn(Effect) -> bool,
    room: &mut Room,
) -> Option<Setting<'s>> {
    let Room { found, letters } = room;
    catalogue.index().candidates(link.keys(), found);
    if found.is_empty() || is_choice(link) {
        return None;
    }
    let Written::Value { text, is_default } = value::written(scalar) else { return None };
    let value = Value::of(&text, link, scalar);
    let known = |candidate: &Candidate| catalogue.known().get(candidate.known);
    let may_be =
        |known: &Known| known.role != Role::Exclusion && value.effect(known, &text).is_some_and(&is_of_interest);
    if !found.iter().filter_map(known).any(may_be) {
        return None;
    }
    if link.keys().map(str::len).sum::<usize>() > PATH_BYTES
        || !link.keys().any(|key| catalogue.mentions(key.as_bytes()))
        || link.keys().any(|key| is_comment(key) && !is_profile(catalogue, key))
    {
        return None;
    }
    letters.clear();
    link.spell(letters);
    let (key, has_auth, is_silenced) = (link.keys().next()?, OnceCell::new(), OnceCell::new());
    let suspect = Suspect { catalogue, kind, link, letters, key, found, span: value.span, has_auth, is_silenced };
    // An example is nobody's setting, not even that of a product that is known.
    if suspect.letters.keys().any(|key| catalogue.convention().has(List::SilentKeys, key)) {
        return None;
    }
    let mut best: Option<(bool, usize, &Known)> = None;
    for (number, known) in found.iter().filter_map(|candidate| Some((candidate.known, known(candidate)?))) {
        if known.role != Role::Exclusion && value.effect(known, &text).is_none() {
            continue;
        }
        let Some(weight) = suspect.weight(number, known) else { continue };
        let rank = (!matches!(known.role, Role::Generic { .. }), weight, known);
        // Of two that fit alike, the one that says "no setting" is right more often.
        let better = |(product, weight, best): &(bool, usize, &Known)| {
            (rank.0, rank.1) > (*product, *weight)
                || ((rank.0, rank.1) == (*product, *weight) && known.role == Role::Exclusion && best.role != known.role)
        };
        if best.as_ref().is_none_or(better) {
            best = Some(rank);
        }
    }
    let (_, _, known) = best?;
    if known.role == Role::Exclusion || suspect.is_part_of_more(known) {
        return None;
    }
    let effect = value.effect(known, &text)?;
    let has_auth = suspect.has_auth() && !lookalike::is_lead(catalogue.convention(), suspect.letters);
    Some(Setting { known, text, is_default, effect, span: value.span, has_auth })
}

/// A leaf's value, as far as it can be read without knowing whose it is.
struct Value {
    span: Option<Span>,
    flag: Option<bool>,
    /// What a number counts, where the document itself says so.
    unit: Option<Nanos>,
    /// It is a number in a format that tells numbers from texts.
    is_typed: bool,
}

impl Value {
    fn of(text: &str, link: &Link<'_>, scalar: &Scalar) -> Value {
        let span = duration::read(text);
        let is_number = span.is_some_and(|span| span.form == duration::Form::Bare);
        let unit = is_number.then(|| link.unit_beside(scalar)).flatten();
        Value { span, flag: value::flag(text), unit, is_typed: scalar.kind == Kind::Number }
    }

    /// What it does as the value of this entry; `None` where that reads no such values.
    fn effect(&self, known: &Known, text: &str) -> Option<Effect> {
        Some(match &known.reads {
            // Nobody means days by a number; which unit it has is the program's.
            Reads::Span { bare: Some(duration::Unit::Days), .. }
                if self.is_typed && self.span?.nanos(duration::Unit::Days) > 0 =>
            {
                Effect::Default
            }
            Reads::Span { .. } => effect(known, self.span?, self.unit),
            Reads::Switch { off_when } if self.flag? == *off_when => Effect::Disabled,
            Reads::Word { off, .. } if text.eq_ignore_ascii_case(off) => Effect::Disabled,
            Reads::Switch { .. } | Reads::Word { .. } => Effect::Default,
        })
    }
}

/// Is it one of several values: a matrix of tests, an enumeration? None of them is the setting's. In formats without
/// lists several are a directive that was written again (nginx's `map`).
fn is_choice(link: &Link<'_>) -> bool {
    matches!(link.step, Way::Item { .. })
        && matches!(link.notation(), Notation::Yaml | Notation::Json | Notation::Assignment | Notation::Plain)
}

/// A key that people write to switch a line off where the format has no comments, or other ones.
fn is_comment(key: &str) -> bool {
    let key = key.trim_start();
    key.starts_with(['#', ';', '!', '%']) || key.starts_with("//") || key.starts_with("<!--")
}

/// Quarkus writes what holds in one profile as `%prod.key`, or below `"%prod"`. What holds in development and in tests
/// only does not run in a cluster.
///
/// Source: <https://quarkus.io/guides/config-reference#profiles>.
fn is_profile(catalogue: &Catalogue, key: &str) -> bool {
    let Some(rest) = key.strip_prefix('%') else { return false };
    let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ','));
    // `%clockSkew` is a line that somebody switched off.
    let is_set =
        below.is_some_and(|below| below.contains('.')) || (below.is_none() && !catalogue.mentions(name.as_bytes()));
    is_name && is_set && !name.split(',').all(|name| matches!(name, "dev" | "test"))
}

/// What a span does in a product; `unit` is what a number counts, where the document itself says so.
fn effect(known: &Known, span: Span, unit: Option<Nanos>) -> Effect {
    let Reads::Span { bare, bare_means, .. } = known.reads else { return Effect::Unclear };
    let nanos = span.nanos_in(unit.unwrap_or(bare.unwrap_or(duration::Unit::Seconds).nanos()));
    let meaning = match nanos.signum() {
        1 if span.form == duration::Form::Bare => match bare_means {
            None => return Effect::Tolerance(nanos),
            Some(Meaning::Default | Meaning::Ignored) => return Effect::Fallback,
            Some(meaning) => meaning,
        },
        1 => return Effect::Tolerance(nanos),
        0 => known.zero,
        _ => known.negative,
    };
    match meaning {
        Meaning::Zero => Effect::Tolerance(0),
        Meaning::Tightens => Effect::Tolerance(nanos),
        Meaning::Default | Meaning::Ignored | Meaning::Rejected => Effect::Default,
        Meaning::Disabled => Effect::Disabled,
        Meaning::Unknown => Effect::Unclear,
    }
}

struct Suspect<'s, 'l> {
    catalogue: &'s Catalogue,
    kind: &'l str,
    link: &'l Link<'l>,
    letters: &'l Letters,
    key: &'l str,
    /// The spellings whose ends fit.
    found: &'l [Candidate],
    span: Option<Span>,
    has_auth: OnceCell<bool>,
    is_silenced: OnceCell<bool>,
}

impl Suspect<'_, '_> {
    /// How much of the path the entry explains; `None`: it does not fit.
    fn weight(&self, number: usize, known: &Known) -> Option<usize> {
        let of_entry = self.found.iter().filter(|candidate| candidate.known == number);
        let keys = of_entry.filter_map(|candidate| known.keys.get(candidate.key));
        if let Role::Generic { strong, .. } = known.role {
            if self.is_silenced() || !(self.has_auth() || (strong && !lookalike::is_drift(self.letters, self.key))) {
                return None;
            }
            let tail = keys.filter(|key| self.ends_in(key.tail())).map(|key| key.weight()).max()?;
            let convention = self.catalogue.convention();
            let is_another =
                lookalike::is_switch_or_bound(convention, self.letters, self.key, tail, self.span, self.link);
            return (!is_another).then_some(tail);
        }
        let start_weight = |key: &super::words::Pattern| Some((key.find(self.letters)?, key.weight()));
        let (start, weight) = keys.filter_map(start_weight).max_by_key(|(_, weight)| *weight)?;
        let contexts = known.contexts.iter().filter(|context| self.is_in(context, start)).map(evidence).max();
        // What is required for the setting to matter is asked later (`is_idle`), and does not decide whose setting
        // it is: an unused setting of a known product must not be judged by the generic convention instead.
        if known.contexts.is_empty() { Some(weight) } else { contexts.map(|evidence| weight.saturating_add(evidence)) }
    }

    fn is_in(&self, context: &Context, start: usize) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        let group_kind = |wanted: &String| {
            wanted == self.kind
                || wanted.strip_prefix("*/").is_some_and(|kind| self.kind.rsplit('/').next() == Some(kind))
        };
        any(context.kinds.is_empty(), context.kinds.iter().any(group_kind))
            && any(
                context.files.is_empty(),
                self.link.file().is_some_and(|file| {
                    let base = file.rsplit('/').next().unwrap_or(file);
                    context.files.iter().any(|wanted| fits(wanted, base))
                }),
            )
            && any(context.spelled.is_empty(), context.spelled.iter().any(|wanted| spelled(wanted, self.key)))
            && any(context.within.is_empty(), context.within.iter().any(|p| p.stands_before(self.letters, start)))
            && any(
                context.beside.is_empty(),
                context.beside.iter().any(|condition| is_met(self.catalogue, self.link, condition)),
            )
            && (!context.auth || self.is_of_tokens(start))
    }

    /// Is it about tokens, as far as words tell: an entry that asks for that has no more than the convention to go by?
    fn is_of_tokens(&self, start: usize) -> bool {
        let convention = self.catalogue.convention();
        let tail = self.letters.text().len().saturating_sub(start);
        self.has_auth()
            && !self.is_silenced()
            && !lookalike::is_lead(convention, self.letters)
            && !lookalike::is_switch_or_bound(convention, self.letters, self.key, tail, self.span, self.link)
    }

    /// Is the value one of several parts that make a span (`clockSkew: {minutes: 0, seconds: 30}`), which is not zero?
    fn is_part_of_more(&self, known: &Known) -> bool {
        let Some((scope, _, _)) = self.link.scopes().next() else { return false };
        let is_part = || duration::unit_named(&self.key.to_ascii_lowercase()).is_some();
        let is_zero = self.span.is_some_and(|span| span.nanos(duration::Unit::Seconds) == 0);
        is_zero
            && matches!(known.role, Role::Generic { has_unit: true, .. })
            && ((is_part() && scope.holds_more())
                || self.stem().is_some_and(|(stem, unit)| scope.holds_more_of(stem, unit)))
    }

    /// The letters of the key before its last word, which is a unit, and those of that: `jwtleeway` and `minutes` of
    /// `JWT_LEEWAY_MINUTES`.
    fn stem(&self) -> Option<(&[u8], &[u8])> {
        let end = self.letters.text().len();
        let own = end.saturating_sub(words::of(self.key).count());
        let unit = self.letters.words(own, end).last()?;
        let stem = self.letters.text().get(own..end.saturating_sub(unit.len())).filter(|stem| !stem.is_empty())?;
        Some((stem, unit))
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.letters.words(0, self.letters.text().len())
    }

    fn is_silenced(&self) -> bool {
        let convention = self.catalogue.convention();
        *self.is_silenced.get_or_init(|| {
            lookalike::is_silenced(convention, self.letters, self.key, self.link)
                || lookalike::is_of_item(self.link, |word| convention.has(List::Silence, word))
        })
    }

    fn has_auth(&self) -> bool {
        let convention = self.catalogue.convention();
        // `jwtleeway`: the word in front of the last part has no border of its own.
        *self.has_auth.get_or_init(|| {
            self.words().any(|word| convention.is_auth(word) || self.joined(word))
                || self.is_connect()
                || lookalike::is_of_item(self.link, |word| convention.has(List::OfTokens, word))
        })
    }

    /// `OpenIdConnect`, whose words say little one by one.
    fn is_connect(&self) -> bool {
        let begins = |at| self.letters.begins(at);
        memchr::memmem::find_iter(self.letters.text(), b"openid").any(begins)
    }

    fn joined(&self, word: &[u8]) -> bool {
        let convention = self.catalogue.convention();
        self.letters.text().ends_with(word)
            && (2..word.len()).any(|at| word.get(..at).is_some_and(|front| convention.is_auth(front)))
    }

    /// Do the letters end in this, at the beginning of a word or right after an authentication word?
    fn ends_in(&self, tail: &[u8]) -> bool {
        let text = self.letters.text();
        let Some(start) = text.len().checked_sub(tail.len()).filter(|_| text.ends_with(tail)) else { return false };
        if self.letters.begins(start) {
            return true;
        }
        let word_start = start.checked_sub(1).map_or(0, |before| self.letters.word_start(before));
        text.get(word_start..start).is_some_and(|word| self.catalogue.convention().is_auth(word))
    }
}

/// Is it met beside or above the setting?
fn is_met(catalogue: &Catalogue, link: &Link<'_>, condition: &Condition) -> bool {
    link.scopes().any(|(scope, _, _)| scope.meets(condition, catalogue.neighbours()))
}

/// Is it met where the condition's key stands to the same keys as the setting's: `KAFKA_CFG_SASL_ENABLED_MECHANISMS` of
/// `KAFKA_CFG_SASL_OAUTHBEARER_CLOCK_SKEW_SECONDS`? What a star stands for in the setting's spelling it stands for in the
/// condition's.
fn is_met_alongside(link: &Link<'_>, letters: &Letters, spelling: &Pattern, condition: &Condition) -> bool {
    let Some(before) = spelling.find(letters).and_then(|start| letters.text().get(..start)) else { return false };
    let (head, tail) = condition.key.split_at(condition.star.unwrap_or(0).min(condition.key.len()));
    let star = match (condition.star, spelling.star(letters)) {
        (Some(_), None) => return false,
        (Some(_), Some(star)) => star,
        (None, _) => &[],
    };
    let wanted = [before, head, star, tail].concat();
    link.scopes().any(|(scope, above, _)| {
        let above = letters.text().get(..letters.before_key(above)).unwrap_or(&[]);
        wanted.strip_prefix(above).is_some_and(|key| scope.answers(key, condition))
    })
}

/// How much a context that fits tells, in letters of a spelling: the object's kind more than any spelling, a
/// file's name nothing that many applications do not share.
fn evidence(context: &Context) -> usize {
    [(!context.kinds.is_empty(), 20), (!context.beside.is_empty(), 10), (!context.within.is_empty(), 5)]
        .iter()
        .chain(&[(!context.spelled.is_empty(), 1)])
        .filter(|(given, _)| *given)
        .map(|(_, letters)| letters)
        .sum()
}

/// Like [`fits`], but capitals matter. Of a key that is a path itself (`jwt.clockTolerance`) the end is enough.
fn spelled(wanted: &str, key: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(rest), Some(_)) => key.contains(rest.trim_end_matches('*')),
        (Some(end), None) => key.ends_with(end),
        (None, Some(start)) => key.starts_with(start),
        (None, None) => key == wanted || key.rsplit('.').next() == Some(wanted),
    }
}

/// Does something beside or above the setting make it one that does not count: a later entry of the same name, a
/// switch that is off, a feature that is not on, a place among labels or in a test? Asked only about what would be told,
/// because it looks at everything around.
pub(crate) fn is_idle(catalogue: &Catalogue, setting: &Setting<'_>, link: &Link<'_>) -> bool {
    let mut keys: Vec<&str> = link.keys().collect();
    keys.reverse();
    let letters = Letters::of(keys.iter().copied());
    let spelling = OnceCell::new();
    let find_spelling = || {
        let keys = setting.known.keys.iter().filter(|key| key.find(&letters).is_some());
        keys.max_by_key(|key| key.weight())
    };
    let holds = |condition: &Condition| {
        is_met(catalogue, link, condition)
            || spelling
                .get_or_init(find_spelling)
                .is_some_and(|spelling| is_met_alongside(link, &letters, spelling, condition))
    };
    if !setting.known.requires.iter().all(holds) || setting.known.off_when.iter().any(holds) {
        return true;
    }
    // Of a product that is known the switch is told itself, and beside it what its neighbour means once it is on again.
    let is_tolerance = matches!((setting.effect, setting.known.role), (Effect::Tolerance(_), Role::Generic { .. }));
    is_none_of(&keys, link)
        || is_undone(link)
        || lookalike::is_put_aside(link)
        || lookalike::is_nobodys(catalogue.convention(), &letters, link)
        || link.scopes().any(|(scope, above, index)| {
            keys.get(above).is_some_and(|key| scope.is_shadowed(key, index))
                || scope.is_off(&letters, letters.before_key(above), index)
                || (is_tolerance && scope.is_unchecked(catalogue.convention(), &letters, above, index))
                || (keys.get(above).is_some_and(|key| holds_others(key))
                    && scope.is_off(&letters, letters.before_key(above.saturating_add(1)), index))
        })
}

/// Does a key hold settings that belong to the object around it: variables, flags, a file of a ConfigMap? What switches
/// a feature off for one of them does it for the others.
fn holds_others(key: &str) -> bool {
    matches!(key, "env" | "environment") || command::KEYS.contains(&key) || formats::by_name(key).is_some()
}

/// Is it in what takes it away, runs tests, or tells what happened?
fn is_undone(link: &Link<'_>) -> bool {
    let is_json = link.notation() == Notation::Json;
    let is_so = |(number, sign): (usize, Sign)| match sign {
        Sign::None => false,
        // Right beside the setting it is one of its own.
        Sign::Absent => number > 0,
        Sign::Test => true,
        Sign::Log => is_json,
    };
    link.scopes().map(|(scope, _, _)| scope.sign()).enumerate().any(is_so)
}

/// Is it in a resource of Terraform that is not made at all, or in a module that is told to make nothing?
///
/// Source: <https://developer.hashicorp.com/terraform/language/meta-arguments/count>; `create` is what most modules of the
/// registry call that switch.
fn is_none_of(keys: &[&str], link: &Link<'_>) -> bool {
    matches!(keys.first(), Some(&("resource" | "module")))
        && link.notation() == Notation::Assignment
        && link
            .scopes()
            .any(|(scope, above, _)| above <= 3 && (scope.holds(b"count", "0") || scope.holds(b"create", "false")))
}
