//! Many clients at once: those that mean it are answered, whatever the others do and whatever certificate is served.

use crate::support::{config_map, metric, review};
use crate::tls::{
    Certificate, Running, SOON, admitted, connect, head, http1, request, start, until as wait, write_secret,
};
use axum::body::Bytes;
use clockwarden::runtime::{CancellationToken, mono_now};
use clockwarden::webhook::router::Budget;
use clockwarden::webhook::server;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::version::TLS13;
use serde_json::{Value, json};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Who signs the certificates of a test.
struct Authority {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    fn certificate(&self) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        Certificate { der: made.der().to_vec(), pem: made.pem(), key: key.serialize_pem() }
    }
}

/// One crowd at a time, or each would only measure the others.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Less than what clients that do not go on are given, so that waiting for these to be given up fails.
const PATIENCE: Duration = Duration::from_secs(8);

/// Reviews over new connections and over one that is kept, one after the other until told to stop; how many there
/// were, and how long two of them took at most.
async fn reviews(port: u16, trusted: &[u8], until: CancellationToken) -> (usize, Duration) {
    let kept = connect(port, trusted, &TLS13, &[]).await.unwrap();
    let mut kept = http1(kept).await;
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !until.is_cancelled() || count < 20 {
        let began = mono_now();
        let both = async {
            let fresh = connect(port, trusted, &TLS13, &[]).await.unwrap();
            admitted(http1(fresh).await.send_request(request(false)).await.unwrap()).await;
            kept.ready().await.unwrap();
            admitted(kept.send_request(request(false)).await.unwrap()).await;
        };
        assert!(tokio::time::timeout(PATIENCE, both).await.is_ok(), "no answer after {count} others");
        slowest = slowest.max(mono_now().since(began));
        count += 2;
    }
    (count, slowest)
}

/// Whoever comes keeps its connection open as long as the crowd is there.
type Crowd = JoinSet<Box<dyn Any + Send>>;

/// One client of each bad kind.
fn come(crowd: &mut Crowd, port: u16, trusted: &[u8], number: usize) {
    let trusted = trusted.to_vec();
    crowd.spawn(async move {
        match number % 5 {
            // Says nothing.
            0 => Box::new(TcpStream::connect(("127.0.0.1", port)).await) as Box<dyn Any + Send>,
            // Begins a handshake and does not go on.
            1 => {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await;
                if let Ok(stream) = &mut stream {
                    let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await;
                }
                Box::new(stream)
            }
            // Begins a request; or announces a body that never comes.
            rest => {
                let mut stream = connect(port, &trusted, &TLS13, &[]).await;
                if let Ok(stream) = &mut stream {
                    let head = if rest == 2 { "POST /validate HTTP/1.1\r\nhost: ".to_owned() } else { head(100_000) };
                    let _ = stream.write_all(head.as_bytes()).await;
                }
                Box::new(stream)
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_are_answered_beside_fifteen_hundred_clients_that_do_not_go_on() {
    let _alone = ALONE.lock().await;
    server::raise_open_files();
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    let enough = CancellationToken::new();
    let meant = tokio::spawn({
        let (port, trusted, enough) = (running.port, certificate.der.clone(), enough.clone());
        async move { reviews(port, &trusted, enough).await }
    });
    let mut crowd = JoinSet::new();
    let mut there = Vec::new();
    for number in 0..1500 {
        come(&mut crowd, running.port, &certificate.der, number);
        // Not faster than the machine can shake hands, or the clients would only wait for each other.
        if crowd.len() >= 50 {
            there.push(crowd.join_next().await.unwrap().unwrap());
        }
    }
    there.extend(crowd.join_all().await);
    assert_eq!(there.len(), 1500);
    // Now that all of them are there, whoever comes last is answered too.
    let done = CancellationToken::new();
    done.cancel();
    let (_, slowest) = reviews(running.port, &certificate.der, done).await;
    println!("beside all of them, two reviews in {slowest:?} at most");
    enough.cancel();
    let (answered, slowest) = tokio::time::timeout(SOON, meant).await.unwrap().unwrap();
    println!("{answered} reviews answered meanwhile, two of them in {slowest:?} at most");
    drop(there);
}

/// A large object of near misses, so that it has to be looked into.
fn large() -> Bytes {
    let near = "session.timeout.skewed=5\njwt.leeway.seconds=30\n".repeat(3500);
    assert!(near.len() > Budget::default().small);
    Bytes::from(review("CREATE", config_map(json!({"a.properties": near})), Value::Null).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_are_answered_beside_bodies_that_are_too_large() {
    let _alone = ALONE.lock().await;
    let certificate = Certificate::new();
    let running = start(&certificate).await;
    let enough = CancellationToken::new();
    let meant = tokio::spawn({
        let (port, trusted, enough) = (running.port, certificate.der.clone(), enough.clone());
        async move { reviews(port, &trusted, enough).await }
    });
    let mut others = JoinSet::new();
    for number in 0..24 {
        let (port, trusted) = (running.port, certificate.der.clone());
        others.spawn(async move {
            let mut sender = http1(connect(port, &trusted, &TLS13, &[]).await.unwrap()).await;
            let mut other = request(false);
            let is_oversized = number % 2 == 0;
            let body = if is_oversized { Bytes::from(vec![b' '; 10 << 20]) } else { large() };
            *other.body_mut() = Full::new(body);
            let response = sender.send_request(other).await.unwrap();
            assert_eq!(response.status(), if is_oversized { 413 } else { 200 });
            let _ = response.into_body().collect().await.unwrap();
        });
    }
    others.join_all().await;
    enough.cancel();
    let (answered, slowest) = tokio::time::timeout(SOON, meant).await.unwrap().unwrap();
    println!("{answered} reviews answered meanwhile, two of them in {slowest:?} at most");
}

/// Each pair of files as soon as the one before it is served; how many there have been.
async fn rotate(running: &Running, authority: &Authority, count: &AtomicUsize, until: &CancellationToken) {
    let loaded = r#"clockwarden_webhook_certificate_reloads_total{result="loaded"}"#;
    while !until.is_cancelled() {
        let (next, number) = (authority.certificate(), count.load(Ordering::Relaxed));
        let before = metric(&running.hook, loaded).await;
        write_secret(running.folder.path(), &format!("..r{number}"), &next.pem, &next.key);
        wait("the new files were not read", async || metric(&running.hook, loaded).await > before).await;
        count.store(number + 1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_two_hundred_reviews_a_second_and_none_fails() {
    const REVIEWS: u32 = 800;
    const ROTATIONS: usize = 10;
    let _alone = ALONE.lock().await;
    let authority = Authority::new();
    let running = start(&authority.certificate()).await;
    let (port, trusted) = (running.port, authority.der.clone());
    let stream = connect(port, &trusted, &TLS13, &["h2"]).await.unwrap();
    let (kept, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let rotations = AtomicUsize::new(0);
    let enough = CancellationToken::new();
    let mut count = 0;
    let load = async {
        let mut sent = JoinSet::new();
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while count < REVIEWS || rotations.load(Ordering::Relaxed) < ROTATIONS {
            pace.tick().await;
            let number = count;
            count += 1;
            let (mut kept, trusted, seen) = (kept.clone(), trusted.to_vec(), Arc::clone(&seen));
            sent.spawn(async move {
                if number % 2 == 0 {
                    return admitted(kept.send_request(request(true)).await.unwrap()).await;
                }
                let stream = connect(port, &trusted, &TLS13, &[]).await.unwrap();
                let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
                seen.lock().unwrap().insert(leaf);
                admitted(http1(stream).await.send_request(request(false)).await.unwrap()).await;
            });
        }
        // Whatever failed has panicked, and panics here again.
        sent.join_all().await;
        enough.cancel();
    };
    let began = mono_now();
    tokio::join!(rotate(&running, &authority, &rotations, &enough), load);
    let (took, served) = (mono_now().since(began), seen.lock().unwrap().len());
    println!("{count} reviews in {took:?}, {rotations:?} rotations, {served} certificates seen");
    assert!(served >= ROTATIONS / 2, "{served} certificates were seen in {rotations:?} rotations");
    let answered = metric(&running.hook, r#"clockwarden_admission_requests_total{verdict="admitted"}"#).await;
    assert_eq!(answered, f64::from(count));
    assert_eq!(metric(&running.hook, r#"clockwarden_webhook_certificate_reloads_total{result="failed"}"#).await, 0.0);
}
