//! An entry of a ConfigMap or Secret, under the names that containers give it.
//!
//! `CLOCK_SKEW: "0"` says little; taken with the prefix `JWT_` by a container it is that container's variable
//! JWT_CLOCK_SKEW, and is judged as one: with the container's image, its other variables, its arguments, and the other
//! entries of the object beside it. What is found is told at the entry's value, with who takes it.
//!
//! It also goes the other way. What is found in the entry by itself is withdrawn if everybody who is known to take it
//! takes it for something else: a variable that a later one replaces, a feature that is switched off, a name that a
//! prefix makes another one. One taker for whom it counts, or of whom that cannot be told, and it stays: a variable
//! called `LW` says nothing about an entry called `JWT_LEEWAY`.
//!
//! Does not know: files, how a reference is resolved, takers outside of what was looked at, volumes.

use super::environment::{self, Environment};
use super::file::Eyes;
use super::finding::Finding;
use super::formats::Notation;
use super::link::{Link, Way};
use super::offers::{Offered, Supplier, Supply, offers};
use super::takers::{Taker, Variable};
use super::tree::{Entry, Path, Step, Tree};
use super::walk::Walk;
use super::words::Letters;
use super::{Inspection, ObjectRef, formats};
use std::collections::HashMap;

/// So often an entry of one document is looked at under a name that somebody gives it; what is found in it by itself
/// stays if there are more. A long value counts as several.
const LOOKS_MAX: usize = 20_000;

/// Bytes of a value that count as one more look.
const LOOK_BYTES: usize = 256;

/// So many takers are named.
const NAMED_MAX: usize = 3;

/// A container, and what its references refer to.
#[derive(Debug)]
pub struct Resolved {
    /// The container.
    pub taker: Taker,
    /// The name of its file.
    pub file: String,
    /// For each of its variables that comes from elsewhere, the number of the supply among [`Uses::supplies`]; `None`
    /// where it is not known.
    pub supplies: Vec<Option<usize>>,
}

/// Who takes what from the objects of one file.
#[derive(Debug, Default)]
pub struct Uses<'u> {
    /// Every container that takes anything.
    pub takers: &'u [Resolved],
    /// What they can take from.
    pub supplies: &'u [Supply],
    /// The takers of each object of the file: numbers of the taker, and of its variable.
    pub of: HashMap<Supplier, Vec<(usize, usize)>>,
}

/// Adds to what was `found` in a document what its entries are to those who take them, and withdraws what they are to
/// nobody. `link` leads to the document; an environment file is known by its format.
pub(crate) fn look(
    eyes: Eyes<'_>,
    link: &Link<'_>,
    tree: &Tree,
    is_environment: bool,
    uses: &Uses<'_>,
    found: &mut Inspection,
) {
    let object = super::object_ref(tree);
    let mut looks = Looks { left: LOOKS_MAX, passed: 0 };
    for (supplier, entries) in offers(tree, is_environment, eyes.limits) {
        let Some(takers) = uses.of.get(&supplier) else { continue };
        let own = Supply::of(&entries);
        let beside: Vec<Entry> = entries.iter().map(as_entry).collect();
        let shelf = Shelf { eyes, link, object: &object, entries: &entries, own: &own, beside: &beside, uses };
        let mut records = shelf.records(found);
        let numbers: HashMap<&str, usize> =
            entries.iter().enumerate().map(|(number, entry)| (entry.key, number)).collect();
        for user in takers {
            shelf.take(*user, &numbers, &mut records, &mut looks);
        }
        shelf.tell(records, std::mem::take(&mut looks.passed), found);
    }
}

fn as_entry(entry: &Offered<'_>) -> Entry {
    let scalar = entry.scalar.clone().into_owned();
    Entry { key: entry.key.into(), at: scalar.at, value: Tree::Scalar(scalar) }
}

/// An object whose entries are taken.
struct Shelf<'s> {
    eyes: Eyes<'s>,
    link: &'s Link<'s>,
    object: &'s ObjectRef,
    entries: &'s [Offered<'s>],
    /// The same, as others see them.
    own: &'s Supply,
    /// The same as a map.
    beside: &'s [Entry],
    uses: &'s Uses<'s>,
}

/// How often entries are still looked at.
struct Looks {
    left: usize,
    /// So many take all entries of an object and are not looked at.
    passed: usize,
}

impl Looks {
    /// Counts somebody who is not looked at.
    fn pass(&mut self, variable: Option<&Variable>, numbers: &HashMap<&str, usize>, records: &mut [Record]) {
        match variable {
            Some(Variable::All { .. }) => self.passed = self.passed.saturating_add(1),
            Some(Variable::One { key, .. }) => {
                if let Some(record) = numbers.get(key.as_str()).and_then(|number| records.get_mut(*number)) {
                    record.unseen = record.unseen.saturating_add(1);
                }
            }
            Some(Variable::Own { .. }) | None => {}
        }
    }
}

/// A file of a ConfigMap becomes no variable when all entries are taken.
fn is_file(key: &str) -> bool {
    formats::by_name(key).is_some()
}

/// Numbers of a taker, and of its variable.
type User = (usize, usize);

/// What is known of an entry.
struct Record {
    /// The way to it.
    steps: Vec<Step>,
    told: Vec<Told>,
    /// It speaks of clocks by itself.
    speaks: bool,
    is_taken: bool,
    /// So many take it of whom nothing is known.
    unseen: usize,
}

/// A finding in an entry.
struct Told {
    finding: Finding,
    /// The first of those for whom it is one.
    users: Vec<User>,
    /// How many there are.
    count: usize,
    last: Option<User>,
    /// It was found in the entry by itself.
    is_own: bool,
}

impl Told {
    fn new(finding: Finding, is_own: bool) -> Self {
        Told { finding, users: Vec::new(), count: 0, last: None, is_own }
    }

    /// Users come one after another.
    fn counts_for(&mut self, user: User) {
        if self.last != Some(user) {
            self.last = Some(user);
            self.count = self.count.saturating_add(1);
            self.users.extend((self.users.len() < NAMED_MAX).then_some(user));
        }
    }
}

impl<'s> Shelf<'s> {
    /// What was found in each entry by itself, taken out of `found`.
    fn records(&self, found: &mut Inspection) -> Vec<Record> {
        let Path(above) = self.link.path();
        let record = |entry: &Offered<'_>| {
            let mut steps = above.clone();
            steps.extend(entry.above.iter().cloned());
            steps.extend(entry.text.is_none().then(|| Step::Key(entry.key.to_owned())));
            let speaks =
                [entry.key, &entry.scalar.text].iter().any(|text| self.eyes.catalogue.mentions(text.as_bytes()));
            Record { steps, told: Vec::new(), speaks, is_taken: false, unseen: 0 }
        };
        let mut records: Vec<Record> = self.entries.iter().map(record).collect();
        for finding in std::mem::take(&mut found.findings) {
            match records.iter_mut().find(|record| finding.path.0.starts_with(&record.steps)) {
                Some(record) => record.told.push(Told::new(finding, true)),
                None => found.findings.push(finding),
            }
        }
        records
    }

    /// Looks at the entries as one of those who take them does.
    fn take(&self, user: User, numbers: &HashMap<&str, usize>, records: &mut [Record], looks: &mut Looks) {
        let Some(resolved) = self.uses.takers.get(user.0) else { return };
        if looks.left == 0 {
            return looks.pass(resolved.taker.variables.get(user.1), numbers, records);
        }
        let taken: Vec<(usize, String)> = match resolved.taker.variables.get(user.1) {
            Some(Variable::One { name, key, .. }) => {
                numbers.get(key.as_str()).map(|number| (*number, name.clone())).into_iter().collect()
            }
            Some(Variable::All { prefix, .. }) => {
                let entries = self.entries.iter().enumerate().filter(|(_, entry)| !is_file(entry.key));
                entries.map(|(number, entry)| (number, format!("{prefix}{}", entry.key))).collect()
            }
            Some(Variable::Own { .. }) | None => return,
        };
        let may_be = |(number, name): &(usize, String)| {
            let record = records.get(*number);
            record.is_some_and(|it| it.speaks || !it.told.is_empty()) || self.eyes.catalogue.mentions(name.as_bytes())
        };
        let taken: Vec<(usize, String)> = taken.into_iter().filter(may_be).collect();
        let Some(first) = taken.first().map(|(number, _)| *number) else { return };
        let (words, at) = environment::words(resolved, user.1, self.own, first, self.uses.supplies);
        let words: Vec<(&str, &str)> = words.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let environment = Environment::new(&resolved.taker, &words, self.beside);
        for (number, name) in taken {
            let (Some(entry), Some(record)) = (self.entries.get(number), records.get_mut(number)) else { continue };
            record.is_taken = true;
            if looks.left == 0 {
                record.unseen = record.unseen.saturating_add(1);
                continue;
            }
            looks.left = looks.left.saturating_sub(1).saturating_sub(entry.scalar.text.len() / LOOK_BYTES);
            let index = at.saturating_add(number.saturating_sub(first));
            // A later one takes its place.
            if !environment.is_replaced(&name, index) {
                self.judge(user, entry, (number, index), &name, &environment, record);
            }
        }
    }

    /// Adds what an entry is under a name; its numbers among the object's entries and among the container's variables.
    fn judge(
        &self,
        user: User,
        entry: &Offered<'_>,
        (number, index): (usize, usize),
        name: &str,
        environment: &Environment<'_>,
        record: &mut Record,
    ) {
        let mut walk = Walk::new(self.eyes.catalogue, self.eyes.bounds, self.eyes.limits)
            .of_entry(self.object, environment.kind());
        let mut is_setting = false;
        let mut judge = |link: &Link<'_>| {
            let link = link.down(Way::Taken { entry: entry.key, name, scope: &environment.variables, index });
            walk.leaf(&link, &entry.scalar);
            is_setting = walk.recognises(&link, &entry.scalar);
        };
        let above = record.steps.len().saturating_sub(usize::from(entry.text.is_none()));
        let mut inside = |root: &Link<'_>| {
            environment::held(root, record.steps.get(..above).unwrap_or(&[]), &mut |link| match entry.text {
                Some(text) => {
                    let way = Way::Document { text: &text.text, notation: Notation::Dotenv, at: text.at, name: None };
                    judge(&link.down(way));
                }
                None => judge(link),
            });
        };
        let root = Link::root(None, self.link.notation(), None);
        environment.around(&root, number, &mut |above| {
            let (text, notation, file) = (self.link.text(), self.link.notation(), self.link.file());
            inside(&above.down(Way::Root { text, notation, file }));
        });
        // A name that ends in the entry's own says all that the entry's says, and more. What is inside of a document may
        // be read from a volume too.
        let is_told = is_setting || letters(name).ends_with(&letters(entry.key));
        for own in record.told.iter_mut().filter(|own| own.is_own) {
            if !(is_told && own.finding.path.0 == record.steps) {
                own.counts_for(user);
            }
        }
        walk.done().findings.into_iter().for_each(|finding| add(&mut record.told, finding, user));
    }

    /// Puts back what counts for anybody.
    fn tell(&self, records: Vec<Record>, passed: usize, found: &mut Inspection) {
        for (Record { told, unseen, is_taken, .. }, entry) in records.into_iter().zip(self.entries) {
            let unseen = if told.is_empty() || is_file(entry.key) { unseen } else { unseen.saturating_add(passed) };
            for mut told in told {
                let is_withdrawn = told.is_own && told.count == 0 && unseen == 0 && is_taken;
                let is_over = !told.is_own && found.findings.len() >= self.eyes.limits.settings;
                if is_withdrawn || is_over {
                    continue;
                }
                let users: Vec<String> = told.users.iter().filter_map(|user| self.shown(*user, entry.key)).collect();
                let more = told.count.saturating_sub(users.len()).saturating_add(unseen);
                say(&mut told.finding, &users, more);
                found.findings.push(told.finding);
            }
        }
    }

    /// `variable JWT_CLOCK_SKEW of container api of Deployment shop/api (deploy.yaml:31)`.
    fn shown(&self, user: User, key: &str) -> Option<String> {
        let resolved = self.uses.takers.get(user.0)?;
        let Taker { object, container, variables, .. } = &resolved.taker;
        let (name, line) = match variables.get(user.1)? {
            Variable::One { name, line, .. } => (name.clone(), line),
            Variable::All { prefix, line, .. } => (format!("{prefix}{key}"), line),
            Variable::Own { .. } => return None,
        };
        let ObjectRef { kind, namespace, name: workload, .. } = object;
        let of = if container.is_empty() { String::new() } else { format!(" of {container}") };
        let of_object = if kind.is_empty() { "" } else { " of " };
        let blank = if workload.is_empty() { "" } else { " " };
        let slash = if namespace.is_empty() { "" } else { "/" };
        let place = &resolved.file;
        Some(format!("variable {name}{of}{of_object}{kind}{blank}{namespace}{slash}{workload} ({place}:{line})"))
    }
}

/// Adds what one taker makes of an entry. What is told of a value is told once, as the worst that it is.
fn add(told: &mut Vec<Told>, finding: Finding, user: User) {
    let same = |other: &&mut Told| {
        let other = &other.finding;
        (other.rule, other.at, &other.value) == (finding.rule, finding.at, &finding.value)
    };
    if let Some(other) = told.iter_mut().find(same) {
        if finding.severity > other.finding.severity {
            other.finding = finding;
        }
        return other.counts_for(user);
    }
    let mut new = Told::new(finding, false);
    new.counts_for(user);
    told.push(new);
}

fn letters(name: &str) -> Vec<u8> {
    Letters::of([name]).text().to_vec()
}

/// Adds who takes it.
fn say(finding: &mut Finding, users: &[String], more: usize) {
    if users.is_empty() {
        return;
    }
    let dot = if finding.message.ends_with('.') { "" } else { "." };
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    finding.message = format!("{}{dot} It is {}{more}.", finding.message, users.join(", "));
}
