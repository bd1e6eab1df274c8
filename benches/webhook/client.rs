//! Posts the same review over and over, on kept-alive TLS connections, as an API server does.

use crate::server::{Child, Identity};
use anyhow::{Context, ensure};
use clockwarden::runtime::mono_now;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) struct Client {
    connections: Vec<SendRequest<Full<Bytes>>>,
}

/// What one round took.
pub(crate) struct Round {
    /// Of the server, per review.
    pub(crate) cpu_us: f64,
    /// Of each review, at the client.
    pub(crate) latency_us: Vec<f64>,
}

impl Client {
    pub(crate) async fn connect(port: u16, identity: &Identity, connections: usize) -> anyhow::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(identity.der.clone()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let mut open = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            open.push(sender);
        }
        Ok(Client { connections: open })
    }

    pub(crate) async fn round(
        &mut self,
        server: &mut Child,
        review: &[u8],
        reviews: usize,
        admitted: bool,
    ) -> anyhow::Result<Round> {
        let body = Bytes::copy_from_slice(review);
        let each = reviews.div_ceil(self.connections.len());
        let before = server.cpu_ns()?;
        let posting = self.connections.iter_mut().map(|connection| post(connection, body.clone(), each, admitted));
        let latencies = futures::future::try_join_all(posting).await?;
        let spent = server.cpu_ns()?.checked_sub(before).context("the CPU time went back")?;
        let latency_us: Vec<f64> = latencies.into_iter().flatten().collect();
        Ok(Round { cpu_us: spent as f64 / 1e3 / latency_us.len() as f64, latency_us })
    }
}

async fn post(
    connection: &mut SendRequest<Full<Bytes>>,
    body: Bytes,
    times: usize,
    admitted: bool,
) -> anyhow::Result<Vec<f64>> {
    let expected: &[u8] = if admitted { b"\"allowed\":true" } else { b"\"allowed\":false" };
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        let request = hyper::Request::post("/validate?timeout=10s")
            .header("host", "clockwarden-webhook.clockwarden.svc")
            .header("user-agent", "kube-apiserver-admission")
            .header("content-type", "application/json")
            .header("accept", "application/json, */*")
            .body(Full::new(body.clone()))?;
        let sent = mono_now();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let answer = response.into_body().collect().await?.to_bytes();
        latencies.push(mono_now().since(sent).as_secs_f64() * 1e6);
        ensure!(memchr::memmem::find(&answer, expected).is_some(), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(latencies)
}
