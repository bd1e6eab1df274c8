//! `source: prometheus`, against Debian's, which scrapes Debian's node_exporter.

use std::net::Ipv4Addr;

use anyhow::{Context, ensure};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::proxy::{Manner, Proxy};
use super::{PORT, is_right};
use crate::controller::lab::{KEY, Lab, address, free_port};
use crate::support::{Chronyd, Faketime, NodeExporter, Outcome, Prometheus, run};

const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 4, 100);

fn source(url: &str) -> Value {
    json!({"agent": null, "prometheus": {"url": url}})
}

/// A job that scrapes the exporters of these nodes.
fn job(name: &str, numbers: &[u8]) -> Value {
    let targets: Vec<String> = numbers.iter().map(|number| format!("{}:{PORT}", address(*number))).collect();
    json!({"job_name": name, "static_configs": [{"targets": targets}]})
}

/// Two real exporters, scraped by a real Prometheus; the controller's own clock is 20 s ahead, and a right reference
/// tells.
#[test]
fn two_nodes_scraped_by_prometheus_are_synchronized_whatever_our_own_clock_says() -> Outcome {
    run(async {
        let mut lab = Lab::begin("scraped").await?;
        lab.nodes(2).await?;
        let mut exporters = Vec::new();
        for number in [1, 2] {
            exporters.push(NodeExporter::start(address(number), PORT, &[]).await?);
        }
        let prometheus = Prometheus::start(SERVER, "/prometheus", &json!([job("node", &[1, 2])])).await?;
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 3, 12)).await?;
        let clock = Faketime::new(SignedDuration::from_secs(20))?;
        let controller = lab.controller_with("controller-scraped", &clock).await?;
        let references = json!([format!("ntp://{}", reference.ntp())]);
        let tolerance = json!({"staleAfter": "60s"});
        let spec = json!({"source": source(prometheus.url()), "references": references, "tolerance": tolerance});
        lab.policy("scraped", spec).await?;
        for node in ["scraped-1", "scraped-2"] {
            let status = lab.wait_state(node, "Synchronized").await?.status.context("no status")?;
            is_right(&status, 0.0, 0.25)?;
        }
        drop(controller);
        lab.end().await
    })
}

#[test]
fn of_three_nodes_the_drifting_one_is_tainted_and_one_that_is_not_scraped_any_more_is_unknown() -> Outcome {
    run(async {
        let mut lab = Lab::begin("prom").await?;
        lab.nodes(4).await?;
        let first = NodeExporter::start(address(1), PORT, &[]).await?;
        let _second = NodeExporter::start(address(2), PORT, &[]).await?;
        let _fourth = NodeExporter::start(address(4), PORT, &[]).await?;
        let third = Proxy::start(3, address(3), Manner::Ahead(15)).await?;
        let prometheus = Prometheus::start(SERVER, "", &json!([job("node", &[1, 2, 3, 4])])).await?;
        let (controller, _) = lab.controller("controller-prom", &[]).await?;
        lab.policy("prom", json!({"source": source(prometheus.url())})).await?;
        lab.wait_tainted(KEY, &[3]).await?;
        let status = lab.wait_state("prom-3", "Drifting").await?.status.context("no status")?;
        is_right(&status, 15.0, 0.5)?;
        third.become_(Manner::Ahead(0));
        lab.wait_tainted(KEY, &[]).await?;
        // Prometheus would look back for five minutes.
        drop(first);
        let status = lab.wait_says("prom-1", "up is 0 for").await?;
        ensure!(status.state == "Unknown" && status.message.contains("instance=\"127.0.1.1:19100\""), "{status:?}");
        // Prometheus itself goes away.
        drop(prometheus);
        lab.wait_says("prom-2", "cannot be reached").await?;
        drop((controller, third));
        lab.end().await
    })
}

#[test]
fn labels_that_name_no_node_are_told_and_can_be_put_right() -> Outcome {
    run(async {
        let mut lab = Lab::begin("wrong").await?;
        lab.nodes(4).await?;
        let mut exporters = Vec::new();
        for number in 1..=4 {
            exporters.push(NodeExporter::start(address(number), PORT, &[]).await?);
        }
        let mut prometheus = Prometheus::start(SERVER, "/base", &json!([])).await?;
        let (controller, _) = lab.controller("controller-wrong", &[]).await?;
        lab.policy("wrong", json!({"source": source(prometheus.url())})).await?;
        lab.wait_told("wrong", "has scraped nothing at all").await?;
        lab.wait_degraded("wrong", "SourceUnavailable").await?;

        let own = prometheus.url().trim_start_matches("http://").trim_end_matches("/base").to_owned();
        let itself =
            json!({"job_name": "itself", "metrics_path": "/base/metrics", "static_configs": [{"targets": [own]}]});
        prometheus.change(&json!([itself]))?;
        lab.wait_told("wrong", "its jobs are itself; one must scrape node_exporter").await?;

        // Labels that name no node, until the policy says which label does.
        let renamed = |label: &str| {
            let mut job = job("node", &[1, 2, 3, 4]);
            job["relabel_configs"] = json!([
                {"source_labels": ["__address__"], "regex": "127.0.1.(.*):.*", "target_label": label, "replacement": "wrong-$1"},
                {"source_labels": ["__address__"], "regex": "127.0.1.(.*):.*", "target_label": "instance", "replacement": "machine-$1"},
            ]);
            job
        };
        prometheus.change(&json!([renamed("machine")]))?;
        lab.wait_told("wrong", "instance=\"machine-").await?;
        lab.wait_told("wrong", "series of node_time_seconds is of node wrong-1").await?;
        let labelled = json!({"source": {"prometheus": {"url": prometheus.url(), "nodeLabel": "machine"}}});
        lab.change_policy("wrong", labelled).await?;
        lab.wait_state("wrong-1", "Synchronized").await?;
        lab.change_policy("wrong", json!({"source": {"prometheus": {"nodeLabel": null}}})).await?;
        lab.wait_told("wrong", "nodeLabel").await?;
        prometheus.change(&json!([renamed("node")]))?;
        lab.wait_state("wrong-1", "Synchronized").await?;
        drop((controller, prometheus, exporters));
        lab.end().await
    })
}

/// Scraped less often than the policy wants to hear; so rarely that a node does not flap meanwhile between a fresh scrape
/// and a stale one, after which its record would be written once a minute only. Then scraped twice.
#[test]
fn what_is_scraped_too_rarely_or_twice_is_told_and_can_be_put_right() -> Outcome {
    run(async {
        let mut lab = Lab::begin("rare").await?;
        lab.nodes(4).await?;
        let mut exporters = Vec::new();
        for number in 1..=4 {
            exporters.push(NodeExporter::start(address(number), PORT, &[]).await?);
        }
        let mut rarely = job("node", &[1, 2, 3, 4]);
        rarely["scrape_interval"] = json!("20s");
        let mut prometheus = Prometheus::start(SERVER, "", &json!([rarely])).await?;
        let (controller, _) = lab.controller("controller-rare", &[]).await?;
        let impatient = json!({"source": source(prometheus.url()), "tolerance": {"staleAfter": "1s"}});
        lab.policy("rare", impatient).await?;
        lab.wait_told("rare", "old already").await?;
        lab.change_policy("rare", json!({"tolerance": {"staleAfter": "60s"}})).await?;
        lab.wait_state("rare-1", "Synchronized").await?;

        prometheus.change(&json!([job("node", &[1, 2, 3, 4]), job("again", &[1])]))?;
        lab.change_policy("rare", json!({"tolerance": {"staleAfter": "4s"}})).await?;
        lab.wait_told("rare", "has 2 series of node_time_seconds").await?;
        lab.wait_state("rare-2", "Synchronized").await?;
        drop((controller, prometheus, exporters));
        lab.end().await
    })
}

#[test]
fn what_is_no_prometheus_is_told_as_what_it_is() -> Outcome {
    run(async {
        let mut lab = Lab::begin("noprom").await?;
        lab.nodes(1).await?;
        let exporter = NodeExporter::start(address(1), PORT, &[]).await?;
        let prometheus = Prometheus::start(SERVER, "/base", &json!([job("node", &[1])])).await?;
        let locked = Proxy::start(2, address(2), Manner::Locked).await?;
        let page = Proxy::start(3, address(3), Manner::Garbage).await?;
        let silent = Proxy::start(4, address(4), Manner::Silent).await?;
        let huge = Proxy::start(5, address(5), Manner::Huge).await?;
        let (mut controller, _) = lab.controller("controller-noprom", &[]).await?;
        let before = crate::controller::bad_input::resident_kib(controller.pid())?;
        lab.policy("noprom", json!({"source": source(&format!("http://127.0.0.1:{}", free_port()?))})).await?;
        lab.wait_told("noprom", "cannot be reached").await?;
        let root = prometheus.url().trim_end_matches("/base").to_owned();
        for (url, says) in [
            (root, "answered 404, and not as Prometheus' HTTP API does"),
            (format!("http://{}", exporter.listen()), "is spec.source.prometheus.url its base URL"),
            (format!("http://{}:{PORT}", address(2)), "without credentials (401)"),
            (format!("http://{}:{PORT}", address(3)), "It works!"),
            (format!("http://{}:{PORT}", address(4)), "did not answer within"),
            (format!("http://{}:{PORT}", address(5)), "longer than 33554432 bytes"),
        ] {
            lab.change_policy("noprom", json!({"source": {"prometheus": {"url": url}}})).await?;
            lab.wait_told("noprom", says).await?;
        }
        let grown = crate::controller::bad_input::resident_kib(controller.pid())?.saturating_sub(before);
        eprintln!("the controller grew by {grown} KiB");
        ensure!(grown < 100 * 1024, "the controller grew by {grown} KiB at its highest");
        ensure!(controller.ended()?.is_none(), "the controller ended");
        drop((controller, locked, page, silent, huge));
        lab.end().await
    })
}
