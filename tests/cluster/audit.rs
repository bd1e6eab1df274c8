//! The background audit on a real API server: what was there before any webhook is found, what is mended vanishes, and
//! nobody but the leader asks.

pub(crate) mod sinners;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::support::requests::writes_of;
use crate::support::{Clockwarden, Component, ControlPlane, Options, Outcome, http, run, scratch, wait_for};
use sinners::{apply, resources, sin};

const SOON: Duration = Duration::from_secs(60);
const HOME: &str = "clockwarden-system";

/// A control plane whose audit log has every request of the controllers, reads too; our CRDs, and a few namespaces.
async fn plane() -> Result<ControlPlane> {
    let policy = scratch::directory("audit-policy")?.join("policy.json");
    let rules = json!([{"level": "Metadata", "users": ["one", "two"]}, {"level": "None"}]);
    let text =
        json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
    std::fs::write(&policy, text.to_string())?;
    let flag = format!("--audit-policy-file={}", policy.display());
    let extra_args = BTreeMap::from([(Component::ApiServer, vec![flag])]);
    let plane = ControlPlane::start(Options { scheduler: false, controller_manager: false, extra_args }).await?;
    let crds = plane.kubectl_fed(&["apply", "-f", "-"], &clockwarden::api::crds_yaml()?).await?;
    ensure!(crds.success, "{crds:?}");
    for (name, team) in [("shop", "shop"), ("theirs", "shop"), ("bank", "bank"), (HOME, "shop")] {
        plane.create_namespace(name).await?;
        let labelled = plane.kubectl(&["label", "namespace", name, &format!("team={team}")]).await?;
        ensure!(labelled.success, "{labelled:?}");
    }
    wait_for("the CRDs and the namespace kube-system", SOON, async || {
        for what in [&["get", "timesyncpolicies"][..], &["get", "namespace", "kube-system"]] {
            let got = plane.kubectl(what).await?;
            ensure!(got.success, "{got:?}");
        }
        Ok(())
    })
    .await?;
    Ok(plane)
}

fn policy(name: &str, mode: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": name},
        "spec": {"nodeSelector": {"matchLabels": {"none": "none"}},
            "admission": {"mode": mode, "namespaceSelector": selector}},
    })
}

struct Controller {
    process: Clockwarden,
    url: String,
}

impl Controller {
    async fn start(plane: &ControlPlane, name: &str, more: &[&str]) -> Result<Controller> {
        Controller::start_every("1s", plane, name, more).await
    }

    async fn start_every(period: &str, plane: &ControlPlane, name: &str, more: &[&str]) -> Result<Controller> {
        let listen = format!("127.0.0.1:{}", crate::install::free_port()?);
        let kubeconfig = plane.kubeconfig_for(name, &["system:masters"])?;
        let own = ["controller", "--listen", &listen, "--lease-namespace", HOME, "--audit-interval", period];
        let args = [&own, more].concat();
        let mut process = Clockwarden::start(&format!("audit-{name}"), args, |command| {
            command.env("KUBECONFIG", kubeconfig).env("RUST_LOG", "info,clockwarden=debug");
        })?;
        let url = format!("http://{listen}");
        process.wait_http(&format!("{url}/readyz"), SOON).await?;
        Ok(Controller { process, url })
    }

    /// The values of our audit's series, by their names and labels.
    async fn figures(&self) -> Result<BTreeMap<String, f64>> {
        let body = http::get(&format!("{}/metrics", self.url)).await?.body;
        let ours = body.lines().filter_map(|line| line.strip_prefix("clockwarden_audit_"));
        ours.filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| Ok((name.to_owned(), value.parse()?)))
            .collect()
    }

    /// Waits until the findings are these, by namespace, rule and severity.
    async fn wait_findings(&self, expected: &[(&str, &str, &str, u32)]) -> Result<()> {
        let series = |(namespace, rule, severity, count): &(&str, &str, &str, u32)| {
            let labels = format!("findings{{rule=\"{rule}\",severity=\"{severity}\",namespace=\"{namespace}\"}}");
            (labels, f64::from(*count))
        };
        let expected: BTreeMap<String, f64> = expected.iter().map(series).collect();
        wait_for("the findings", SOON, async || {
            let figures = self.figures().await?;
            ensure!(figures.contains_key("last_end_timestamp_seconds"), "no audit has ended: {figures:?}");
            let found: BTreeMap<_, _> = figures.into_iter().filter(|(name, _)| name.starts_with("findings")).collect();
            ensure!(found == expected, "found {found:?}, expected {expected:?}");
            Ok(())
        })
        .await
    }

    /// Waits for the end of the second audit from now: it began after this moment.
    async fn wait_audits(&self) -> Result<()> {
        for _ in 0..2 {
            let ended = async || Ok::<_, anyhow::Error>(self.figures().await?.remove("last_end_timestamp_seconds"));
            let before = ended().await?;
            wait_for("another audit", SOON, async || {
                let now = ended().await?;
                ensure!(now != before && now.is_some(), "not yet");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

/// The reports of a kind, by namespace.
async fn reports(client: &Client, kind: &str) -> Result<BTreeMap<String, DynamicObject>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("wgpolicyk8s.io", "v1alpha2", kind));
    let list = Api::<DynamicObject>::all_with(client.clone(), &resource).list(&Default::default()).await?;
    Ok(list.items.into_iter().map(|it| (it.metadata.namespace.clone().unwrap_or_default(), it)).collect())
}

fn version(report: &DynamicObject) -> Option<String> {
    report.metadata.resource_version.clone()
}

/// What the results of a report are about.
fn kinds(report: &DynamicObject) -> BTreeSet<String> {
    let results = report.data.get("results").and_then(Value::as_array).into_iter().flatten();
    let kind = |result: &Value| result.pointer("/resources/0/kind").and_then(Value::as_str).map(str::to_owned);
    results.filter_map(kind).collect()
}

/// How often a user listed this, and from where.
fn lists(plane: &ControlPlane, user: &str, resource: &str) -> Result<usize> {
    let all = writes_of(plane, user)?;
    let is = |object: Option<&str>| object == Some(resource);
    Ok(all
        .iter()
        .filter(|it| it.verb == "list" && is(it.object_ref.as_ref().and_then(|it| it.resource.as_deref())))
        .count())
}

#[test]
fn what_was_there_before_the_webhook_is_found_and_what_is_mended_vanishes() -> Outcome {
    run(async {
        let plane = plane().await?;
        let client = plane.client().await?;
        for namespace in ["shop", "bank", "kube-system", HOME] {
            sin(&plane, resources(false), namespace, "old").await?;
        }
        let leader = Controller::start(&plane, "one", &[]).await?;
        // No policy asks for anything: nothing is listed.
        leader.wait_findings(&[]).await?;
        ensure!(lists(&plane, "one", "configmaps")? == 0, "listed for no policy");

        let selector = json!({"matchLabels": {"team": "shop"}});
        apply(&plane, &policy("shop", "Enforce", &selector)).await?;
        let count = u32::try_from(resources(false).count())?;
        leader.wait_findings(&[("shop", "jwt-skew-zero", "error", count)]).await?;
        let objects = leader.figures().await?;
        for resource in resources(false) {
            let dot = if resource.group.is_empty() { "" } else { "." };
            let series = format!("objects{{resource=\"{}{dot}{}\"}}", resource.plural, resource.group);
            ensure!(objects.get(&series).is_some_and(|count| *count >= 1.0), "no {series} in {objects:?}");
        }

        // Another replica stands by and asks nothing.
        let follower = Controller::start(&plane, "two", &[]).await?;
        leader.wait_audits().await?;
        ensure!(lists(&plane, "two", "configmaps")? == 0 && lists(&plane, "one", "configmaps")? > 0);
        let idle = follower.figures().await?;
        ensure!(idle.keys().all(|name| name == "errors_total"), "a follower tells {idle:?}");
        for user in ["one", "two"] {
            ensure!(lists(&plane, user, "secrets")? == 0, "{user} read Secrets");
        }

        with_reports(&plane, &client, &leader).await?;
        products(&plane, &client, &leader).await?;
        restart(&plane, &client, leader, &follower).await?;
        mended(&plane, &client, &follower, count).await
    })
}

/// The CRD is installed while we run. Somebody else's report has our name, in a namespace that has findings too.
async fn with_reports(plane: &ControlPlane, client: &Client, leader: &Controller) -> Result<()> {
    sinners::install_reports(client).await?;
    let foreign = json!({
        "apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
        "metadata": {"name": "clockwarden", "namespace": "theirs", "labels": {"app.kubernetes.io/managed-by": "theirs"}},
        "results": [{"policy": "theirs", "result": "pass"}],
    });
    apply(plane, &foreign).await?;
    let untouched = reports(client, "PolicyReport").await?.remove("theirs").context("it was not made")?;
    sin(plane, resources(false).filter(|it| it.kind == "ConfigMap"), "theirs", "old").await?;

    let expected: BTreeSet<String> = resources(false).map(|resource| resource.kind.clone()).collect();
    let report = wait_for("the report of shop", SOON, async || {
        let mut all = reports(client, "PolicyReport").await?;
        ensure!(all.len() == 2, "reports of {:?}", all.keys());
        let report = all.remove("shop").context("no report")?;
        ensure!(kinds(&report) == expected, "{:?}", report.data);
        Ok(report)
    })
    .await?;
    let first = report.data.pointer("/results/0").context("no result")?;
    for (path, expected) in [
        ("/result", json!("fail")),
        ("/severity", json!("high")),
        ("/policy", json!("jwt-skew-zero")),
        ("/source", json!("clockwarden")),
        ("/properties/policies", json!("shop")),
        ("/resources/0/name", json!("old")),
        ("/resources/0/namespace", json!("shop")),
    ] {
        ensure!(first.pointer(path) == Some(&expected), "{path} is not {expected} in {first}");
    }
    let message = first.get("message").and_then(Value::as_str).unwrap_or_default();
    ensure!(message.contains("no tolerance for clock skew") && message.contains("Fix: write `"), "{message}");
    let summary = report.data.get("summary").context("no summary")?;
    ensure!(*summary == json!({"pass": 0, "fail": expected.len(), "warn": 0, "error": 0, "skip": 0}), "{summary}");

    // What says the same is not written again.
    leader.wait_audits().await?;
    let mut now = reports(client, "PolicyReport").await?;
    ensure!(now.get("shop").and_then(version) == version(&report), "written without a change");
    ensure!(now.remove("theirs").context("it is gone")?.data == untouched.data, "somebody else's was touched");
    ensure!(writes_of(plane, "one")?.iter().filter(|it| is_report(it)).count() == 1, "{:#?}", writes_of(plane, "one")?);
    Ok(())
}

fn is_report(request: &crate::support::requests::AuditedWrite) -> bool {
    let resource = request.object_ref.as_ref().and_then(|object| object.resource.as_deref());
    request.verb != "list" && resource.is_some_and(|resource| resource.ends_with("policyreports"))
}

/// The CRDs of products are installed while we run, one of them for objects of no namespace.
async fn products(plane: &ControlPlane, client: &Client, leader: &Controller) -> Result<()> {
    sinners::install_products(client).await?;
    sin(plane, resources(true), "shop", "old").await?;
    // Only a policy that selects all namespaces is about objects of none.
    apply(plane, &policy("all", "Warn", &json!({}))).await?;
    let of_cluster: BTreeSet<String> =
        resources(true).filter(|it| it.scope.as_str() == "Cluster").map(|it| it.kind.clone()).collect();
    wait_for("the report of the cluster", SOON, async || {
        let mut all = reports(client, "ClusterPolicyReport").await?;
        let report = all.remove("").context("no report")?;
        ensure!(kinds(&report) == of_cluster, "{:?}", report.data);
        let warned = report.data.pointer("/summary/warn").and_then(Value::as_u64);
        ensure!(warned == Some(u64::try_from(of_cluster.len())?), "nobody enforces there: {:?}", report.data);
        Ok(())
    })
    .await?;
    let expected: BTreeSet<String> = resources(true)
        .filter(|it| it.scope.as_str() == "Namespaced")
        .chain(resources(false))
        .map(|it| it.kind.clone())
        .collect();
    wait_for("every kind of the catalogue in the report of shop", SOON, async || {
        let report = reports(client, "PolicyReport").await?.remove("shop").context("no report")?;
        let missing: Vec<_> = expected.difference(&kinds(&report)).cloned().collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        Ok(())
    })
    .await?;
    // The bank's are found now, too, and those of the two that are left alone are not.
    let namespaces: BTreeSet<String> = reports(client, "PolicyReport").await?.into_keys().collect();
    ensure!(namespaces == ["bank", "shop", "theirs"].map(str::to_owned).into(), "{namespaces:?}");
    let figures = leader.figures().await?;
    for spared in ["kube-system", HOME] {
        ensure!(!figures.keys().any(|name| name.contains(spared)), "{figures:?}");
    }
    Ok(())
}

/// The leader dies; the other takes over, knows our reports, and writes none anew.
async fn restart(plane: &ControlPlane, client: &Client, mut leader: Controller, follower: &Controller) -> Result<()> {
    leader.wait_audits().await?;
    let before = reports(client, "PolicyReport").await?;
    leader.process.kill()?;
    follower.wait_audits().await?;
    let after = reports(client, "PolicyReport").await?;
    let versions = |all: &BTreeMap<String, DynamicObject>| all.values().map(version).collect::<Vec<_>>();
    ensure!(versions(&before) == versions(&after), "written anew after a restart");
    ensure!(writes_of(plane, "two")?.iter().all(|it| !is_report(it)), "the new leader wrote a report");
    Ok(())
}

/// Mended or deleted, a finding goes, and a report with the last one.
async fn mended(plane: &ControlPlane, client: &Client, leader: &Controller, count: u32) -> Result<()> {
    let mended = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "namespace": "bank"},
        "data": {"application.properties": "jwt.leeway.seconds=30\n"}});
    apply(plane, &mended).await?;
    let of_bank = async || {
        let report = reports(client, "PolicyReport").await?.remove("bank");
        anyhow::Ok(report.map(|report| kinds(&report)).unwrap_or_default())
    };
    wait_for("the mended ConfigMap to vanish", SOON, async || {
        let kinds = of_bank().await?;
        ensure!(!kinds.contains("ConfigMap") && kinds.len() == usize::try_from(count)? - 1, "{kinds:?}");
        Ok(())
    })
    .await?;
    let deleted = plane.kubectl(&["delete", "timesyncpolicies", "all", "--wait=false"]).await?;
    ensure!(deleted.success, "{deleted:?}");
    wait_for("the reports of bank and of the cluster to go", SOON, async || {
        let (all, cluster) = (reports(client, "PolicyReport").await?, reports(client, "ClusterPolicyReport").await?);
        ensure!(!all.contains_key("bank") && cluster.is_empty() && all.contains_key("theirs"), "{:?}", all.keys());
        Ok(())
    })
    .await?;
    let off = policy("shop", "Off", &json!({}));
    apply(plane, &off).await?;
    leader.wait_findings(&[]).await?;
    wait_for("the last report of ours to go", SOON, async || {
        let all = reports(client, "PolicyReport").await?;
        ensure!(all.keys().eq(["theirs"]), "{:?}", all.keys());
        Ok(())
    })
    .await
}

/// What a policy says of what is there is told soon after it was made, changed or deleted, however long the period is.
#[test]
fn a_changed_policy_is_audited_by_long_before_its_time() -> Outcome {
    run(async {
        let plane = plane().await?;
        sin(&plane, resources(false), "shop", "old").await?;
        // The first audit comes after a tenth of five minutes, more or less.
        let leader = Controller::start_every("10m", &plane, "one", &[]).await?;
        leader.wait_findings(&[]).await?;
        let count = u32::try_from(resources(false).count())?;
        let all = json!({});
        apply(&plane, &policy("all", "Enforce", &all)).await?;
        leader.wait_findings(&[("shop", "jwt-skew-zero", "error", count)]).await?;
        apply(&plane, &policy("all", "Off", &all)).await?;
        leader.wait_findings(&[]).await?;
        let ended = leader.figures().await?.remove("last_end_timestamp_seconds");
        // What the controller writes into a policy's status is no change.
        tokio::time::sleep(Duration::from_secs(15)).await;
        ensure!(leader.figures().await?.remove("last_end_timestamp_seconds") == ended, "audited for nothing");
        Ok(())
    })
}

/// A list whose pages are too large for us is read in smaller ones, and one of many pages to its end; memory stays bounded.
#[test]
fn lists_are_read_in_bounded_parts() -> Outcome {
    run(async {
        let plane = plane().await?;
        let client = plane.client().await?;
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client.clone(), "shop");
        let make = |name: String, filling: usize| {
            let maps = maps.clone();
            async move {
                let object = serde_json::from_value(json!({"metadata": {"name": name}, "data": {
                    "filling": "x".repeat(filling), "application.properties": "jwt.leeway.seconds=0\n"}}))?;
                maps.create(&Default::default(), &object).await?;
                anyhow::Ok(())
            }
        };
        // 36 MB that do not fit into one answer, and more objects than a page has.
        for number in 0..40 {
            make(format!("large-{number:02}"), 900_000).await?;
        }
        for batch in 0..40 {
            let small = (0..10).map(|number| make(format!("small-{batch:02}-{number}"), 100));
            futures::future::try_join_all(small).await?;
        }
        apply(&plane, &policy("shop", "Enforce", &json!({"matchLabels": {"team": "shop"}}))).await?;
        let controller = Controller::start(&plane, "one", &["--no-leader-election"]).await?;
        controller.wait_findings(&[("shop", "jwt-skew-zero", "error", 440)]).await?;
        let peak = peak_mib(controller.process.pid())?;
        println!("peak memory: {peak} MiB");
        ensure!(peak < 150, "{peak} MiB at most");
        let figures = controller.figures().await?;
        let took = figures.get("last_duration_seconds").context("no duration")?;
        // 200 objects in a second.
        ensure!(*took >= 2.0, "440 objects in {took} s: that is no gentle pace");

        // Who cannot ask knows nothing new, and says so.
        plane.stop_component(Component::ApiServer)?;
        wait_for("an audit to fail", SOON, async || {
            let errors = controller.figures().await?.get("errors_total").copied();
            ensure!(errors.is_some_and(|errors| errors >= 4.0), "{errors:?}");
            Ok(())
        })
        .await?;
        controller.wait_findings(&[("shop", "jwt-skew-zero", "error", 440)]).await
    })
}

/// The most memory that a process ever had.
fn peak_mib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
