//! What is written twice is the same: CRDs, manifest, webhook configuration, command line, rules, Dockerfile, catalogue.

#[path = "cluster/install/manifest.rs"]
mod manifest;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{CommandFactory as _, Parser as _};
use clockwarden::cli;
use clockwarden::inspect::rules::RULES;
use serde_json::Value;

use self::manifest::{Manifest, NAMESPACE};

const WORKLOADS: [(&str, &str); 3] = [
    ("DaemonSet", "clockwarden-agent"),
    ("Deployment", "clockwarden-controller"),
    ("Deployment", "clockwarden-webhook"),
];

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .with_context(|| format!("cannot read {path}"))
}

fn printed_crds() -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_clockwarden")).arg("crds").output()?;
    ensure!(output.status.success(), "clockwarden crds: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_files_in_crds_are_those_of_the_rust_types() -> Result<()> {
    let mut expected = BTreeMap::new();
    for document in printed_crds()?.split("---\n").filter(|document| !document.is_empty()) {
        let crd: Value = serde_saphyr::from_str(document)?;
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).context("a CRD without a name")?;
        expected.insert(format!("{name}.yaml"), document.to_owned());
    }
    ensure!(expected.len() == 2, "clockwarden crds prints {:?}", expected.keys());
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(document) = expected.remove(&name) else { bail!("crds/{name} is no CRD of ours: delete it") };
        ensure!(read(&format!("crds/{name}"))? == document, "crds/{name} is out of date: run `make crds`");
    }
    ensure!(expected.is_empty(), "crds/ lacks {:?}: run `make crds`", expected.keys());
    Ok(())
}

#[test]
fn the_manifest_has_the_same_crds() -> Result<()> {
    let text = read(manifest::PATH)?;
    let between = |text: &str| -> Option<String> {
        let (_, rest) = text.split_once("edit src/api. Begin.\n")?;
        Some(rest.split_once("# CustomResourceDefinitions: end.\n")?.0.to_owned())
    };
    let found = between(&text).context("deploy/install.yaml lacks the marks between which `make crds` writes")?;
    ensure!(found == printed_crds()?, "the CRDs in deploy/install.yaml are out of date: run `make crds`");
    Ok(())
}

/// The figures are compared by tests/scenarios, where the runs are had; this sees a scenario that nobody ran.
#[test]
fn the_scenarios_in_the_documentation_are_those_of_the_catalogue() -> Result<()> {
    let text = read("docs/scenarios.md")?;
    let told = text.lines().filter_map(|line| Some(line.strip_prefix("- **")?.split_once("**: ")?.0.to_owned()));
    let told: Vec<String> = told.collect();
    let known: Vec<String> =
        clockwarden::simulation::scenarios().iter().map(|scenario| scenario.name.to_owned()).collect();
    ensure!(told == known, "docs/scenarios.md is out of date: run `make scenarios`");
    for alert in clockwarden::simulation::alerts::ALERTS {
        ensure!(text.contains(alert.name), "docs/scenarios.md does not say what {} is", alert.name);
    }
    Ok(())
}

fn container<'m>(manifest: &'m Manifest, kind: &str, name: &str) -> Result<&'m Value> {
    let container = manifest.get(kind, name)?.pointer("/spec/template/spec/containers/0");
    container.with_context(|| format!("{name} has no container"))
}

/// The port that a container calls by this name.
fn port(container: &Value, name: &str) -> Option<u16> {
    let ports = container.get("ports").and_then(Value::as_array)?;
    let found = ports.iter().find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
    found.get("containerPort").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())
}

#[test]
fn the_manifests_arguments_are_understood_and_its_ports_listened_on() -> Result<()> {
    let manifest = Manifest::read()?;
    for (kind, name) in WORKLOADS {
        let mut line = vec!["clockwarden".to_owned()];
        line.extend(manifest.args(kind, name)?);
        let parsed = cli::Cli::try_parse_from(&line).with_context(|| format!("{name}: {line:?}"))?;
        let container = container(&manifest, kind, name)?;
        let (health, listens) = match parsed.command {
            cli::Command::Agent(args) => ("clock", vec![("clock", args.listen.port())]),
            cli::Command::Controller(args) => {
                ensure!(args.lease_namespace == NAMESPACE, "the lease is in {}", args.lease_namespace);
                ("metrics", vec![("metrics", args.listen.port())])
            }
            cli::Command::Webhook(args) => {
                let secret = args.tls_secret.context("the webhook has no --tls-secret")?;
                ensure!(secret.namespace == NAMESPACE, "the Secret is in {}", secret.namespace);
                manifest.get("Secret", &secret.name)?;
                let configuration = args.webhook_configuration.context("no --webhook-configuration")?;
                manifest.get("ValidatingWebhookConfiguration", &configuration)?;
                ("metrics", vec![("review", args.listen.port()), ("metrics", args.metrics_listen.port())])
            }
            other => bail!("{name} runs {other:?}"),
        };
        for (port_name, listened) in listens {
            ensure!(port(container, port_name) == Some(listened), "{name} listens on {listened} for {port_name}");
        }
        for probe in ["livenessProbe", "readinessProbe"] {
            let asked = container.get(probe).and_then(|probe| probe.pointer("/httpGet/port")).and_then(Value::as_str);
            ensure!(asked == Some(health), "{name}: the {probe} asks port {asked:?}, health is served on {health:?}");
        }
    }
    Ok(())
}

#[test]
fn the_image_is_that_of_this_version_and_built_with_its_compiler() -> Result<()> {
    let image = format!("ghcr.io/clockwarden/clockwarden:{}", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest::read()?;
    for (kind, name) in WORKLOADS {
        let used = container(&manifest, kind, name)?.get("image").and_then(Value::as_str);
        ensure!(used == Some(&image), "{name} has the image {used:?}; this version's is {image}");
    }
    for path in ["Dockerfile", "docs/install.md"] {
        ensure!(read(path)?.contains(&image), "{path} does not say {image}");
    }
    let compiler = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    ensure!(
        read("Dockerfile")?.contains(&compiler),
        "the Dockerfile does not build with `{compiler}…`, as Cargo.toml says"
    );
    Ok(())
}

/// Between these two lines of the manifest stands what `clockwarden webhook --print-configuration` prints.
const CONFIGURATION: (&str, &str) = (
    "# ValidatingWebhookConfiguration: written by `UPDATE_GOLDEN=1 cargo test --test generated`. Begin.\n",
    "# ValidatingWebhookConfiguration: end.\n",
);

/// With the arguments of the Deployment, so that name and namespace are those that it is installed with.
#[test]
fn the_webhook_configuration_of_the_manifest_is_made_from_the_catalogue() -> Result<()> {
    let args = Manifest::read()?.args("Deployment", "clockwarden-webhook")?;
    let output = Command::new(env!("CARGO_BIN_EXE_clockwarden")).args(args).arg("--print-configuration").output()?;
    ensure!(output.status.success(), "--print-configuration: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let text = read(manifest::PATH)?;
    let (before, rest) = text.split_once(CONFIGURATION.0).context("the manifest lacks the line before it")?;
    let (_, after) = rest.split_once(CONFIGURATION.1).context("the manifest lacks the line after it")?;
    check_page(manifest::PATH, &format!("{before}{}---\n{printed}{}{after}", CONFIGURATION.0, CONFIGURATION.1))
}

/// What the webhook is asked about is what the audit looks at, and nothing more may be read for it.
#[test]
fn the_audit_may_list_exactly_the_kinds_of_the_catalogue_and_the_namespaces() -> Result<()> {
    let manifest = Manifest::read()?;
    let rules = manifest.get("ClusterRole", "clockwarden-audit")?.get("rules").and_then(Value::as_array);
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule.get(field).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in rules.context("no rules")?.iter().filter(|rule| rule.get("resourceNames").is_none()) {
        ensure!(texts(rule, "verbs") == ["list"], "{rule}: an audit only lists");
        for group in texts(rule, "apiGroups") {
            granted.extend(texts(rule, "resources").into_iter().map(|plural| (group.clone(), plural)));
        }
    }
    let known = clockwarden::inspect::Catalogue::builtin().resources().iter();
    let mut wanted: BTreeSet<_> = known.map(|resource| (resource.group.clone(), resource.plural.clone())).collect();
    wanted.insert((String::new(), "namespaces".to_owned()));
    ensure!(
        granted == wanted,
        "correct the ClusterRole clockwarden-audit in deploy/install.yaml: lacks {:?}, has too much {:?}",
        wanted.difference(&granted),
        granted.difference(&wanted)
    );
    Ok(())
}

/// `docs/cli.md`: what `--help` says, of every command. `UPDATE_GOLDEN=1 cargo test --test generated` rewrites it.
#[test]
fn the_reference_of_the_command_line_is_what_help_says() -> Result<()> {
    let mut whole = cli::Cli::command().term_width(100);
    whole.build();
    let mut page = String::from(
        "# Command line\n\nWhat `clockwarden COMMAND --help` prints; generated from the code, do not edit.\n",
    );
    for command in whole.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## clockwarden {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    }
    check_page("docs/cli.md", &page)
}

/// Compares a generated page with the one in the repository; `UPDATE_GOLDEN=1` writes it.
fn check_page(path: &str, page: &str) -> Result<()> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), page)?;
    }
    ensure!(
        read(path)? == page,
        "{path} is out of date: run `UPDATE_GOLDEN=1 cargo test --test generated` and read the diff"
    );
    Ok(())
}

/// `docs/rules/`: the doc comment of each rule, with what it says by default and where its fixtures are.
#[test]
fn the_pages_of_the_rules_are_their_doc_comments() -> Result<()> {
    let mut expected: BTreeSet<String> = BTreeSet::from(["README.md".to_owned()]);
    let mut index = String::from(
        "# Rules\n\nWhat `clockwarden lint` and the webhook look for; generated from the code, do not edit. The severity \
         is the worst that a rule says: what is not certain is a warning. `--rule NAME=ignore|warning|error` sets it \
         for a run of `lint`, `spec.admission.rules` of a TimeSyncPolicy for admission.\n\n| rule | severity | what it finds |\n|---|---|---|\n",
    );
    for rule in RULES {
        let source = read(&format!("src/inspect/rules/{}.rs", rule.name.replace('-', "_")))?;
        let comment: Vec<&str> =
            source.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.trim()).collect();
        let paragraphs: Vec<String> =
            comment.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|it| !it.is_empty()).collect();
        let (severity, name) = (rule.severity.as_str(), rule.name);
        let mut page =
            format!("{}\n\n**Severity.** {severity}. Generated from the code, do not edit.\n", paragraphs.join("\n\n"));
        page.push_str("\n**Fixtures.** What is found, to the column, and what is left alone:\n\n");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(name);
        let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut files = files.collect::<Result<Vec<String>>>()?;
        files.sort();
        for file in files.iter().filter(|file| !file.ends_with(".output")) {
            page.push_str(&format!("- [{file}](../../tests/rules/{name}/{file})\n"));
        }
        check_page(&format!("docs/rules/{name}.md"), &page)?;
        expected.insert(format!("{name}.md"));
        index.push_str(&format!("| [{name}]({name}.md) | {severity} | {} |\n", rule.summary));
    }
    check_page("docs/rules/README.md", &index)?;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(expected.contains(&name), "docs/rules/{name} is about no rule: delete it");
    }
    Ok(())
}
