//! Goes through an object or file once, looks at every leaf, and follows documents into the values that hold them.
//!
//! Recursion is as deep as the limits allow and no deeper; every node is counted. Whether something is a setting is
//! decided by `recognise`, whether it is wrong by the rules; here it is only found and put in order.

use super::catalogue::{Catalogue, Role};
use super::finding::{Finding, NOT_SHOWN, Note};
use super::formats::{self, Notation};
use super::limits::Limits;
use super::link::{Link, Way};
use super::recognise::{self, Setting};
use super::rules::{self, Look, RULES, Rule};
use super::scope::{Entries, Scope};
use super::sight::{Remark, Sight, What};
use super::surfaces::{self, command, config_map, pairs};
use super::tree::{Entry, Kind, Path, Position, Scalar, Tree};
use super::{Bounds, Inspection, ObjectRef, fix};

/// Its `group/Kind`.
const SECRET: &str = "/Secret";

/// One inspection.
pub(crate) struct Walk<'c> {
    catalogue: &'c Catalogue,
    bounds: &'c Bounds,
    limits: &'c Limits,
    /// The object, where the document is one.
    object: Option<ObjectRef>,
    /// Its `group/Kind`.
    kind: String,
    room: recognise::Room,
    nodes: usize,
    out: Inspection,
    /// A limit was reached and noted.
    is_full: bool,
    /// No value may be shown, wherever it stands.
    is_hidden: bool,
    /// Only settings of products that are known are told.
    of_products: bool,
}

impl<'c> Walk<'c> {
    pub(crate) fn new(catalogue: &'c Catalogue, bounds: &'c Bounds, limits: &'c Limits) -> Self {
        Walk {
            catalogue,
            bounds,
            limits,
            object: None,
            kind: String::new(),
            room: recognise::Room::default(),
            nodes: 0,
            out: Inspection::default(),
            is_full: false,
            is_hidden: false,
            of_products: false,
        }
    }

    /// A look at an entry of `object` as something of this `kind` (`group/Kind`) takes it.
    pub(crate) fn of_entry(mut self, object: &ObjectRef, kind: &str) -> Self {
        self.is_hidden = object.kind == "Secret";
        self.object = Some(object.clone());
        kind.clone_into(&mut self.kind);
        self
    }

    /// Is this leaf a setting, whatever is said about it?
    pub(crate) fn recognises(&mut self, link: &Link<'_>, scalar: &Scalar) -> bool {
        recognise::recognise(self.catalogue, &self.kind, link, scalar, |_| true, &mut self.room).is_some()
    }

    /// Can this text hold a setting at all?
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.catalogue.mentions(text.as_bytes())
    }

    pub(crate) fn limits(&self) -> &'c Limits {
        self.limits
    }

    pub(crate) fn done(self) -> Inspection {
        self.out
    }

    /// A Kubernetes object, a list of them, or any other document.
    pub(crate) fn root(&mut self, link: &Link<'_>, tree: &Tree) {
        if link.file().is_some_and(surfaces::is_of_test) {
            return;
        }
        let object = super::object_ref(tree);
        if object.kind.is_empty() || object.api_version.is_empty() {
            self.object = None;
            self.kind.clear();
            if surfaces::is_description(tree) {
                self.gateways(link, tree, 0);
            } else if !link.file().is_some_and(surfaces::is_not_deployed) {
                self.node(link, tree, 0);
            }
            return;
        }
        if object.kind.ends_with("List") && tree.get("items").is_some() {
            return self.items(link, tree);
        }
        let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
        // In files only: at admission an annotation would excuse whoever writes it.
        let is_not_running = || link.text().is_some() && surfaces::is_not_running(tree, &object.kind);
        if surfaces::is_silent(group, &object.kind) || is_not_running() {
            return;
        }
        self.kind = format!("{group}/{}", object.kind);
        self.object = Some(object);
        self.see(link, What::Object(tree));
        self.node(link, tree, 0);
    }

    fn items(&mut self, link: &Link<'_>, tree: &Tree) {
        let scope = Scope::new(Entries::Map(tree.entries()));
        let Some(index) = tree.entries().iter().rposition(|entry| entry.key == "items") else { return };
        let list = link.down(Way::Key { name: "items", scope: &scope, index });
        let items = tree.get("items").map_or(&[][..], Tree::items);
        for (index, item) in items.iter().enumerate().take(self.limits.documents) {
            // A list of lists is no object that any API server accepts.
            if !item.get("kind").and_then(Tree::text).is_some_and(|kind| kind.ends_with("List")) {
                let name = item.at(&["metadata", "name"]).and_then(Tree::text);
                self.root(&list.down(Way::Item { index, name }), item);
            }
        }
        if items.len() > self.limits.documents {
            self.full(link, format!("the rest was not looked at: more than {} items", self.limits.documents));
        }
    }

    pub(crate) fn node(&mut self, link: &Link<'_>, tree: &Tree, depth: usize) {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes {
            return self.full(link, format!("the rest was not looked at: more than {} values", self.limits.nodes));
        }
        if depth > self.limits.depth {
            return self.full(link, format!("not looked at: nested deeper than {} levels", self.limits.depth));
        }
        match tree {
            Tree::Scalar(scalar) => self.leaf(link, scalar),
            Tree::Map(entries) => self.map(link, entries, depth),
            Tree::List(items) => self.list(link, items, depth),
        }
    }

    fn map(&mut self, link: &Link<'_>, entries: &[Entry], depth: usize) {
        if self.object.is_some() && depth == 1 && self.kind == "/ConfigMap" {
            match link.key() {
                Some("data") => return config_map::data(self, link, entries),
                Some("binaryData") => return config_map::binary(self, link, entries),
                _ => {}
            }
        }
        if self.object.is_some() && depth == 1 && self.kind == SECRET {
            match link.key() {
                Some("data") => return config_map::secret(self, link, entries),
                Some("stringData") => return config_map::data(self, link, entries),
                _ => {}
            }
        }
        self.see(link, What::Map(entries));
        let scope = Scope::new(Entries::Map(entries));
        let has_command = entries.iter().any(command::is_vector);
        if has_command {
            command::look(self, link, entries);
        }
        let is_named = |entry: &Entry| matches!(entry.key.as_str(), "name" | "Name") && entry.value.text().is_some();
        let is_pair = match link.step {
            Way::Item { .. } if entries.iter().any(is_named) => true,
            _ => pairs::alone(self, link, entries),
        };
        let held = if is_pair { None } else { pairs::held(self, link, entries) };
        let is_schema = surfaces::is_schema(entries);
        for (index, entry) in entries.iter().enumerate() {
            let skipped = (has_command && command::is_vector(entry))
                || (is_schema && matches!(entry.key.as_str(), "default" | "example" | "examples"))
                || (is_pair && matches!(entry.key.as_str(), "value" | "Value") && entry.value.scalar().is_some())
                || held == Some(index)
                || (self.object.is_some()
                    && surfaces::is_skipped(link, &entry.key, self.object_kind(), depth == 0)
                    && !(self.limits.secrets && depth == 0 && self.kind == SECRET && surfaces::is_secret(&entry.key)));
            if !skipped {
                self.node(
                    &link.down(Way::Key { name: &entry.key, scope: &scope, index }),
                    &entry.value,
                    depth.saturating_add(1),
                );
            }
        }
    }

    /// Nothing that is told of what is here may show a value.
    fn is_secret(&self, link: &Link<'_>) -> bool {
        self.is_hidden || (self.object.is_some() && self.kind == SECRET && link.keys().any(surfaces::is_secret))
    }

    fn object_kind(&self) -> &str {
        self.object.as_ref().map_or("", |object| &object.kind)
    }

    fn list(&mut self, link: &Link<'_>, items: &[Tree], depth: usize) {
        if items.iter().any(pairs::is_pair) {
            pairs::look(self, link, items);
        }
        let holds_assignments = pairs::holds_assignments(link, items);
        if holds_assignments {
            pairs::assignments(self, link, items);
        }
        for (index, item) in items.iter().enumerate() {
            let name = item.get("name").and_then(Tree::text);
            let below = link.down(Way::Item { index, name });
            match item {
                Tree::Scalar(_) if holds_assignments => {}
                _ => self.node(&below, item, depth.saturating_add(1)),
            }
        }
    }

    /// A value under its key: a setting, or a document of its own.
    pub(crate) fn leaf(&mut self, link: &Link<'_>, scalar: &Scalar) {
        let is_of_interest = |effect| rules::is_of_interest(effect, self.bounds);
        match recognise::recognise(self.catalogue, &self.kind, link, scalar, is_of_interest, &mut self.room) {
            Some(setting) => self.judge(link, scalar, &setting),
            None => {
                self.see(link, What::Value(scalar));
                if scalar.kind == Kind::Text {
                    self.inside(link, scalar);
                }
            }
        }
    }

    /// Asks the rules that look at pieces of documents.
    pub(crate) fn see(&mut self, link: &Link<'_>, what: What<'_>) {
        if self.is_secret(link) || self.of_products {
            // Their words are about values.
            return;
        }
        let is_shown = |rule: &Rule| match what {
            What::Map(entries) => rule.maps.iter().any(|key| entries.iter().any(|entry| entry.key == *key)),
            What::Object(_) | What::Value(_) | What::Command(_) => true,
        };
        let sight = Sight::new(what, &self.kind, link, self.bounds, self.catalogue);
        let mut remarks: Vec<(&'static str, Remark)> = Vec::new();
        for rule in RULES.iter().filter(|rule| is_shown(rule)) {
            if let Look::Sight(look) = rule.look {
                look(&sight, &mut |remark| remarks.push((rule.name, remark)));
            }
        }
        for (rule, remark) in remarks {
            self.tell(rule, link, remark);
        }
    }

    fn tell(&mut self, rule: &'static str, link: &Link<'_>, remark: Remark) {
        let Some(severity) = self.bounds.levels.of(rule, remark.severity) else { return };
        if self.out.findings.len() >= self.limits.settings {
            return self.full(link, format!("the rest is not listed: more than {} findings", self.limits.settings));
        }
        let Remark { spot, product, meaning, fix, .. } = remark;
        let (steps, at, value) = spot.parts();
        let Path(mut way) = link.path();
        let is_here = steps.is_empty();
        way.extend(steps);
        let path = Path(way);
        let what = if is_here { shown_setting(link, &path) } else { path.to_string() };
        let is = if value.is_empty() { String::new() } else { format!(" is {:?},", clipped(&value)) };
        let object = self.object.as_ref().map(named).unwrap_or_default();
        let message = format!("{object}{what}{is} {meaning}");
        // What is to be done about it is for a person: no edit goes with it.
        let (at, spot) = (link.place(at), None);
        let entry = String::new();
        self.out.findings.push(Finding { rule, severity, path, at, entry, product, value, message, fix, spot });
    }

    fn judge(&mut self, link: &Link<'_>, scalar: &Scalar, setting: &Setting<'_>) {
        let said = RULES.iter().find_map(|rule| match rule.look {
            Look::Setting(check) => Some((rule, check(setting, self.bounds)?)),
            Look::Sight(_) => None,
        });
        let Some((rule, verdict)) = said else { return };
        let Some(severity) = self.bounds.levels.of(rule.name, verdict.severity) else { return };
        let is_guess = self.of_products && setting.known.role != Role::Product;
        if is_guess || recognise::is_idle(self.catalogue, setting, link) {
            return;
        }
        if self.out.findings.len() >= self.limits.settings {
            return self.full(link, format!("the rest is not listed: more than {} findings", self.limits.settings));
        }
        let path = link.path();
        let known = setting.known;
        let object = self.object.as_ref().map(named).unwrap_or_default();
        let default = if setting.is_default { " by default" } else { "" };
        let note = if known.note.is_empty() { String::new() } else { format!(". {}.", known.note) };
        let what = shown_setting(link, &path);
        let fix = format!("write `{}`", fix::written(setting, link, scalar, self.bounds));
        let (said, value, fix, spot) = if self.is_secret(link) {
            // Nor what the value means, which would tell it, nor what stands around its default.
            let fix = if setting.is_default { "write a default that the policy allows".to_owned() } else { fix };
            let is_encoded = self.is_hidden || link.keys().any(|key| key == "data");
            let fix = if is_encoded { format!("{fix}, in base64") } else { fix };
            (format!("{NOT_SHOWN}{default}. {}", rule.summary), NOT_SHOWN.to_owned(), fix, None)
        } else {
            let said = format!("{:?}{default}, {}", clipped(&scalar.text), verdict.meaning);
            (said, scalar.text.to_string(), fix, fix::spot(setting, link, scalar, self.bounds))
        };
        self.out.findings.push(Finding {
            rule: rule.name,
            severity,
            at: link.place(scalar.at),
            entry: known.id.clone(),
            product: known.product.clone(),
            message: format!("{object}{what} is {said}{note}"),
            fix,
            spot,
            value,
            path,
        });
    }

    /// A document or options inside of a value that is no setting itself.
    fn inside(&mut self, link: &Link<'_>, scalar: &Scalar) {
        let text = scalar.text.trim_start();
        let key = link.key().unwrap_or("");
        let is_line = command::is_of_unit(key) && command::is_continued(text);
        let is_snippet = || text.contains(' ') && self.mentions(text) && surfaces::is_snippet(link, text);
        let may_be_document =
            !is_line && (text.starts_with(['{', '[']) || text.contains('\n') || is_jaas(text) || is_snippet());
        let may_be_options = !may_be_document && command::holds_options(key, text);
        let is_read = (may_be_document && !surfaces::is_prose(key)) || may_be_options;
        if !is_read || formats::is_foreign(key) || !self.mentions(text) {
            return;
        }
        if may_be_document {
            return self.document(link, Some(key).filter(|key| key.contains('.')), &scalar.text, scalar.at);
        }
        let way = Way::Document { text: &scalar.text, notation: link.notation(), at: scalar.at, name: None };
        command::script(self, &link.down(way), &command::options(key, &scalar.text), false);
    }

    /// A script that somebody keeps. Who runs it, and where, is not known, and it may do no more than look for a setting; so
    /// only what is a product's own for certain is told of it (`vault write … clock_skew_leeway=-1`).
    pub(crate) fn products_in_script(&mut self, link: &Link<'_>, scalar: &Scalar) {
        let way = Way::Document { text: &scalar.text, notation: link.notation(), at: scalar.at, name: None };
        let before = std::mem::replace(&mut self.of_products, true);
        command::script(self, &link.down(way), &scalar.text, false);
        self.of_products = before;
    }

    /// A document in the value that `link` leads to, which begins at `at` of the document around it.
    pub(crate) fn document(&mut self, link: &Link<'_>, name: Option<&str>, text: &str, at: Position) {
        if !self.mentions(text) {
            return;
        }
        let Some(format) = formats::detect(name, text) else { return };
        if link.embedded() >= self.limits.embedded {
            return self.note(
                link,
                at,
                format!("not looked at: more than {} documents inside of one another", self.limits.embedded),
            );
        }
        let (tree, notes) = (format.parse)(text, self.limits);
        let is_named = name.and_then(formats::by_name).is_some();
        if !is_named && !notes.iter().all(formats::hocon::is_elsewhere) {
            // Its content only looked like a document.
            return;
        }
        let document = link.down(Way::Document { text, notation: format.notation, at, name });
        // A parser's words may quote what it stumbled over.
        let is_secret = self.is_secret(link);
        for note in notes.into_iter().filter(|_| !is_secret) {
            self.note(&document, note.at, note.message);
        }
        if surfaces::is_description(&tree) {
            self.gateways(&document, &tree, 2);
        } else if !name.is_some_and(surfaces::is_not_deployed) {
            // Not 0 or 1: what is special at the root of an object is not special in here.
            self.node(&document, &tree, 2);
        }
    }

    /// What sets something in a description.
    fn gateways(&mut self, link: &Link<'_>, tree: &Tree, depth: usize) {
        let scope = Scope::new(Entries::Map(tree.entries()));
        for (index, entry) in tree.entries().iter().enumerate().filter(|(_, entry)| surfaces::is_of_gateway(&entry.key))
        {
            self.node(
                &link.down(Way::Key { name: &entry.key, scope: &scope, index }),
                &entry.value,
                depth.saturating_add(1),
            );
        }
    }

    pub(crate) fn note(&mut self, link: &Link<'_>, at: Position, message: String) {
        if self.out.notes.len() < self.limits.settings {
            self.out.notes.push(Note { path: link.path(), at: link.place(at), message });
        }
    }

    fn full(&mut self, link: &Link<'_>, message: String) {
        if !self.is_full {
            self.is_full = true;
            self.note(link, Position::default(), message);
        }
    }
}

/// JAAS on a line. Few values have its capitals, so that most are not searched for the word.
fn is_jaas(text: &str) -> bool {
    text.contains('M') && text.contains("LoginModule")
}

/// The path, with the name of the variable or flag where the path ends in `value` or a number.
fn shown_setting(link: &Link<'_>, path: &Path) -> String {
    match link.step {
        Way::Named { name, .. } | Way::Flag { name, .. } => format!("{path}: {name}"),
        _ => path.to_string(),
    }
}

/// `ConfigMap shop/app: `, without the parts that the object does not say.
fn named(object: &ObjectRef) -> String {
    let slash = if object.namespace.is_empty() { "" } else { "/" };
    let blank = if object.name.is_empty() { "" } else { " " };
    format!("{}{blank}{}{slash}{}: ", object.kind, object.namespace, object.name)
}

/// A value that fits on a line.
fn clipped(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

/// The root of something that is not a file: an admission review's object.
pub(crate) fn review_root<'a>() -> Link<'a> {
    // People write YAML; the review is JSON only on its way.
    Link::root(None, Notation::Yaml, None)
}
