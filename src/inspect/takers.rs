//! Which containers take their variables from other objects.
//!
//! A container is what has `env` or `envFrom`, wherever it stands, so workloads, ephemeral containers and the pod
//! templates of custom resources are one case; a service of a compose file with its `env_file` is another. Of each only a
//! few facts are kept: who it is, the names that it gives and from where, and what of its own could switch a feature off
//! or tell the product. What a name refers to is not looked for here; at admission one object is all that there is, and
//! none of this is asked.
//!
//! Does not know: other documents, files, what an entry means.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables>: `env`
//! takes precedence over `envFrom`, and of several sources the last.
//! <https://docs.docker.com/reference/compose-file/services/#env_file>: the same between `environment` and `env_file`.

use super::limits::Limits;
use super::offers::{Store, Supplier, short};
use super::surfaces::{self, command};
use super::tree::{Entry, Kind, Tree};
use super::{ObjectRef, object_ref, template};

/// Where a variable of a container comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The container itself says its value; empty where that comes from elsewhere, or is too long to be a switch.
    Own {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// An entry of another object (`valueFrom`).
    One {
        /// Its name here.
        name: String,
        /// The object.
        from: Supplier,
        /// Its name there.
        key: String,
        /// The line of the container's file; 0 is unknown.
        line: u32,
    },
    /// All entries of another object (`envFrom`).
    All {
        /// What stands before their names here.
        prefix: String,
        /// The object.
        from: Supplier,
        /// The line of the container's file; 0 is unknown.
        line: u32,
    },
}

/// A container that takes variables from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// The object that it is in.
    pub object: ObjectRef,
    /// `container api`, `init container wait`, `service api`; empty where it has no name.
    pub container: String,
    /// Those that count less first: a later one of the same name takes the place of an earlier.
    pub variables: Vec<Variable>,
    /// `group/Kind` of the object.
    pub(crate) kind: String,
    /// The keys from the root of the object to the container's variables.
    pub(crate) way: Vec<String>,
    /// Its image, and those of its arguments that could be switches.
    pub(crate) beside: Vec<Entry>,
}

/// A container with more variables than this is nobody's, and is passed over.
const VARIABLES_MAX: usize = 2_000;

impl Variable {
    /// The object that it comes from, if that is another one.
    #[must_use]
    pub fn from(&self) -> Option<&Supplier> {
        match self {
            Variable::One { from, .. } | Variable::All { from, .. } => Some(from),
            Variable::Own { .. } => None,
        }
    }
}

/// Could a text hold such a container? The cheap question; without a word about clocks in it, only one that takes all
/// variables of another object can be of interest.
pub(crate) fn may_take(text: &str, mentions_skew: bool) -> bool {
    let has = |needle: &str| memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
    has("envFrom") || has("env_file") || (mentions_skew && has("KeyRef"))
}

/// The containers of an object that take variables from elsewhere.
pub(crate) fn takers(object: &Tree, limits: &Limits) -> Vec<Taker> {
    let named = object_ref(object);
    let group = named.api_version.split_once('/').map_or("", |(group, _)| group);
    if named.kind.is_empty() || named.api_version.is_empty() {
        return services(object);
    }
    if surfaces::is_silent(group, &named.kind) {
        return Vec::new();
    }
    let kind = format!("{group}/{}", named.kind);
    let mut search = Search { object: named, kind, limits, way: Vec::new(), found: Vec::new() };
    for entry in object.entries().iter().filter(|entry| !matches!(entry.key.as_str(), "status" | "metadata")) {
        search.below(entry);
    }
    search.found
}

/// The way down to the containers.
struct Search<'t> {
    object: ObjectRef,
    kind: String,
    limits: &'t Limits,
    way: Vec<&'t str>,
    found: Vec<Taker>,
}

impl<'t> Search<'t> {
    /// Parsers bound the depth.
    fn below(&mut self, entry: &'t Entry) {
        self.way.push(&entry.key);
        self.node(&entry.value);
        self.way.pop();
    }

    fn node(&mut self, tree: &'t Tree) {
        match tree {
            Tree::Scalar(_) => {}
            Tree::List(items) => items.iter().for_each(|item| self.node(item)),
            Tree::Map(entries) => {
                self.container(tree);
                entries.iter().for_each(|entry| self.below(entry));
            }
        }
    }

    fn container(&mut self, tree: &Tree) {
        let list = |key: &str| tree.get(key).map_or(&[][..], Tree::items);
        let mut variables: Vec<Variable> = list("envFrom").iter().filter_map(|item| self.all(item)).collect();
        variables.extend(list("env").iter().filter_map(|item| self.one(item)));
        let takes = variables.iter().any(|variable| variable.from().is_some());
        if !takes || variables.len() > VARIABLES_MAX {
            return;
        }
        let name = tree.get("name").and_then(Tree::text).unwrap_or("");
        let word = match self.way.last() {
            Some(&"initContainers") => "init container",
            Some(&"ephemeralContainers") => "ephemeral container",
            _ => "container",
        };
        let container = if name.is_empty() { String::new() } else { format!("{word} {name}") };
        self.found.push(Taker {
            object: self.object.clone(),
            container,
            variables,
            kind: self.kind.clone(),
            way: self.way.iter().copied().chain(["env"]).map(str::to_owned).collect(),
            beside: tree.entries().iter().filter_map(beside).collect(),
        });
    }

    /// An item of `envFrom`.
    fn all(&self, item: &Tree) -> Option<Variable> {
        let (from, line) = self.supplier(item, "configMapRef", "secretRef")?;
        let prefix = item.get("prefix").and_then(Tree::text).unwrap_or("").to_owned();
        (!template::is_masked(&prefix)).then_some(Variable::All { prefix, from, line })
    }

    /// An item of `env`.
    fn one(&self, item: &Tree) -> Option<Variable> {
        let name = item.get("name")?.scalar()?;
        let taken = item.get("valueFrom").and_then(|from| {
            let reference = from.get("configMapKeyRef").or_else(|| from.get("secretKeyRef"))?;
            let (supplier, _) = self.supplier(from, "configMapKeyRef", "secretKeyRef")?;
            Some((supplier, reference.get("key").and_then(Tree::text)?.to_owned()))
        });
        let (line, name) = (name.at.line, name.text.to_string());
        let own = |name| {
            let value = item.get("value").and_then(Tree::text).unwrap_or("");
            Variable::Own { name, value: short(value).to_owned() }
        };
        Some(match taken {
            Some((from, key)) => Variable::One { name, from, key, line },
            None => own(name),
        })
    }

    /// Whom a reference names, and its line.
    fn supplier(&self, holder: &Tree, config_map: &str, secret: &str) -> Option<(Supplier, u32)> {
        let (store, reference) = match (holder.get(config_map), holder.get(secret)) {
            (Some(reference), _) => (Store::ConfigMap, reference),
            (None, Some(reference)) if self.limits.secrets => (Store::Secret, reference),
            _ => return None,
        };
        let name = reference.get("name")?.scalar()?;
        Some((Supplier::new(store, &self.object.namespace, &name.text)?, name.at.line))
    }
}

/// The services of a compose file that take variables from files.
fn services(document: &Tree) -> Vec<Taker> {
    let service = |entry: &Entry| {
        let files = entry.value.get("env_file")?;
        let file = |item: &Tree| {
            let path = item.scalar().or_else(|| item.get("path")?.scalar())?;
            let from = Supplier::file(&path.text)?;
            Some(Variable::All { prefix: String::new(), from, line: path.at.line })
        };
        let mut variables: Vec<Variable> = match files {
            Tree::List(items) => items.iter().filter_map(file).collect(),
            Tree::Scalar(_) | Tree::Map(_) => file(files).into_iter().collect(),
        };
        if variables.is_empty() {
            return None;
        }
        let own = |name: &str, value: &str| Variable::Own { name: name.to_owned(), value: short(value).to_owned() };
        let given = |(name, value): (&str, Option<&str>)| {
            let value = value.filter(|value| !is_handed_on(name, value))?;
            Some(own(name, value))
        };
        match entry.value.get("environment") {
            Some(Tree::Map(entries)) => {
                let is_null = |entry: &Entry| entry.value.scalar().is_some_and(|scalar| scalar.kind == Kind::Null);
                let value = |entry| if is_null(entry) { None } else { Some(entry.value.text().unwrap_or("")) };
                variables.extend(entries.iter().filter_map(|entry| given((&entry.key, value(entry)))));
            }
            Some(Tree::List(items)) => variables.extend(items.iter().filter_map(Tree::text).filter_map(|text| {
                given(text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value))))
            })),
            Some(Tree::Scalar(_)) | None => {}
        }
        (variables.len() <= VARIABLES_MAX).then(|| Taker {
            object: ObjectRef::default(),
            container: format!("service {}", entry.key),
            variables,
            kind: String::new(),
            way: ["services", &entry.key, "environment"].map(str::to_owned).to_vec(),
            beside: entry.value.entries().iter().filter_map(beside).collect(),
        })
    };
    document.get("services").map_or(&[][..], Tree::entries).iter().filter_map(service).collect()
}

/// What of a container its variables have to know: the image, and arguments that could be switches.
fn beside(entry: &Entry) -> Option<Entry> {
    let is_short = |text: &str| !short(text).is_empty();
    let value = match &entry.value {
        Tree::Scalar(scalar) if entry.key == "image" && is_short(&scalar.text) => entry.value.clone(),
        Tree::List(items) if command::is_vector(entry) => {
            let is_kept = |text: &str| is_short(text) && (text.starts_with('-') || text.contains('='));
            let kept = items.iter().filter(|item| item.text().is_some_and(is_kept));
            Tree::List(kept.take(VARIABLES_MAX).cloned().collect())
        }
        _ => return None,
    };
    Some(Entry { key: entry.key.clone(), at: entry.at, value })
}

/// Is a variable of a compose file what it is anyhow: `JWT_LEEWAY: ${JWT_LEEWAY}`?
///
/// Source: <https://docs.docker.com/reference/compose-file/interpolation/>.
fn is_handed_on(name: &str, value: &str) -> bool {
    let Some(rest) = value.trim().strip_prefix('$') else { return false };
    let braced =
        rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).and_then(|rest| rest.strip_prefix(name));
    rest == name || braced.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-', '?']))
}
