//! Certificates change while the API server asks two hundred times a second, and no review fails: files of a mounted
//! Secret, and the Secret that the webhook keeps by itself.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::inspect::Bounds;
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::runtime::CancellationToken;
use clockwarden::webhook::managed::Managed;
use clockwarden::webhook::metrics::Metrics;
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::{Budget, Webhook as Judge, serving};
use clockwarden::webhook::server;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, PostParams};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{CONFIGURATION, HOME, SOON, Webhook, apply, configuration, data, free_port, plane, policy, prepare};
use crate::support::wait::mono_now;
use crate::support::{Clockwarden, ControlPlane, Outcome, run, scratch, wait_for};

/// Between two reviews.
const PACE: Duration = Duration::from_millis(5);

/// Requests under way. On a machine that is too slow for the pace the load is what it can bear, and not a queue.
const UNDER_WAY: usize = 32;

/// Dry runs of a ConfigMap that has to be looked into, at the pace, until told to stop; how many, and what failed.
async fn load(plane: &ControlPlane, until: CancellationToken) -> Result<(usize, Vec<String>)> {
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().await?, "shop");
    let (mut sent, mut failed, mut count) = (JoinSet::<Result<()>>::new(), Vec::new(), 0);
    let mut pace = tokio::time::interval(PACE);
    while until.run_until_cancelled(pace.tick()).await.is_some() {
        count += 1;
        while sent.len() >= UNDER_WAY {
            if let Some(ended) = sent.join_next().await {
                failed.extend(ended?.err().map(|error| format!("{error:#}")));
            }
        }
        let maps = maps.clone();
        sent.spawn(async move {
            let object: ConfigMap = serde_json::from_value(json!({
                "metadata": {"name": format!("load-{count}")}, "data": {"a.properties": "jwt.leeway.seconds=30\n"},
            }))?;
            maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await?;
            anyhow::Ok(())
        });
        while let Some(ended) = sent.try_join_next() {
            failed.extend(ended?.err().map(|error| format!("{error:#}")));
        }
    }
    while let Some(ended) = sent.join_next().await {
        failed.extend(ended?.err().map(|error| format!("{error:#}")));
    }
    Ok((count, failed))
}

/// Runs `change` under load; none may fail.
async fn under_load(plane: &ControlPlane, what: &str, change: impl Future<Output = Result<()>>) -> Result<usize> {
    let enough = CancellationToken::new();
    let began = mono_now();
    let changing = async {
        let changed = change.await;
        enough.cancel();
        changed
    };
    let (loaded, changed) = tokio::join!(load(plane, enough.clone()), changing);
    changed?;
    let (count, failed) = loaded?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{what}: {count} reviews in {seconds:.1} s, {:.0} a second, {} failed",
        count as f64 / seconds,
        failed.len()
    );
    ensure!(failed.is_empty(), "{what}: {} of {count} failed: {:?}", failed.len(), failed.first());
    Ok(count)
}

/// As the kubelet lays a mounted Secret out: a change swaps one symbolic link.
fn mount(folder: &Path, version: usize, certificate: &Path, key: &Path) -> Result<()> {
    let inner = format!("..v{version}");
    std::fs::create_dir(folder.join(&inner))?;
    std::fs::copy(certificate, folder.join(&inner).join("tls.crt"))?;
    std::fs::copy(key, folder.join(&inner).join("tls.key"))?;
    symlink(&inner, folder.join("..data_tmp"))?;
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
    for name in ["tls.crt", "tls.key"] {
        if !folder.join(name).exists() {
            symlink(format!("..data/{name}"), folder.join(name))?;
        }
    }
    Ok(())
}

/// Asked with this bundle. Every other bundle is another client for the API server, which opens new connections.
async fn trusting(plane: &ControlPlane, port: u16, bundle: Vec<u8>) -> Result<()> {
    let mut made = configuration(port)?;
    let client = made.pointer_mut("/webhooks/0/clientConfig").and_then(Value::as_object_mut).context("no client")?;
    client.insert("caBundle".to_owned(), serde_json::to_value(ByteString(bundle))?);
    apply(plane, &made.to_string()).await.map(drop)
}

#[test]
fn files_of_a_mounted_secret_change_under_load() -> Outcome {
    run(async {
        const CHANGES: usize = 5;
        let plane = plane(false).await?;
        prepare(&plane).await?;
        let folder = scratch::directory("mounted")?;
        let issue = |version: usize| plane.authority().server(&format!("hook-{version}"), &["127.0.0.1"]);
        let first = issue(0)?;
        mount(&folder, 0, &first.certificate, &first.key)?;
        let (port, metrics) = (free_port()?, free_port()?);
        let path = |name: &str| folder.join(name).display().to_string();
        let args = [
            "webhook".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--metrics-listen=127.0.0.1:{metrics}"),
            format!("--tls-cert={}", path("tls.crt")),
            format!("--tls-key={}", path("tls.key")),
        ];
        let kubeconfig = plane.kubeconfig_for("webhook", &[])?;
        let mut process = Clockwarden::start("webhook-files", args, |command| {
            command.env("KUBECONFIG", kubeconfig);
        })?;
        process.wait_http(&format!("http://127.0.0.1:{metrics}/readyz"), SOON).await?;
        let webhook = Webhook { process, metrics };
        let authority = std::fs::read(plane.ca())?;
        trusting(&plane, port, authority.clone()).await?;
        apply(&plane, &policy("Enforce")).await?;

        let loaded = "clockwarden_webhook_certificate_reloads_total{result=\"loaded\"}";
        let before = webhook.asked().await?;
        let count = under_load(&plane, "files", async {
            for version in 1..=CHANGES {
                let next = issue(version)?;
                mount(&folder, version, &next.certificate, &next.key)?;
                wait_for("the new files", SOON, async || {
                    let seen = webhook.metric(loaded).await?;
                    ensure!(seen >= 1.0 + version as f64, "{seen} were loaded");
                    Ok(())
                })
                .await?;
                let bundle = [authority.clone(), vec![b'\n'; version]].concat();
                trusting(&plane, port, bundle).await?;
            }
            Ok(())
        })
        .await?;
        // Each was asked about; nothing passed because nobody answered.
        ensure!(webhook.asked().await? - before >= count as f64, "{count} dry runs, {}", webhook.asked().await?);
        assert_eq!(webhook.metric("clockwarden_webhook_certificate_reloads_total{result=\"failed\"}").await?, 0.0);
        Ok(())
    })
}

#[test]
fn the_webhooks_own_secret_is_made_anew_under_load() -> Outcome {
    run(async {
        let plane = plane(false).await?;
        let client = plane.client().await?;
        prepare(&plane).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        apply(&plane, &configuration(port)?.to_string()).await?;

        let metrics = Metrics::new(&mut Registry::default());
        let managed = Managed::new(client.clone(), (HOME.into(), "webhook-tls".into()), CONFIGURATION.into());
        let followed = managed.open(&metrics).await?;
        let certificate = followed.certificate();
        let admission = Admission {
            mode: Mode::Enforce,
            bounds: Bounds::default(),
            namespaces: Selector::default(),
            settings: Vec::new(),
        };
        let judge =
            Judge::new(Policies::fixed([("production".to_owned(), admission)]), metrics.clone(), Budget::default());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, Arc::clone(&certificate), serving(judge), stop.clone()));
        tokio::spawn(followed.follow(Duration::from_millis(200), metrics, stop.clone()));
        wait_for("the API server to call", SOON, async || {
            apply(&plane, &super::config_map("shop", "fine", "30")).await
        })
        .await?;

        let secrets: Api<Secret> = Api::namespaced(client.clone(), HOME);
        under_load(&plane, "own Secret", async {
            // Deleted, which is how people ask for a new one; and spoilt.
            for is_deleted in [true, false] {
                let (leaf, stored) = (certificate.leaf(), data(&secrets, "tls.crt").await?);
                if is_deleted {
                    secrets.delete("webhook-tls", &DeleteParams::default()).await?;
                } else {
                    let mut found = secrets.get("webhook-tls").await?;
                    found.data.get_or_insert_default().insert("tls.key".to_owned(), ByteString(b"spoilt".to_vec()));
                    secrets.replace("webhook-tls", &PostParams::default(), &found).await?;
                }
                wait_for("the next certificate to be served", SOON, async || {
                    ensure!(certificate.leaf() != leaf, "the old one is served");
                    ensure!(data(&secrets, "tls.crt").await? != stored, "the Secret has the old one");
                    Ok(())
                })
                .await?;
            }
            Ok(())
        })
        .await?;
        stop.cancel();
        Ok(())
    })
}
