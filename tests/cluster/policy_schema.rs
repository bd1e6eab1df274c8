//! What the API server itself makes of a `TimeSyncPolicy`: a table of specs, good and bad.
//!
//! Every refusal names the field. What is accepted is readable by `api::convert` and means the same before and after
//! the server has put its defaults in; what is refused is refused by `convert` too, with the same field, since lint
//! reads files that no API server has seen. Where only one of the two refuses, the table says why.

mod table;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clockwarden::api::{NodeClock, TimeSyncPolicy, convert};
use hyper::{Method, Request};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::table::{Case, Expected};
use crate::support::{ControlPlane, Options, Outcome, run, wait_for};

/// A plane of its own: policies are cluster-wide, and controllers of other tests would act on them.
async fn plane() -> Result<Arc<ControlPlane>> {
    static PLANE: OnceCell<Arc<ControlPlane>> = OnceCell::const_new();
    let start = async || {
        let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
        let plane = Arc::new(ControlPlane::start(options).await?);
        let applied = plane.kubectl(&["apply", "-f", "crds"]).await?;
        ensure!(applied.success, "{applied:?}");
        let waited = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", "crds"]).await?;
        ensure!(waited.success, "{waited:?}");
        Ok(plane)
    };
    PLANE.get_or_try_init(start).await.cloned()
}

#[test]
fn every_spec_of_the_table_is_taken_or_refused_as_it_says() -> Outcome {
    run(async {
        let client = plane().await?.client().await?;
        let mut wrong = Vec::new();
        for case in table::cases() {
            for way in [Way::Create, Way::Apply] {
                let answer = way.send(&client, &case.spec).await?;
                if let Err(error) = check(&case, answer) {
                    wrong.push(format!("{way:?} of {}: {error:#}", case.spec));
                }
            }
        }
        ensure!(wrong.is_empty(), "{} are not as the table says:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    })
}

/// How an object gets to the API server; nothing is stored.
#[derive(Debug, Clone, Copy)]
enum Way {
    Create,
    Apply,
}

impl Way {
    /// The object as it would be stored, or the message of the refusal.
    async fn send(self, client: &Client, spec: &Value) -> Result<std::result::Result<Value, String>> {
        let object = object("tried", spec);
        let (method, path, kind) = match self {
            Way::Create => (Method::POST, "timesyncpolicies?dryRun=All", "application/json"),
            Way::Apply => {
                let path = "timesyncpolicies/tried?dryRun=All&fieldManager=test";
                (Method::PATCH, path, "application/apply-patch+yaml")
            }
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("/apis/clockwarden.io/v1alpha1/{path}&fieldValidation=Strict"))
            .header("content-type", kind)
            .body(serde_json::to_vec(&object)?)?;
        match client.request(request).await {
            Ok(stored) => Ok(Ok(stored)),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422 | 500) => Ok(Err(status.message)),
            Err(error) => Err(error).with_context(|| format!("no usable answer to {spec}")),
        }
    }
}

fn object(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

fn check(case: &Case, answer: std::result::Result<Value, String>) -> Result<()> {
    let raw = serde_json::from_value::<TimeSyncPolicy>(object("tried", &case.spec));
    match (&case.expected, answer) {
        (Expected::Taken, Ok(stored)) => {
            let stored: TimeSyncPolicy = serde_json::from_value(stored).context("what was stored has no type")?;
            let raw = raw.context("it is taken, but a file with it could not be read")?;
            ensure!(
                raw.spec == stored.spec,
                "the server's defaults differ from ours:\n{:?}\n{:?}",
                raw.spec,
                stored.spec
            );
            convert::policy(&stored).map(drop).context("it is taken, but convert refuses it")
        }
        (Expected::Refused { field, says, only_here }, Err(message)) => {
            ensure!(message.contains(field), "the refusal does not name {field}: {message}");
            ensure!(message.contains(says), "the refusal does not say {says:?}: {message}");
            let converted = match raw {
                Ok(raw) => convert::policy(&raw).map(drop),
                // No value of our types: nothing reads it at all.
                Err(_) => return Ok(()),
            };
            match (converted, only_here) {
                (Err(error), None) => {
                    let plain: String =
                        field.split('[').map(|part| part.split(']').next_back().unwrap_or("")).collect();
                    let is_named = error.field == *field || error.field == plain;
                    ensure!(is_named, "the schema names {field}, convert {}", error.field);
                    Ok(())
                }
                (Ok(()), Some(_)) => Ok(()),
                (Ok(()), None) => bail!("the schema refuses it, convert does not: {message}"),
                (Err(error), Some(why)) => bail!("convert refuses it too ({error}), so {why:?} is out of date"),
            }
        }
        (Expected::Taken, Err(message)) => bail!("refused: {message}"),
        (Expected::Refused { field, .. }, Ok(_)) => bail!("taken, and should be refused for {field}"),
    }
}

#[test]
fn an_empty_spec_shows_all_that_holds() -> Outcome {
    run(async {
        let plane = plane().await?;
        let manifest = object("empty", &json!({})).to_string();
        let applied = plane.kubectl_fed(&["apply", "-f", "-"], &manifest).await?;
        ensure!(applied.success, "{applied:?}");
        let got = plane.kubectl(&["get", "tsp", "empty", "-o", "json"]).await?;
        ensure!(got.success, "{got:?}");
        let got: Value = serde_json::from_str(&got.stdout)?;
        assert_eq!(
            got.get("spec"),
            Some(&json!({
                "suspend": false,
                "nodeSelector": {},
                "source": {"agent": {"port": 9555}},
                "interval": "10s",
                "tolerance": {"maxOffset": "500ms", "maxError": "2s", "maxUnsynchronized": "5m", "staleAfter": "60s"},
                "action": {
                    "type": "Taint",
                    "taint": {"key": "clockwarden.io/clock-drift", "effect": "NoSchedule"},
                    "sustainedFor": "30s",
                    "recoveredFor": "2m",
                    "onUnknown": "Ignore",
                    "limit": {"maxNodes": "10%", "atLeast": 1},
                },
                "admission": {"mode": "Enforce", "minSkew": "1s", "maxSkew": "5m", "rules": {}, "namespaceSelector": {}},
            }))
        );
        Ok(())
    })
}

/// A null is dropped before anything is looked at, and leaves a default or an absence: never a value of its own.
#[test]
fn a_null_is_as_good_as_nothing() -> Outcome {
    run(async {
        let client = plane().await?.client().await?;
        for (spec, path, expected) in [
            (json!({"interval": null}), "/spec/interval", json!("10s")),
            (json!({"suspend": null}), "/spec/suspend", json!(false)),
            (json!({"action": {"limit": {"maxNodes": null}}}), "/spec/action/limit/maxNodes", json!("10%")),
            (json!({"action": {"taint": null}}), "/spec/action/taint/effect", json!("NoSchedule")),
            (json!({"source": {"agent": null, "lease": {}}}), "/spec/source", json!({"lease": {"maxDelay": "250ms"}})),
        ] {
            let stored = Way::Create.send(&client, &spec).await?;
            let stored = stored.map_err(|message| anyhow!("{spec} is refused: {message}"))?;
            assert_eq!(stored.pointer(path), Some(&expected), "{path} of {spec}");
            convert::policy(&serde_json::from_value(stored)?)?;
        }
        let refusal = Way::Create.send(&client, &json!({"source": {"agent": null}})).await?;
        ensure!(refusal.as_ref().is_err_and(|message| message.contains("exactly one")), "{refusal:?}");
        Ok(())
    })
}

/// The default source is stored, and a merge leaves it there: whoever changes over must get out of that.
#[test]
fn the_source_can_be_changed_over_and_the_refusal_says_how() -> Outcome {
    run(async {
        let plane = plane().await?;
        let apply = async |args: &[&str], name: &str, spec: Value| {
            let args = [&["apply", "-f", "-"], args].concat();
            plane.kubectl_fed(&args, &object(name, &spec).to_string()).await
        };
        let source = async |name: &str| -> Result<Value> {
            let got = plane.kubectl(&["get", "tsp", name, "-o", "jsonpath={.spec.source}"]).await?;
            Ok(serde_json::from_str(&got.stdout)?)
        };
        for (args, name) in [(&["--server-side"] as &[&str], "over-ssa"), (&[], "over-merge")] {
            let made = apply(args, name, json!({})).await?;
            ensure!(made.success, "{made:?}");
        }
        let over = apply(&["--server-side"], "over-ssa", json!({"source": {"lease": {}}})).await?;
        ensure!(over.success, "{over:?}");
        assert_eq!(source("over-ssa").await?, json!({"lease": {"maxDelay": "250ms"}}));

        let refused = apply(&[], "over-merge", json!({"source": {"lease": {}}})).await?;
        ensure!(!refused.success && refused.stderr.contains("agent: null"), "{refused:?}");
        let over = apply(&[], "over-merge", json!({"source": {"agent": null, "lease": {}}})).await?;
        ensure!(over.success, "{over:?}");
        assert_eq!(source("over-merge").await?, json!({"lease": {"maxDelay": "250ms"}}));
        Ok(())
    })
}

#[test]
fn kubectl_get_shows_the_columns_of_both_kinds() -> Outcome {
    run(async {
        let plane = plane().await?;
        let client = plane.client().await?;
        let policies: Api<TimeSyncPolicy> = Api::all(client.clone());
        let status = json!({
            "observedGeneration": 1,
            "conditions": [condition("Ready", "True", "Measuring"), condition("Degraded", "True", "ActionLimited")],
            "nodes": {"matched": 40, "synchronized": 35, "drifting": 3, "unknown": 2, "acted": 1, "wouldAct": 6, "exempt": 1},
            "worst": [{"node": "n7", "state": "Drifting", "offset": "+15.000 s ± 1.2 ms", "decision": "Acted"}],
        });
        store_status(&policies, object("columns", &json!({"suspend": true})), &status).await?;
        check_table(
            &plane,
            "tsp",
            "columns",
            &[
                ("NAME", "columns"),
                ("NODES", "40"),
                ("DRIFTING", "3"),
                ("UNKNOWN", "2"),
                ("ACTED", "1"),
                ("WOULD-ACT", "6"),
                ("SUSPENDED", "true"),
                ("WORST", "+15.000 s ± 1.2 ms"),
                ("READY", "True"),
                ("REASON", "ActionLimited"),
            ],
        )
        .await?;

        let clocks: Api<NodeClock> = Api::all(client);
        let clock = json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "NodeClock", "metadata": {"name": "n7"}, "spec": {},
        });
        let status = json!({
            "state": "Drifting", "reason": "BeyondTolerance", "message": "15 s ahead", "offset": "+15.000 s ± 1.2 ms",
            "reference": "consensus", "since": "2026-01-02T03:04:05.678901Z",
            "decisions": [{"policy": "columns", "decision": "Acted"}],
        });
        store_status(&clocks, clock, &status).await?;
        check_table(
            &plane,
            "nclk",
            "n7",
            &[
                ("NAME", "n7"),
                ("STATE", "Drifting"),
                ("OFFSET", "+15.000 s ± 1.2 ms"),
                ("REFERENCE", "consensus"),
                ("DECISION", "Acted"),
                ("REASON", "BeyondTolerance"),
            ],
        )
        .await
    })
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": "m", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    })
}

async fn store_status<K>(api: &Api<K>, object: Value, status: &Value) -> Result<()>
where
    K: kube::Resource + serde::de::DeserializeOwned + serde::Serialize + Clone + std::fmt::Debug,
{
    let made: K = api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    let mut with_status = serde_json::to_value(&made)?;
    with_status.as_object_mut().context("no object")?.insert("status".to_owned(), status.clone());
    api.replace_status(&made.name_any(), &PostParams::default(), &serde_json::from_value(with_status)?).await?;
    Ok(())
}

/// Columns are where the header has them; a value may hold blanks.
async fn check_table(plane: &ControlPlane, kind: &str, name: &str, expected: &[(&str, &str)]) -> Result<()> {
    // The server learns of a CRD's short names a moment after it is established.
    let got = wait_for("kubectl get", Duration::from_secs(10), async || {
        let got = plane.kubectl(&["get", kind, name, "-o", "wide"]).await?;
        ensure!(got.success, "{got:?}");
        Ok(got.stdout)
    })
    .await?;
    let mut lines = got.lines();
    let (header, row) = (lines.next().context("no header")?, lines.next().context("no row")?);
    let row: Vec<char> = row.chars().collect();
    for (column, value) in expected {
        let start = header.find(column).with_context(|| format!("no column {column} in {header:?}"))?;
        let cell: String = row.get(start..).unwrap_or_default().iter().collect();
        let cell = cell.split("   ").next().unwrap_or_default().trim_end();
        assert_eq!(cell, *value, "{column} in\n{got}");
    }
    ensure!(!got.contains("<invalid>") && !got.contains("<unknown>"), "an age cannot be read:\n{got}");
    Ok(())
}
