//! What is known about each product's clock-skew settings: data, read once.
//!
//! One TOML file for each product, beside this module; a new product is a file, a line in [`files`] and a fixture
//! folder. An entry says how the setting is spelled, where that spelling means this product, its unit and its
//! default, and what zero and negative mean there: Envoy's, Vault's and SmallRye's zero is the default, Vault's -1
//! is the real zero, and a look-alike (`exclude`) is no setting at all. The generic convention is data too.
//!
//! Does not know: documents, severities.

mod convention;
pub mod files;
mod index;
mod neighbours;
mod own;
mod raw;
mod resources;

use super::duration::{Nanos, Unit};
use super::mention::Mentions;
use super::words::Pattern;
use std::sync::{Arc, LazyLock};

pub use convention::Convention;
pub(crate) use convention::List;
pub use index::{Candidate, Index};
pub use neighbours::Neighbours;
pub use own::Own;
pub use raw::CatalogueError;
pub use resources::{Resource, Scope};

/// What a kind of value does in a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Really no tolerance.
    Zero,
    /// Less than no tolerance: the check becomes stricter than exact.
    Tightens,
    /// The product's default holds.
    Default,
    /// The check is switched off.
    Disabled,
    /// The value is not used; something else holds.
    Ignored,
    /// The product does not start with it.
    Rejected,
    /// Not documented, or it depends on the code that reads it.
    Unknown,
}

/// How sure the research is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Read in the source code or the vendor's reference.
    Verified,
    /// Seen in use or inferred from closely related code.
    Likely,
}

/// What a match says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A setting of a product.
    Product,
    /// It only looks like one.
    Exclusion,
    /// A setting by the generic convention; `strong` where the name alone says that it is about clocks or tokens.
    Generic {
        /// Not just the word skew.
        strong: bool,
        /// The unit is part of the key.
        has_unit: bool,
    },
}

/// Where a product's settings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// A variable of a container, or a line of a dotenv file.
    Env,
    /// A flag of a command line, or a system property of a JVM.
    Arg,
    /// A field of a custom resource.
    Resource,
    /// A YAML file.
    Yaml,
    /// A JSON file.
    Json,
    /// Java properties, or anything else that is `key=value`.
    Properties,
    /// A TOML file.
    Toml,
    /// An INI file.
    Ini,
    /// An XML file.
    Xml,
    /// HCL.
    Hcl,
    /// HOCON.
    Hocon,
    /// A configuration of nginx.
    Nginx,
    /// A configuration of httpd.
    Apache,
    /// An option of a login module.
    Jaas,
}

/// What the value of a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// A span of time.
    Span {
        /// What a bare number counts; `None` where none but 0 is read, or nobody says what it counts.
        bare: Option<Unit>,
        /// What a bare number other than zero does, where it is not simply read.
        bare_means: Option<Meaning>,
        /// The same spelling has another unit in another product.
        unit_guessed: bool,
    },
    /// A switch; this position switches a check off.
    Switch {
        /// `true` for `ignoreExpiration`, `false` for `verifyExpiration`.
        off_when: bool,
    },
    /// One of several words, of which one switches a check off.
    Word {
        /// That word.
        off: String,
        /// The one that switches it on again.
        on: String,
    },
}

/// `key=value` or `key!=value` that must, or must not, stand beside or above a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// As written.
    pub text: String,
    /// Letters of the key, without its star.
    pub key: Vec<u8>,
    /// Where among them the star is, which stands for what that of the setting's own spelling stands for:
    /// `oidc.*.tenant-enabled` of `oidc.*.token.lifespan-grace`.
    pub star: Option<usize>,
    /// The value; a star at either end stands for anything.
    pub value: String,
    /// The key has to be there with another value.
    pub is_other: bool,
    /// The key's bit among the [`Neighbours`]; none where they are too many.
    pub bit: u64,
}

/// One way to know that a spelling means this product. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `group/Kind` of the object, any of them.
    pub kinds: Vec<String>,
    /// Name of the file or entry, any of them; stars as in [`Condition`].
    pub files: Vec<String>,
    /// Beside or above the setting, any of them.
    pub beside: Vec<Condition>,
    /// On the path before the setting, any of them.
    pub within: Vec<Pattern>,
    /// How the last key is spelled, any of them, capitals and signs included; stars as in [`Condition`].
    pub spelled: Vec<String>,
    /// An authentication word is on the path, and no silencing one.
    pub auth: bool,
}

/// Where a setting has to stand, so that its absence means its default for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// `group/Kind` of the objects that use the feature, any of them.
    pub kinds: Vec<String>,
    /// The setting as it is written in them.
    pub key: String,
    /// Keys from the root to the map that would hold the setting; a star is each item of a list.
    pub holder: Vec<String>,
    /// Beside the holder, any of them: the feature is used there. None: the holder itself says so.
    pub when: Vec<Condition>,
}

/// One setting of one product.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// File and position in it: `trino#0`.
    pub id: String,
    /// For people.
    pub product: String,
    /// Where that is written.
    pub source: String,
    /// How sure.
    pub confidence: Confidence,
    /// What a match says.
    pub role: Role,
    /// Spellings.
    pub keys: Vec<Pattern>,
    /// Any of these makes it this product; none given: the spelling is enough.
    pub contexts: Vec<Context>,
    /// Where it is written. For people, and for the test that writes it there.
    pub surfaces: Vec<Surface>,
    /// All of these must stand beside or above.
    pub requires: Vec<Condition>,
    /// Any of these switches the feature off.
    pub off_when: Vec<Condition>,
    /// What the value is.
    pub reads: Reads,
    /// In the product's own words; empty where not known.
    pub default: String,
    /// What 0 does.
    pub zero: Meaning,
    /// What a value below 0 does.
    pub negative: Meaning,
    /// It bounds the time of issue alone: a large value keeps no expired token alive.
    pub only_issue: bool,
    /// Which tokens pass where the check is switched off.
    pub passes: String,
    /// What the fix proposes.
    pub recommended: Nanos,
    /// Where its absence is a real zero; none where that cannot be told from an object.
    pub absence: Option<Absence>,
    /// What else a person should know, a sentence or empty.
    pub note: String,
}

/// Every product that we know, ready to be searched.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    known: Vec<Known>,
    index: Index,
    neighbours: Neighbours,
    convention: Convention,
    needles: Vec<String>,
    mentions: Mentions,
    resources: Vec<Resource>,
}

impl Catalogue {
    /// The catalogue that is built into the program, parsed once.
    ///
    /// A test parses the files, so the empty catalogue that a broken file would leave is never shipped.
    #[must_use]
    pub fn builtin() -> &'static Catalogue {
        Catalogue::shared()
    }

    fn shared() -> &'static Arc<Catalogue> {
        static BUILTIN: LazyLock<Arc<Catalogue>> =
            LazyLock::new(|| Arc::new(Catalogue::parse(files::PRODUCTS, files::GENERIC).unwrap_or_default()));
        &BUILTIN
    }

    /// Reads a catalogue from its files: name and text of each product, and the text of the generic convention.
    ///
    /// # Errors
    /// [`CatalogueError`], naming the file and the field.
    pub fn parse(products: &[(&str, &str)], generic: &str) -> Result<Catalogue, CatalogueError> {
        raw::parse(products, generic)
    }

    /// Builds what is searched from the entries.
    fn build_index(&mut self) {
        (self.index, self.neighbours) = (Index::default(), Neighbours::default());
        for (number, known) in self.known.iter_mut().enumerate() {
            let beside = known.contexts.iter_mut().flat_map(|context| &mut context.beside);
            for condition in beside.chain(&mut known.requires).chain(&mut known.off_when) {
                if condition.star.is_none() {
                    condition.bit = self.neighbours.add(&condition.key);
                }
            }
            for (key, spelling) in known.keys.iter().enumerate() {
                self.index.insert(spelling.tail(), Candidate { known: number, key });
            }
        }
    }

    /// Can this text hold a setting at all? See [`super::mention`].
    #[must_use]
    pub fn mentions(&self, text: &[u8]) -> bool {
        self.mentions.are_in(text)
    }

    /// Every entry, products first.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// The index over the ends of all spellings.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The keys that conditions ask for.
    #[must_use]
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The words of the generic convention.
    #[must_use]
    pub fn convention(&self) -> &Convention {
        &self.convention
    }

    /// The kinds of objects that settings are judged in, in the order of group and plural: the core workloads and
    /// ConfigMaps, and those that products bring along.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Lower-case texts, one of which stands in every key that is recognised.
    #[must_use]
    pub fn needles(&self) -> &[String] {
        &self.needles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_built_in_files_parse_and_every_entry_is_complete() {
        let catalogue = Catalogue::parse(files::PRODUCTS, files::GENERIC).expect("the built-in catalogue");
        assert!(catalogue.known().len() > files::PRODUCTS.len());
        let mut ids = HashSet::new();
        for known in catalogue.known() {
            assert!(ids.insert(&known.id), "{} twice", known.id);
            assert!(!known.product.is_empty() && !known.keys.is_empty(), "{}", known.id);
            assert!(known.source.starts_with("https://"), "{}: {}", known.id, known.source);
            assert!(known.role == Role::Exclusion || known.recommended > 0, "{}", known.id);
            assert!(matches!(known.role, Role::Generic { .. }) || !known.surfaces.is_empty(), "{}", known.id);
        }
    }
}
