//! The cluster that is meant, every request to it counted, and what to say when it cannot be had.

use crate::telemetry::chain;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::util::MapRequestLayer;

/// A cluster that does not take a connection within this is not there.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is nothing to show. Each with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No cluster is named, or not so that it can be used.
    #[error(
        "no usable kubeconfig: {0}\nname one with --kubeconfig FILE or KUBECONFIG, and a context in it with --context \
         NAME"
    )]
    Config(String),
    /// The API server was not reached.
    #[error("cannot reach the API server at {url}: {reason}{hint}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What went wrong.
        reason: String,
        /// What it may mean; empty or on a line of its own.
        hint: &'static str,
    },
    /// The API server refused what cannot be done without.
    #[error(
        "the API server refuses it: {0}\na scan needs get, list and watch on nodes and leases (coordination.k8s.io); \
         an administrator can grant it: kubectl apply -f deploy/scan-role.yaml"
    )]
    Forbidden(String),
    /// It answers with something else than was asked for.
    #[error("the API server does not answer as it should: {0}")]
    Refused(String),
}

impl ScanError {
    /// What `error` means for somebody who asked the API server at `url`.
    pub(crate) fn of(error: &kube::Error, url: &str) -> ScanError {
        match error {
            kube::Error::Api(status) if status.code == 403 => ScanError::Forbidden(status.message.clone()),
            kube::Error::Api(status) if status.code == 401 => ScanError::Refused(
                "it does not accept the credentials of this kubeconfig (401 Unauthorized); an expired token or \
                 certificate, or a clock that is wrong, here or there"
                    .to_owned(),
            ),
            kube::Error::Api(status) => ScanError::Refused(status.message.clone()),
            other => ScanError::unreachable(chain(other), url),
        }
    }

    pub(super) fn unreachable(reason: String, url: &str) -> ScanError {
        // rustls: CertExpired, CertNotValidYet.
        let is_time = ["expired", "not valid yet", "NotValidYet"].iter().any(|word| reason.contains(word));
        let hint = if is_time {
            "\na certificate is outside of its dates: it has run out, or this machine's clock is wrong; `clockwarden \
             agent --once` measures it"
        } else {
            ""
        };
        ScanError::Unreachable { url: url.to_owned(), reason, hint }
    }
}

/// How many requests were made, by what they ask for.
#[derive(Debug, Default)]
pub struct Requests {
    lists: AtomicU64,
    watches: AtomicU64,
    gets: AtomicU64,
}

impl Requests {
    /// Only reads are ever made, so that path and query tell which.
    fn note(&self, uri: &hyper::Uri) {
        let is_watch = uri.query().unwrap_or_default().split('&').any(|pair| pair == "watch=true");
        let last = uri.path().rsplit('/').next().unwrap_or_default();
        let counter = match last {
            _ if is_watch => &self.watches,
            "nodes" | "leases" | "nodeclocks" | "timesyncpolicies" => &self.lists,
            _ => &self.gets,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted { lists: read(&self.lists), watches: read(&self.watches), gets: read(&self.gets) }
    }
}

/// Numbers of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Lists.
    pub lists: u64,
    /// Watches that were begun.
    pub watches: u64,
    /// Single objects.
    pub gets: u64,
}

impl Counted {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.lists.saturating_add(self.watches).saturating_add(self.gets)
    }
}

/// `34 (31 lists, 2 watches, 1 get)`.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        write!(
            f,
            "{} ({}, {}, {})",
            self.total(),
            plural(self.lists, "list", "lists"),
            plural(self.watches, "watch", "watches"),
            plural(self.gets, "get", "gets")
        )
    }
}

/// A cluster to ask.
pub struct Cluster {
    /// Counts what it sends.
    pub client: Client,
    /// Where the API server is.
    pub url: String,
    /// What was sent.
    pub requests: Arc<Requests>,
}

/// A client for the cluster that a kubeconfig and a context in it name; otherwise the one that kube's own rules find.
/// Asks nothing yet.
///
/// # Errors
/// If no cluster is named, or not so that it can be used.
pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Cluster, ScanError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let unusable = |error: kube::config::KubeconfigError| ScanError::Config(chain(&error));
    let mut config = match (kubeconfig, context) {
        (Some(path), _) => {
            let read = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(unusable)?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(unusable)?,
        (None, None) => Config::infer().await.map_err(|error| ScanError::Config(chain(&error)))?,
    };
    config.connect_timeout = Some(CONNECT);
    // A retry behind our back would be a request that is not counted, and a round trip that is none.
    config.default_retry = false;
    let url = config.cluster_url.to_string();
    let requests = Arc::new(Requests::default());
    let counter = requests.clone();
    let count = MapRequestLayer::new(move |request: hyper::Request<Body>| {
        counter.note(request.uri());
        request
    });
    let builder = ClientBuilder::try_from(config).map_err(|error| ScanError::Config(chain(&error)))?;
    let client = builder.with_layer(&count).build();
    Ok(Cluster { client, url, requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_as_what_it_is() {
        let requests = Requests::default();
        for uri in [
            "/api/v1/nodes?&limit=500",
            "/api/v1/nodes?&limit=500&continue=x",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?&limit=1",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?&watch=true&timeoutSeconds=290",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/leases-1",
        ] {
            requests.note(&uri.parse().unwrap());
        }
        assert_eq!(requests.counted(), Counted { lists: 3, watches: 1, gets: 1 });
        assert_eq!(requests.counted().to_string(), "5 (3 lists, 1 watch, 1 get)");
    }

    #[test]
    fn errors_say_what_to_do() {
        let api = |code: u16, message: &str| {
            kube::Error::Api(kube::core::Status { code, message: message.to_owned(), ..Default::default() }.boxed())
        };
        for (error, expected) in [
            (api(403, "leases is forbidden: cannot watch"), "cannot watch\na scan needs get, list and watch"),
            (api(401, "Unauthorized"), "does not accept the credentials"),
            (api(500, "etcd is gone"), "etcd is gone"),
        ] {
            let shown = ScanError::of(&error, "https://x").to_string();
            assert!(shown.contains(expected), "{shown}");
        }
        let shown = |reason: &str| ScanError::unreachable(reason.to_owned(), "https://x").to_string();
        assert_eq!(shown("refused"), "cannot reach the API server at https://x: refused");
        assert!(shown("invalid peer certificate: certificate expired").contains("agent --once"));
    }
}
