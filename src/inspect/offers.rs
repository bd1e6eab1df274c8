//! Which variables there are to be taken: the entries of ConfigMaps and Secrets, of the ConfigMaps that a kustomization
//! generates, and the lines of environment files.
//!
//! An offer has the name by which it is asked for, and entries with their places. Environment files have no name but
//! their path, which only whoever reads files knows.
//!
//! Does not know: who takes them.
//!
//! Source: <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/configmapgenerator/>.

use super::limits::Limits;
use super::surfaces::config_map;
use super::tree::{Entry, Kind, Position, Scalar, Step, Tree};
use super::{ObjectRef, object_ref, template};
use std::borrow::Cow;
use std::collections::HashSet;

/// Kinds of things that hold variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// A ConfigMap; one that kustomize generates too.
    ConfigMap,
    /// A Secret.
    Secret,
    /// An environment file.
    File,
}

/// The name of something that holds variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Supplier {
    /// What it is.
    pub store: Store,
    /// Its namespace; that of whoever says none is called `default`. Empty for a file.
    pub namespace: String,
    /// Its name; the path of a file, as it is written, from the file that names it.
    pub name: String,
}

impl Supplier {
    /// `None` where it is not known until something fills it in.
    pub(crate) fn new(store: Store, namespace: &str, name: &str) -> Option<Self> {
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        let is_known = !name.is_empty() && !template::is_masked(name) && !template::is_masked(namespace);
        is_known.then(|| Supplier { store, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The file at this path; `None` where something is filled in.
    pub(crate) fn file(path: &str) -> Option<Self> {
        let is_known = !path.is_empty() && !template::is_masked(path) && !path.contains('$');
        is_known.then(|| Supplier { name: path.to_owned(), ..Supplier::this_file() })
    }

    /// What an environment file calls itself.
    #[must_use]
    pub fn this_file() -> Self {
        Supplier { store: Store::File, namespace: String::new(), name: String::new() }
    }

    fn of(object: &ObjectRef, limits: &Limits) -> Option<Self> {
        let store = match (object.api_version.as_str(), object.kind.as_str()) {
            ("v1", "ConfigMap") => Store::ConfigMap,
            ("v1", "Secret") if limits.secrets => Store::Secret,
            _ => return None,
        };
        Supplier::new(store, &object.namespace, &object.name)
    }
}

/// An entry that can become a variable.
pub(crate) struct Offered<'t> {
    /// The steps from the root of the document to what holds it.
    pub(crate) above: Vec<Step>,
    /// Its name.
    pub(crate) key: &'t str,
    /// Its value, out of base64 where it is in it.
    pub(crate) scalar: Cow<'t, Scalar>,
    /// The text that it stands in with its name (`NAME=value`); `above` leads to that.
    pub(crate) text: Option<&'t Scalar>,
}

/// Values that are longer are no switches.
const VALUE_BYTES: usize = 256;

/// The value, or nothing where it is too long to be a switch.
pub(crate) fn short(value: &str) -> &str {
    if value.len() <= VALUE_BYTES { value } else { "" }
}

const GENERATOR: &str = "configMapGenerator";

/// The names of what a document offers. An environment file is known by its format.
pub(crate) fn suppliers(document: &Tree, object: &ObjectRef, is_environment: bool, limits: &Limits) -> Vec<Supplier> {
    if is_environment {
        return vec![Supplier::this_file()];
    }
    let generated = generators(document).filter(|(_, item)| has(item, "literals")).filter_map(|(_, item)| name(item));
    Supplier::of(object, limits).into_iter().chain(generated).collect()
}

/// The ConfigMaps that a kustomization generates from environment files, and the paths of these.
pub(crate) fn from_files(document: &Tree) -> Vec<(Supplier, Supplier)> {
    let paths = |item: &Tree| -> Vec<Supplier> {
        let several = item.get("envs").map_or(&[][..], Tree::items).iter();
        several.chain(item.get("env")).filter_map(|path| Supplier::file(path.text()?)).collect()
    };
    let generated = generators(document).filter_map(|(_, item)| Some((name(item)?, paths(item))));
    generated.flat_map(|(name, paths)| paths.into_iter().map(move |path| (name.clone(), path))).collect()
}

fn generators(document: &Tree) -> impl Iterator<Item = (usize, &Tree)> {
    document.get(GENERATOR).map_or(&[][..], Tree::items).iter().enumerate()
}

fn has(item: &Tree, key: &str) -> bool {
    item.get(key).is_some_and(|list| !list.items().is_empty())
}

fn name(item: &Tree) -> Option<Supplier> {
    let text = |key: &str| item.get(key).and_then(Tree::text);
    Supplier::new(Store::ConfigMap, text("namespace").unwrap_or(""), text("name")?)
}

/// What a document offers: names, with entries in their order, each once.
pub(crate) fn offers<'t>(
    document: &'t Tree,
    is_environment: bool,
    limits: &Limits,
) -> Vec<(Supplier, Vec<Offered<'t>>)> {
    if is_environment {
        return vec![(Supplier::this_file(), last(document.entries().iter().filter_map(|entry| plain(&[], entry))))];
    }
    let generated = generators(document).filter(|(_, item)| has(item, "literals")).filter_map(|(number, item)| {
        let item_at = Step::Item { index: number, name: item.get("name").and_then(Tree::text).map(str::to_owned) };
        let above = [Step::Key(GENERATOR.to_owned()), item_at, Step::Key("literals".to_owned())];
        let literals = item.get("literals").map_or(&[][..], Tree::items).iter().enumerate();
        Some((name(item)?, last(literals.filter_map(|(index, literal)| assigned(&above, index, literal)))))
    });
    let object = Supplier::of(&object_ref(document), limits).map(|supplier| {
        let entries = entries(document, &supplier, limits);
        (supplier, entries)
    });
    object.into_iter().chain(generated).collect()
}

/// Of several entries of one name the last counts.
fn last<'t>(entries: impl DoubleEndedIterator<Item = Offered<'t>>) -> Vec<Offered<'t>> {
    let mut known = HashSet::new();
    let mut kept: Vec<Offered<'t>> = entries.rev().filter(|entry| known.insert(entry.key)).collect();
    kept.reverse();
    kept
}

/// The entries of a ConfigMap or Secret.
fn entries<'t>(object: &'t Tree, supplier: &Supplier, limits: &Limits) -> Vec<Offered<'t>> {
    let section = |section: &str| object.get(section).map_or(&[][..], Tree::entries).iter();
    let above = |section: &str| [Step::Key(section.to_owned())];
    if supplier.store != Store::Secret {
        return last(section("data").filter_map(|entry| plain(&above("data"), entry)));
    }
    let packed = section("data").filter_map(|entry| {
        let scalar = entry.value.scalar()?;
        let text = config_map::unpacked(scalar, limits)?;
        let scalar = Cow::Owned(Scalar { text: text.into(), kind: Kind::Text, at: scalar.at, extent: None });
        Some(Offered { above: above("data").to_vec(), key: &entry.key, scalar, text: None })
    });
    // What is said as text takes the place of what is said in base64.
    last(packed.chain(section("stringData").filter_map(|entry| plain(&above("stringData"), entry))))
}

fn plain<'t>(above: &[Step], entry: &'t Entry) -> Option<Offered<'t>> {
    let scalar = Cow::Borrowed(entry.value.scalar()?);
    Some(Offered { above: above.to_vec(), key: &entry.key, scalar, text: None })
}

/// `NAME=value`, a literal of a generator.
fn assigned<'t>(above: &[Step], index: usize, literal: &'t Tree) -> Option<Offered<'t>> {
    let text = literal.scalar()?;
    let (key, value) = text.text.split_once('=')?;
    let column = u32::try_from(key.chars().count()).ok()?.checked_add(2)?;
    let at = Position { line: 1, column };
    let scalar = Cow::Owned(Scalar { text: value.into(), kind: Kind::Text, at, extent: None });
    let above = above.iter().cloned().chain([Step::Item { index, name: None }]).collect();
    Some(Offered { above, key, scalar, text: Some(text) })
}

/// What there is to be taken, as those beside it see it: names, and values where they are short enough to be switches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supply(pub(crate) Vec<(String, String)>);

impl Supply {
    pub(crate) fn of(entries: &[Offered<'_>]) -> Self {
        let pair = |entry: &Offered<'_>| (entry.key.to_owned(), short(&entry.scalar.text).to_owned());
        Supply(entries.iter().map(pair).collect())
    }

    /// The value of an entry.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}
