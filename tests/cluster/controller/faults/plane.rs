//! Faults of the control plane: the API server killed, etcd frozen, watches cut, a new serving certificate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Bout, leads, rounds};
use crate::scan::proxy::{Proxy, Traffic};
use crate::support::{Component, ControlPlane, Outcome, run, wait_for};

#[test]
fn an_api_server_that_is_killed_and_started_again_costs_nothing() -> Outcome {
    run(async {
        let count = rounds(2, 20)?;
        let mut bout = Bout::begin("apidown", "API server killed and started again", count).await?;
        let (controller, _) = bout.lab.controller("controller-apidown", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.moment(60).await;
            bout.lab.plane.stop_component(Component::ApiServer)?;
            // What was true when it went is not what is true when it comes back.
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.lab.plane.start_component(Component::ApiServer).await?;
            bout.settled(&wrong).await?;
        }
        bout.end(vec![controller]).await
    })
}

/// Longer than the lease: the leader stops acting, and nobody else can lead either.
const FROZEN: Duration = Duration::from_secs(20);

#[test]
fn an_etcd_that_is_frozen_for_20_s_costs_the_lease_and_nothing_else() -> Outcome {
    run(async {
        let count = rounds(2, 10)?;
        // The API server may carry out a write that it took before the freeze, up to its own limit of 34 s later.
        let grace = FROZEN + Duration::from_secs(20);
        let mut bout = Bout::begin_with("frozen", "etcd frozen (SIGSTOP) for 20 s", count, grace).await?;
        let (controller, url) = bout.lab.controller("controller-frozen", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.moment(60).await;
            bout.lab.plane.signal_component(Component::Etcd, Signal::STOP)?;
            let thawed = async {
                tokio::time::sleep(FROZEN / 2).await;
                let wrong = bout.choice();
                bout.only_wrong(&wrong);
                tokio::time::sleep(FROZEN / 2).await;
                // It has noticed that nobody renews its lease.
                ensure!(leads(&url).await == Some(false), "it says that it leads, {FROZEN:?} after its last renewal");
                Ok(wrong)
            };
            let thawed = thawed.await;
            bout.lab.plane.signal_component(Component::Etcd, Signal::CONT)?;
            bout.settled(&thawed?).await?;
        }
        bout.end(vec![controller]).await
    })
}

#[test]
fn watches_that_are_cut_or_stall_are_begun_anew_and_nothing_is_missed() -> Outcome {
    run(async {
        let count = rounds(6, 100)?;
        let mut bout =
            Bout::begin("cut", "all connections to the API server cut, or stalled and then cut", count).await?;
        let proxy = Proxy::start(&bout.lab.plane.url()).await?;
        let kubeconfig = proxy.kubeconfig(&bout.lab.plane.kubeconfig())?;
        let (controller, _) = bout.lab.controller_as("controller-cut", kubeconfig, &[]).await?;
        bout.ready().await?;
        for round in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.moment(60).await;
            if round % 2 == 1 {
                proxy.set(Traffic::Stalls);
                bout.moment(500).await;
            }
            proxy.set(Traffic::Cut);
            // Somebody else is at work while it cannot look.
            bout.foreign(1, "cut", round % 2 == 0).await?;
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.moment(1_000).await;
            proxy.set(Traffic::Flows);
            bout.settled(&wrong).await?;
        }
        bout.end(vec![controller]).await
    })
}

/// What the API server shows to whoever connects now.
async fn served_certificate(plane: &ControlPlane) -> Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(plane.ca())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(plane.url().trim_start_matches("https://")).await?;
    let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let chain = connected.get_ref().1.peer_certificates().context("no certificate was shown")?;
    Ok(chain.first().context("an empty chain was shown")?.to_vec())
}

#[test]
fn a_new_serving_certificate_of_the_same_authority_is_taken_as_it_comes() -> Outcome {
    run(async {
        let count = rounds(1, 5)?;
        let mut bout = Bout::begin("rotated", "API server's serving certificate and key replaced", count).await?;
        let (controller, _) = bout.lab.controller("controller-rotated", &[]).await?;
        bout.ready().await?;
        for _ in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            let before = served_certificate(&bout.lab.plane).await?;
            bout.lab.plane.stop_component(Component::ApiServer)?;
            bout.lab.plane.renew_serving()?;
            bout.lab.plane.start_component(Component::ApiServer).await?;
            let after = served_certificate(&bout.lab.plane).await?;
            ensure!(before != after, "the API server serves the old certificate");
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
            wait_for("the lease to be renewed with it", super::SOON, async || {
                let before = bout.lab.lease_version().await?;
                tokio::time::sleep(Duration::from_secs(3)).await;
                ensure!(bout.lab.lease_version().await? != before, "it is not renewed");
                Ok(())
            })
            .await?;
        }
        bout.end(vec![controller]).await
    })
}
