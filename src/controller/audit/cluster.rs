//! What the audit reads of a cluster: one request, one answer of bounded size.
//!
//! An answer is read as bytes and no further than [`PAGE_BYTES`], whatever the API server sends: a page of a hundred
//! ConfigMaps may hold a hundred megabytes. The next smaller page is asked for then, down to a single object.

use super::targets::Served;
use crate::telemetry::chain;
use futures::AsyncReadExt as _;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use std::collections::BTreeSet;
use std::time::Duration;

/// Bytes of one page. An object in etcd has 1.5 MiB at most (`--max-request-bytes`).
pub const PAGE_BYTES: usize = 8 << 20;
/// Objects asked for first.
const PAGE_FIRST: u32 = 100;
/// Objects asked for at most.
const PAGE_MAX: u32 = 250;
/// An API server that has not answered by then is as good as none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such list: the kind is not installed, or no longer.
    #[error("there is no such list")]
    Absent,
    /// We may not.
    #[error("it may not be read: {0}")]
    Forbidden(String),
    /// The continuation is too old; another one, if there is one, goes on at the same key.
    #[error("the list's continuation has expired")]
    Expired(Option<String>),
    /// More bytes than are read.
    #[error("a page has more than {PAGE_BYTES} bytes")]
    TooLarge,
    /// Anything else; trying again may help.
    #[error("{0}")]
    Failed(String),
}

/// How many objects are asked for at once: as many as the answers' size allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    limit: u32,
    most: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Paging { limit: PAGE_FIRST, most: PAGE_MAX }
    }
}

impl Paging {
    /// So many, and never more.
    #[must_use]
    pub fn up_to(most: u32) -> Paging {
        Paging { limit: most, most }
    }

    /// Objects of the next page.
    #[must_use]
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// After a page that came and had so many bytes.
    #[must_use]
    pub fn came(self, bytes: usize) -> Paging {
        let more = self.limit.saturating_mul(2).min(self.most);
        if bytes < PAGE_BYTES / 8 { Paging { limit: more, ..self } } else { self }
    }

    /// After a page that was too large; `None`: it was a single object.
    #[must_use]
    pub fn halved(self) -> Option<Paging> {
        (self.limit > 1).then(|| Paging { limit: self.limit.div_euclid(2), ..self })
    }
}

/// A page that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Objects at most.
    pub limit: u32,
    /// Where the list goes on.
    pub next: Option<String>,
    /// `metadata.name=x`.
    pub fields: Option<String>,
    /// Only the metadata of the objects.
    pub only_metadata: bool,
}

/// A connection for reading.
#[derive(Clone)]
pub struct Cluster(Client);

impl Cluster {
    /// Through this client.
    #[must_use]
    pub fn new(client: Client) -> Cluster {
        Cluster(client)
    }

    /// One page of a list.
    ///
    /// # Errors
    /// [`ReadError`], one variant for each thing that is done about it.
    pub async fn page(&self, path: &str, ask: &Ask) -> Result<Vec<u8>, ReadError> {
        let mut params = ListParams::default().limit(ask.limit);
        params.continue_token.clone_from(&ask.next);
        params.field_selector.clone_from(&ask.fields);
        let request = Request::new(path);
        let request = if ask.only_metadata { request.list_metadata(&params) } else { request.list(&params) };
        let request = request.map_err(|error| ReadError::Failed(chain(&error)))?;
        let read = async {
            let stream = self.0.request_stream(request).await.map_err(|error| read_error(&error))?;
            let mut bytes = Vec::new();
            let most = u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
            std::pin::pin!(stream.take(most))
                .read_to_end(&mut bytes)
                .await
                .map_err(|error| ReadError::Failed(chain(&error)))?;
            if bytes.len() > PAGE_BYTES { Err(ReadError::TooLarge) } else { Ok(bytes) }
        };
        let silent = |_| Err(ReadError::Failed(format!("no answer within {PATIENCE:?}")));
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(silent)
    }

    /// The groups that are served, with their versions.
    ///
    /// # Errors
    /// [`ReadError::Failed`] or [`ReadError::Forbidden`].
    pub async fn groups(&self) -> Result<Served, ReadError> {
        let list = tokio::time::timeout(PATIENCE, self.0.list_api_groups()).await.map_err(silent)?;
        let mut served = Served::default();
        for group in list.map_err(|error| read_error(&error))?.groups {
            let preferred = group.preferred_version.map(|version| version.version);
            let others = group.versions.into_iter().map(|version| version.version);
            let mut versions: Vec<String> = preferred.iter().cloned().collect();
            versions.extend(others.filter(|version| Some(version) != preferred.as_ref()));
            served.groups.insert(group.name, versions);
        }
        Ok(served)
    }

    /// The plurals of one group and version.
    ///
    /// # Errors
    /// As [`Cluster::groups`], and [`ReadError::Absent`].
    pub async fn plurals(&self, group: &str, version: &str) -> Result<BTreeSet<String>, ReadError> {
        let version = format!("{group}/{version}");
        let list = tokio::time::timeout(PATIENCE, self.0.list_api_group_resources(&version)).await.map_err(silent)?;
        Ok(list.map_err(|error| read_error(&error))?.resources.into_iter().map(|resource| resource.name).collect())
    }
}

fn silent(_: tokio::time::error::Elapsed) -> ReadError {
    ReadError::Failed(format!("no answer within {PATIENCE:?}"))
}

fn read_error(error: &kube::Error) -> ReadError {
    let kube::Error::Api(status) = error else { return ReadError::Failed(chain(error)) };
    match status.code {
        // 405: what a CRD of that name may be that cannot be listed.
        404 | 405 => ReadError::Absent,
        403 => ReadError::Forbidden(status.message.clone()),
        410 => {
            ReadError::Expired(status.metadata.as_ref().and_then(|it| it.continue_.clone()).filter(|it| !it.is_empty()))
        }
        _ => ReadError::Failed(chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn pages_grow_while_they_are_small_and_halve_when_they_are_too_large() {
        let mut paging = Paging::default();
        let limits: Vec<u32> = std::iter::from_fn(|| {
            let limit = paging.limit();
            paging = paging.halved()?;
            Some(limit)
        })
        .collect();
        assert_eq!(limits, [100, 50, 25, 12, 6, 3]);
        assert_eq!(paging.limit(), 1);
        for (bytes, expected) in [(PAGE_BYTES, 1), (PAGE_BYTES / 8, 1), (100, 2), (100, 4)] {
            paging = paging.came(bytes);
            assert_eq!(paging.limit(), expected);
        }
        assert_eq!((0..20).fold(paging, |paging, _| paging.came(0)).limit(), PAGE_MAX);
        assert_eq!(Paging::up_to(5).came(0).limit(), 5);
    }

    /// What comes of an answer with this status line and body.
    async fn check(status: &str, body: &str, expected: Result<&str, ReadError>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 4096];
            let length = stream.read(&mut heard).await.unwrap();
            // Whoever has read enough goes.
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&heard[..length]).into_owned()
        });
        let mut config = kube::Config::new(url);
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let ask = Ask {
            limit: 7,
            next: Some("abc".into()),
            fields: Some("metadata.namespace!=kube-system,metadata.namespace!=x".into()),
            only_metadata: false,
        };
        let got = Cluster::new(client).page("/api/v1/pods", &ask).await;
        assert_eq!(got.as_deref().map_err(Clone::clone), expected.map(str::as_bytes), "{status}");
        let asked = server.await.unwrap();
        let line = asked.lines().next().unwrap();
        assert!(
            line.starts_with("GET /api/v1/pods?") && line.contains("limit=7") && line.contains("continue=abc"),
            "{line}"
        );
        assert!(line.contains("metadata.namespace%21%3Dkube-system%2Cmetadata.namespace%21%3Dx"), "{line}");
        // With it, an API server may send everything at once.
        assert!(!line.contains("resourceVersion"), "{line}");
    }

    fn status(code: u16, rest: &str) -> String {
        format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"because","code":{code}{rest}}}"#)
    }

    #[tokio::test]
    async fn each_answer_is_told_apart_by_what_is_done_about_it() {
        check("200 OK", "{}", Ok("{}")).await;
        check("404 Not Found", &status(404, ""), Err(ReadError::Absent)).await;
        check("404 Not Found", "404 page not found", Err(ReadError::Absent)).await;
        check("405 Method Not Allowed", &status(405, ""), Err(ReadError::Absent)).await;
        check("403 Forbidden", &status(403, ""), Err(ReadError::Forbidden("because".into()))).await;
        let goes_on = status(410, r#","metadata":{"continue":"anew"}"#);
        check("410 Gone", &goes_on, Err(ReadError::Expired(Some("anew".into())))).await;
        check("410 Gone", &status(410, r#","metadata":{}"#), Err(ReadError::Expired(None))).await;
    }

    #[tokio::test]
    async fn a_page_that_is_too_large_is_not_read_to_its_end() {
        check("200 OK", &" ".repeat(PAGE_BYTES), Ok(&" ".repeat(PAGE_BYTES))).await;
        check("200 OK", &" ".repeat(PAGE_BYTES + 1), Err(ReadError::TooLarge)).await;
    }

    #[tokio::test]
    async fn an_api_server_that_fails_says_so() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let client = Client::try_from(kube::Config::new(url)).unwrap();
        let got = Cluster::new(client).page("/api/v1/pods", &Ask { limit: 1, ..Ask::default() }).await;
        assert!(matches!(got, Err(ReadError::Failed(_))), "{got:?}");
    }
}
