use super::*;
use crate::runtime::mono_now;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SMALL: Limits = Limits {
    header: Duration::from_millis(300),
    age: Duration::from_secs(60),
    grace: Duration::from_millis(300),
    connections: 6,
    connections_each: 4,
    header_bytes: 8 * 1024,
};

fn chunk() -> Result<Bytes, std::convert::Infallible> {
    Ok(Bytes::from_static(&[b'x'; 65_536]))
}

struct Site {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn site(limits: Limits) -> Site {
    let router = Router::new()
        .route("/", get(async || "ok"))
        .route("/endless", get(async || Body::from_stream(futures::stream::repeat_with(chunk))))
        .route("/never", get(async || std::future::pending::<&'static str>().await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(run(listener, router, limits, stop.clone()));
    Site { address, stop, task }
}

impl Site {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` on a connection of their own and returns what comes until it is closed.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }

    async fn answers(&self) -> bool {
        self.say(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200")
    }
}

/// What comes until the connection is closed, however it is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length)) = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await {
        if length == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        bytes.extend_from_slice(&buffer[..length]);
    }
    format!("not closed, or reset, after {:?}", String::from_utf8_lossy(&bytes))
}

#[tokio::test]
async fn a_client_that_says_too_little_or_too_much_is_sent_away() {
    let site = site(SMALL).await;
    let start = mono_now();
    assert_eq!(site.say(b"").await, "", "silent");
    assert_eq!(site.say(b"GET / HTTP/1.1\r\nHost").await, "", "half a header");
    let idle = site.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(idle.ends_with("\r\n\r\nok"), "one answer, then silence: {idle}");
    assert!(mono_now().since(start) < Duration::from_secs(5));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    assert!(!site.say(long.as_bytes()).await.contains("200 OK"));
    let garbage = site.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(!garbage.contains("200 OK"), "TLS: {garbage}");
    assert!(site.answers().await);
}

#[tokio::test]
async fn one_address_cannot_take_all_the_places() {
    let site = site(SMALL).await;
    let mut held = Vec::new();
    for _ in 0..SMALL.connections_each {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        held.push(stream);
    }
    sleep(Duration::from_millis(50)).await;
    assert!(!site.answers().await, "one more from the same address");
    // From another address of this machine there is room.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(site.address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut other).await.ends_with("ok"));
    // Places come back.
    held.pop();
    let mut answered = false;
    for _ in 0..50 {
        answered = answered || site.answers().await;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(answered);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off_with_age() {
    let site = site(Limits { age: Duration::from_millis(200), ..SMALL }).await;
    let mut greedy = Vec::new();
    for _ in 0..SMALL.connections_each {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        greedy.push(stream);
    }
    sleep(Duration::from_millis(100)).await;
    assert!(!site.answers().await);
    sleep(Duration::from_millis(900)).await;
    assert!(site.answers().await, "the places of those who never read came back");
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let site = site(SMALL).await;
    let mut stream = site.connect().await;
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    site.stop.cancel();
    timeout(STOPPING + Duration::from_secs(2), site.task).await.unwrap().unwrap().unwrap();
}
