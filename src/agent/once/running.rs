//! What the agent that already runs on this machine has noticed, if one does.
//!
//! A look that lasts a second cannot know that the clock was stepped a minute ago; an agent that watches can. It is asked
//! at the address where an agent of these flags would listen. That there is none, or something else, is no error: the
//! diagnosis is made without.
//!
//! Only the jumps are taken: what the clock is like now is measured afresh.

use crate::agent::report::{JumpReport, Report};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// It answers at once: the question does not wait for news.
const TIMEOUT: Duration = Duration::from_millis(500);
/// A report with all its jumps has 20 kB.
const ANSWER_MAX: u64 = 256 * 1024;

/// The jumps that an agent which listens at `listen` has noticed, oldest first.
pub(super) async fn jumps(listen: SocketAddr) -> Vec<JumpReport> {
    match tokio::time::timeout(TIMEOUT, ask(reachable(listen))).await {
        Ok(Ok(Some(report))) => report.jumps,
        Ok(Ok(None) | Err(_)) | Err(_) => Vec::new(),
    }
}

/// Where to ask somebody who listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(at: SocketAddr) -> std::io::Result<Option<Report>> {
    let mut stream = TcpStream::connect(at).await?;
    let question = format!("GET /v1/clock HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    Ok(decode(&answer))
}

/// The report in an HTTP answer; `None` if it is anything else.
fn decode(answer: &[u8]) -> Option<Report> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|window| window == END)?;
    let (header, body) = answer.split_at_checked(end + END.len())?;
    if !header.starts_with(b"HTTP/1.1 200 ") {
        return None;
    }
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, at) in [
            ("0.0.0.0:9555", "127.0.0.1:9555"),
            ("[::]:9555", "[::1]:9555"),
            ("127.0.1.3:80", "127.0.1.3:80"),
            ("10.0.0.7:9555", "10.0.0.7:9555"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), at);
        }
    }

    #[test]
    fn whatever_else_answers_is_nobody() {
        let report =
            r#"{"node": "n", "state": "Unknown", "offsetSeconds": null, "errorBoundSeconds": null, "sources": []}"#;
        let answer = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Type: x\r\n\r\n{body}");
        assert!(decode(answer("200 OK", report).as_bytes()).is_some());
        for other in [
            String::new(),
            report.to_owned(),
            answer("404 Not Found", report),
            answer("200 OK", "<html>"),
            "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        ] {
            assert!(decode(other.as_bytes()).is_none(), "{other}");
        }
    }
}
