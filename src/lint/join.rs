//! Who takes variables from whom, across the files of a run.
//!
//! At the first look each file is judged by itself, and says which objects it has that variables can be taken from, and
//! which containers take some. Files with such objects wait. When all have been seen, references are resolved, and the
//! files whose objects are taken are looked at once more, with who takes them; most runs have none. Texts are read
//! again, so only names are kept meanwhile.
//!
//! An environment file is named by its path. One name may stand for several objects (the overlays of a kustomization).
//! The one in the container's own file is meant, else the one in its directory, else the only one; where that is not one
//! alone, nothing is said about any.
//!
//! Does not know: what an entry means to whom.

use super::files::{self, Content};
use super::find::Target;
use super::look::{self, Linted, Mend, Outcome};
use super::names;
use crate::inspect::Eyes;
use crate::inspect::{Limits, Resolved, Store, Supplier, Supply, Taker, Uses, supplies_in, takers_in};
use aho_corasick::AhoCorasick;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

/// Looks at all targets on `jobs` threads, and hands each outcome to `then` with its number: first, in order, those that
/// depend on no other, then, in order, the rest.
///
/// # Errors
/// The first of `then`'s, and when no thread can be had.
pub(super) fn all(
    targets: &[Target],
    jobs: usize,
    eyes: &Eyes<'_>,
    how: Mend,
    mut then: impl FnMut(usize, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    let mut set = Set { jobs, limits: eyes.limits, files: HashMap::new() };
    let mut waiting: BTreeMap<usize, Box<Linted>> = BTreeMap::new();
    look::each(
        targets,
        jobs,
        |target| look::one(target, eyes, how),
        |number, outcome| match outcome {
            Outcome::Linted(mut linted) => {
                let waits = set.take(number, &mut linted);
                if waits {
                    waiting.insert(number, linted);
                    return Ok(());
                }
                then(number, Outcome::Linted(linted))
            }
            outcome => then(number, outcome),
        },
    )?;
    let takers = set.takers()?;
    let supplies = set.supplies(&takers)?;
    let resolved = supplies.resolve(&set, takers);
    let uses = supplies.uses(&resolved);
    // What was found and could be mended has waited for this.
    let is_open = |linted: &Linted| how != Mend::No && !linted.findings.is_empty();
    let open: Vec<usize> = waiting
        .iter()
        .filter(|(number, linted)| uses.contains_key(number) || is_open(linted))
        .map(|(number, _)| *number)
        .collect();
    look::each(
        &open,
        jobs,
        |number| {
            set.files
                .get(number)
                .map(|file| look::again(&file.path, file.input.as_deref(), eyes, how, uses.get(number)))
        },
        |index, outcome| {
            let Some((number, Some(outcome))) = open.get(index).map(|number| (*number, outcome)) else { return Ok(()) };
            // Those before it have nothing to wait for.
            while let Some((first, _)) = waiting.first_key_value().filter(|(first, _)| **first < number) {
                let first = *first;
                if let Some(linted) = waiting.remove(&first) {
                    then(first, Outcome::Linted(linted))?;
                }
            }
            waiting.remove(&number);
            then(number, outcome)
        },
    )?;
    waiting.into_iter().try_for_each(|(number, linted)| then(number, Outcome::Linted(linted)))
}

/// A file that others may depend on, or that may depend on others.
struct Seen {
    path: PathBuf,
    /// Its text, where it cannot be read twice.
    input: Option<String>,
    suppliers: Vec<Supplier>,
    from_files: Vec<(Supplier, Supplier)>,
    takers: Vec<Taker>,
    /// There may be takers that were not looked for.
    may_take: bool,
    may_hold: bool,
}

/// All of them, by their numbers.
struct Set<'s> {
    jobs: usize,
    limits: &'s Limits,
    files: HashMap<usize, Seen>,
}

impl Set<'_> {
    /// Keeps what others have to know of a file. Does it have to wait for them?
    fn take(&mut self, number: usize, linted: &mut Linted) -> bool {
        let look::Seen { suppliers, from_files, takers, may_take, may_hold, input } = std::mem::take(&mut linted.seen);
        let waits = !suppliers.is_empty();
        if waits || may_take || !takers.is_empty() || !from_files.is_empty() {
            let path = linted.path.clone();
            self.files.insert(number, Seen { path, input, suppliers, from_files, takers, may_take, may_hold });
        }
        waits
    }

    /// Every container that takes something, with the number of its file, in order. In a file that does not speak of
    /// clocks they can be of interest only if they take from one that does, and then its name is in the text.
    fn takers(&mut self) -> io::Result<Vec<(usize, Taker)>> {
        let mut found: BTreeMap<usize, Vec<Taker>> =
            self.files.iter_mut().map(|(number, file)| (*number, std::mem::take(&mut file.takers))).collect();
        let mut unread: Vec<usize> =
            self.files.iter().filter(|(_, file)| file.may_take).map(|(number, _)| *number).collect();
        unread.sort_unstable();
        let names = self.spoken_names();
        if !names.is_empty() {
            let names = AhoCorasick::new(&names).ok();
            let is_named = |text: &str| names.as_ref().is_none_or(|names| names.is_match(text));
            let work = |name: Option<&str>, text: &str, limits: &Limits| {
                if is_named(text) { takers_in(name, text, limits) } else { Vec::new() }
            };
            self.read(&unread, work, |number, takers| drop(found.insert(number, takers)))?;
        }
        Ok(found.into_iter().flat_map(|(number, takers)| takers.into_iter().map(move |it| (number, it))).collect())
    }

    /// What files that speak of clocks are taken from by.
    fn spoken_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for file in self.files.values() {
            for supplier in file.suppliers.iter().filter(|_| file.may_hold) {
                names.insert(match supplier.store {
                    Store::File => file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    Store::ConfigMap | Store::Secret => supplier.name.clone(),
                });
            }
            names.extend(file.from_files.iter().map(|(generated, _)| generated.name.clone()));
        }
        names
    }

    /// Reads files once more; what cannot be read any longer is told by whoever looks at it next.
    fn read<T: Send>(
        &self,
        numbers: &[usize],
        work: impl Fn(Option<&str>, &str, &Limits) -> T + Sync,
        mut then: impl FnMut(usize, T),
    ) -> io::Result<()> {
        let one = |number: &usize| {
            let file = self.files.get(number)?;
            let text = match &file.input {
                Some(text) => text.clone(),
                None => match files::read(&file.path, self.limits.bytes) {
                    Content::Text(text) => text,
                    Content::Passed(_) | Content::Failed(_) => return None,
                },
            };
            Some(work(look::known_as(&file.path.to_string_lossy()), &text, self.limits))
        };
        look::each(numbers, self.jobs, one, |index, result| {
            if let (Some(number), Some(result)) = (numbers.get(index), result) {
                then(*number, result);
            }
            Ok(())
        })
    }

    /// What there is to be taken by these.
    fn supplies(&self, takers: &[(usize, Taker)]) -> io::Result<Supplies> {
        let mut supplies = Supplies { homes: HashMap::new(), of: HashMap::new(), list: Vec::new() };
        for (number, file) in &self.files {
            let folder = folder(&file.path);
            for supplier in &file.suppliers {
                let (name, key) = match supplier.store {
                    Store::File => (at(&file.path), supplier.clone()),
                    Store::ConfigMap | Store::Secret => (supplier.clone(), supplier.clone()),
                };
                let home = Home { named_in: *number, folder: folder.clone(), place: Place::Here(*number, key) };
                supplies.homes.entry(name).or_default().push(home);
            }
            for (generated, path) in &file.from_files {
                let place = Place::File(at(&folder.join(&path.name)));
                let home = Home { named_in: *number, folder: folder.clone(), place };
                supplies.homes.entry(generated.clone()).or_default().push(home);
            }
        }
        let mut wanted = BTreeSet::new();
        for (number, taker) in takers {
            wanted.extend(supplies.homes_of(self, *number, taker));
        }
        let wanted: Vec<usize> = wanted.into_iter().collect();
        self.read(&wanted, supplies_in, |number, found| {
            for (supplier, supply) in found {
                supplies.of.insert((number, supplier), supplies.list.len());
                supplies.list.push(supply);
            }
        })?;
        Ok(supplies)
    }
}

/// The directory of a file, by one name.
fn folder(path: &Path) -> PathBuf {
    names::resolved(path).parent().map(Path::to_owned).unwrap_or_default()
}

/// A file, by one name.
fn at(path: &Path) -> Supplier {
    Supplier { name: names::resolved(path).to_string_lossy().into_owned(), ..Supplier::this_file() }
}

/// Where something is that has a name.
struct Home {
    /// The file that gives it the name, and its directory.
    named_in: usize,
    folder: PathBuf,
    place: Place,
}

enum Place {
    /// In this file, under this name.
    Here(usize, Supplier),
    /// It is the environment file at this path.
    File(Supplier),
}

/// What there is to be taken, and where.
struct Supplies {
    /// Whatever has a name, by it.
    homes: HashMap<Supplier, Vec<Home>>,
    /// The number of what a file has under a name in the list.
    of: HashMap<(usize, Supplier), usize>,
    list: Vec<Supply>,
}

impl Supplies {
    /// The file that a reference in file `from` means, and the name there.
    fn home(&self, set: &Set<'_>, from: usize, supplier: &Supplier) -> Option<(usize, &Supplier)> {
        let folder = set.files.get(&from).map(|file| folder(&file.path))?;
        if supplier.store == Store::File {
            return self.environment(&at(&folder.join(&supplier.name)));
        }
        let homes = self.homes.get(supplier)?;
        let only = |is_near: &dyn Fn(&Home) -> bool| {
            let mut near = homes.iter().filter(|home| is_near(home));
            near.next().map(|first| if near.next().is_none() { Some(first) } else { None })
        };
        let near = only(&|home| home.named_in == from).or_else(|| only(&|home| home.folder == folder));
        match &near.or_else(|| only(&|_| true))??.place {
            Place::Here(number, key) => Some((*number, key)),
            Place::File(path) => self.environment(path),
        }
    }

    /// An environment file, if it is in the set; a path leads to no more than one.
    fn environment(&self, path: &Supplier) -> Option<(usize, &Supplier)> {
        match self.homes.get(path)?.as_slice() {
            [Home { place: Place::Here(number, key), .. }] => Some((*number, key)),
            _ => None,
        }
    }

    /// The files that a container takes from, if any of it could be of interest.
    fn homes_of(&self, set: &Set<'_>, from: usize, taker: &Taker) -> Vec<usize> {
        let suppliers = taker.variables.iter().filter_map(|variable| variable.from());
        let homes = suppliers.filter_map(|supplier| self.home(set, from, supplier).map(|(number, _)| number));
        let homes: Vec<usize> = homes.collect();
        let speaks = |number: &usize| set.files.get(number).is_some_and(|file| file.may_hold);
        if speaks(&from) || homes.iter().any(speaks) { homes } else { Vec::new() }
    }

    /// The containers with what their references mean; those for which that is nothing are left out.
    fn resolve(&self, set: &Set<'_>, takers: Vec<(usize, Taker)>) -> Vec<Resolved> {
        let resolved = takers.into_iter().map(|(number, taker)| {
            let supply = |supplier: &Supplier| {
                let (home, key) = self.home(set, number, supplier)?;
                self.of.get(&(home, key.clone())).copied()
            };
            let supplies = taker.variables.iter().map(|variable| variable.from().and_then(supply)).collect();
            let file = set.files.get(&number).map(|file| file.path.display().to_string()).unwrap_or_default();
            Resolved { taker, file, supplies }
        });
        resolved.filter(|resolved| resolved.supplies.iter().any(Option::is_some)).collect()
    }

    /// For each file whose objects are taken from, by whom.
    fn uses<'u>(&'u self, takers: &'u [Resolved]) -> HashMap<usize, Uses<'u>> {
        let owners: HashMap<usize, (usize, &Supplier)> =
            self.of.iter().map(|((number, supplier), supply)| (*supply, (*number, supplier))).collect();
        let mut uses: HashMap<usize, Uses<'u>> = HashMap::new();
        for (taker, resolved) in takers.iter().enumerate() {
            for (variable, supply) in resolved.supplies.iter().enumerate() {
                let Some((number, supplier)) = supply.and_then(|supply| owners.get(&supply)) else { continue };
                let of =
                    uses.entry(*number).or_insert_with(|| Uses { takers, supplies: &self.list, of: HashMap::new() });
                of.of.entry((*supplier).clone()).or_default().push((taker, variable));
            }
        }
        uses
    }
}
