//! Real TLS over loopback: versions, protocols, and certificates that change under open connections.

use crate::support::{Hook, benign, enforcing, hook, metric};
use clockwarden::runtime::CancellationToken;
use clockwarden::webhook::router::Budget;
use clockwarden::webhook::server;
use clockwarden::webhook::tls::Files;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A self-signed certificate for `localhost`.
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Certificate {
    pub(crate) fn new() -> Certificate {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Certificate { der: made.cert.der().to_vec(), pem: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

/// A running server whose certificate lies in files, laid out as the kubelet does it: `tls.crt` is a link into
/// `..data`, which is a link to a directory, and a change swaps `..data`.
pub(crate) struct Running {
    pub(crate) hook: Hook,
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) stop: CancellationToken,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

pub(crate) fn write_secret(folder: &Path, version: &str, certificates: &str, key: &str) {
    let inner = folder.join(version);
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("tls.crt"), certificates).unwrap();
    std::fs::write(inner.join("tls.key"), key).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

pub(crate) async fn start(certificate: &Certificate) -> Running {
    let folder = tempfile::tempdir().unwrap();
    write_secret(folder.path(), "..v1", &certificate.pem, &certificate.key);
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
    }
    let hook = hook(enforcing(), Budget::default());
    let files = Files { certificates: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
    let files = files.open(&hook.metrics).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let server = server::serve(listener, files.certificate(), hook.serving.clone(), stop.clone());
    let server = tokio::spawn(server);
    tokio::spawn(files.follow(Duration::from_millis(10), hook.metrics.clone(), stop.clone()));
    Running { hook, port, folder, stop, server }
}

/// Trusts exactly this certificate.
pub(crate) async fn connect(
    port: u16,
    trusted: &[u8],
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // As an API server's client does; or the end of a request waits for 40 ms now and then (tcp(7)).
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub(crate) fn request(authority: bool) -> hyper::Request<Full<Bytes>> {
    let uri = if authority { "https://localhost/validate" } else { "/validate" };
    hyper::Request::post(uri)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(benign())))
        .unwrap()
}

/// The head of a review that waits to be told to go on.
pub(crate) fn head(length: usize) -> String {
    format!(
        "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    )
}

pub(crate) async fn http1(stream: TlsStream<TcpStream>) -> http1::SendRequest<Full<Bytes>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) async fn admitted(response: hyper::Response<hyper::body::Incoming>) {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains(r#""allowed":true"#), "{body:?}");
}

/// Waits for a condition, but not for ever.
pub(crate) async fn until(otherwise: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{otherwise}");
}

/// Waits until new connections are served with this certificate.
async fn served(port: u16, certificate: &Certificate) {
    until("the new certificate was never served", async || {
        connect(port, &certificate.der, &version::TLS13, &[]).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken() {
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    for (version, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        for alpn in [&[][..], &["http/1.1"]] {
            let stream = connect(running.port, &certificate.der, version, alpn).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            let mut sender = http1(stream).await;
            for _ in 0..3 {
                admitted(sender.send_request(request(false)).await.unwrap()).await;
            }
        }
        let stream = connect(running.port, &certificate.der, version, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (one, two) = (sender.send_request(request(true)), sender.clone().send_request(request(true)));
        admitted(one.await.unwrap()).await;
        admitted(two.await.unwrap()).await;
    }
    let other = Certificate::new();
    assert!(connect(running.port, &other.der, &version::TLS13, &[]).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_served_while_an_open_connection_goes_on_without_a_failed_request() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let running = start(&first).await;
    let mut sender = http1(connect(running.port, &first.der, &version::TLS12, &[]).await.unwrap()).await;
    let swapped = CancellationToken::new();
    let client = tokio::spawn({
        let swapped = swapped.clone();
        async move {
            let (mut requests, mut after) = (0, 0);
            while after < 20 {
                sender.ready().await.unwrap();
                admitted(sender.send_request(request(false)).await.unwrap()).await;
                requests += 1;
                after += i32::from(swapped.is_cancelled());
            }
            requests
        }
    });
    write_secret(running.folder.path(), "..v2", &second.pem, &second.key);
    served(running.port, &second).await;
    swapped.cancel();
    assert!(client.await.unwrap() >= 20);
    assert!(connect(running.port, &first.der, &version::TLS13, &[]).await.is_err());
    assert_eq!(metric(&running.hook, r#"clockwarden_webhook_certificate_reloads_total{result="loaded"}"#).await, 2.0);
    assert!(metric(&running.hook, "clockwarden_webhook_certificate_not_after_timestamp_seconds").await > 1e9);
}

#[tokio::test]
async fn files_that_cannot_serve_leave_the_old_certificate_and_the_next_good_ones_are_taken() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let running = start(&first).await;
    let failed = r#"clockwarden_webhook_certificate_reloads_total{result="failed"}"#;
    let bad: [(&str, &str); 5] = [
        ("", ""),
        ("garbage", &second.key),
        (&second.pem, "garbage"),
        (&second.pem, &first.key),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &second.key),
    ];
    for (number, (certificates, key)) in bad.into_iter().enumerate() {
        write_secret(running.folder.path(), &format!("..bad{number}"), certificates, key);
        until(&format!("bad files {number} were not noticed"), async || {
            metric(&running.hook, failed).await >= (number + 1) as f64
        })
        .await;
        let stream = connect(running.port, &first.der, &version::TLS13, &[]).await.unwrap();
        admitted(http1(stream).await.send_request(request(false)).await.unwrap()).await;
    }
    std::fs::remove_file(running.folder.path().join("..data")).unwrap();
    until("missing files were not noticed", async || metric(&running.hook, failed).await >= 6.0).await;
    assert!(connect(running.port, &first.der, &version::TLS13, &[]).await.is_ok());
    write_secret(running.folder.path(), "..good", &second.pem, &second.key);
    served(running.port, &second).await;
    // Each was reported once, however often it was looked at.
    assert_eq!(metric(&running.hook, failed).await, 6.0);
}

#[tokio::test]
async fn it_does_not_start_with_files_that_cannot_serve_and_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new();
    let hook = hook(enforcing(), Budget::default());
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("good.crt"), &certificate.pem).unwrap();
    std::fs::write(path("other.key"), Certificate::new().key).unwrap();
    for (certificates, key, names) in [
        ("none.crt", "other.key", "none.crt"),
        ("good.crt", "none.key", "none.key"),
        ("other.key", "other.key", "BEGIN CERTIFICATE"),
        ("good.crt", "good.crt", "no usable private key"),
        ("good.crt", "other.key", "cannot serve together"),
    ] {
        let files = Files { certificates: path(certificates), key: path(key) };
        let error = files.open(&hook.metrics).await.err().unwrap_or_else(|| panic!("{certificates} {key}"));
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_when_the_process_is_told_to_stop() {
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    let idle = connect(running.port, &certificate.der, &version::TLS13, &[]).await.unwrap();
    let mut idle = http1(idle).await;
    admitted(idle.send_request(request(false)).await.unwrap()).await;

    let mut busy = connect(running.port, &certificate.der, &version::TLS13, &[]).await.unwrap();
    busy.write_all(head(benign().len()).as_bytes()).await.unwrap();
    // It says so when it begins to read the body.
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(busy.read_u8().await.unwrap());
    }
    assert!(said.starts_with(b"HTTP/1.1 100 "), "{said:?}");

    running.stop.cancel();
    until("connections are still accepted", async || {
        connect(running.port, &certificate.der, &version::TLS13, &[]).await.is_err()
    })
    .await;
    busy.write_all(&benign()).await.unwrap();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""allowed":true"#), "{answer}");
    let ended = tokio::time::timeout(SOON, running.server).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
}

#[tokio::test]
async fn an_oversized_review_gets_its_answer_although_it_was_not_wanted() {
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    for alpn in [&[][..], &["http/1.1"]] {
        let mut sender = http1(connect(running.port, &certificate.der, &version::TLS13, alpn).await.unwrap()).await;
        let mut oversized = request(false);
        *oversized.body_mut() = Full::new(Bytes::from(vec![b' '; 10 << 20]));
        assert_eq!(sender.send_request(oversized).await.unwrap().status(), 413);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_dropped_and_the_others_are_served() {
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    for junk in [&b"POST /validate HTTP/1.1\r\n\r\n"[..], &[0xff; 10_000], b""] {
        let mut stream = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
        stream.write_all(junk).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // A TLS alert, a reset or nothing; but no HTTP.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
        let stream = connect(running.port, &certificate.der, &version::TLS13, &[]).await.unwrap();
        admitted(http1(stream).await.send_request(request(false)).await.unwrap()).await;
    }
}
