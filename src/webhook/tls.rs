//! Which certificate does the webhook show, and what happens when its files change?
//!
//! One TLS configuration for the life of the process; only the certificate behind it is exchanged, so open
//! connections go on and new ones get the new certificate. The files are read once a second and compared with what
//! was read before: they are a few kilobytes, and comparing contents has none of the blind spots of modification
//! times and inodes (a Secret's volume swaps a symbolic link two directories up). Files that cannot serve leave the
//! old certificate in place, are logged once, and are tried again when they change.
//!
//! The dates of a certificate are reported, never enforced: it is the client that decides, by its own clock, and
//! refusing to serve because *this* node's clock is wrong would be just the kind of outage that this project is for.
//!
//! Does not know: HTTP, who makes the certificates.

use super::metrics::Metrics;
use super::validity::{Validity, validity};
use crate::runtime::{CancellationToken, rfc3339, wall_now};
use crate::telemetry::chain;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a pair that changes while it is read is read again.
const READS: usize = 3;

/// Why a pair of files cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No certificate in PEM form.
    #[error("no usable certificate in PEM form (-----BEGIN CERTIFICATE-----) in {origin}")]
    Certificate {
        /// File or Secret.
        origin: String,
        /// Why, if there was something.
        #[source]
        source: Option<pem::Error>,
    },
    /// No private key in PEM form.
    #[error("no usable private key in PEM form (PKCS#8, PKCS#1 or SEC1) in {origin}")]
    Key {
        /// File or Secret.
        origin: String,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// They do not belong together, or TLS cannot use them.
    #[error("the certificate and the key of {origin} cannot serve together")]
    Pair {
        /// File or Secret.
        origin: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// A certificate chain with its key, in PEM form.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The leaf first.
    pub certificates: Vec<u8>,
    /// The leaf's private key.
    pub key: Vec<u8>,
}

/// A certificate that can serve.
#[derive(Debug, Clone)]
pub struct Loaded {
    key: Arc<CertifiedKey>,
    /// The leaf's dates, where they could be read.
    pub validity: Option<Validity>,
}

impl Pem {
    /// Reads and pairs them. `origin` is where they came from, for errors.
    ///
    /// # Errors
    /// [`TlsError`], if nothing could be served with them.
    pub fn load(&self, origin: &str) -> Result<Loaded, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsError::Certificate { origin: origin.to_owned(), source: Some(source) })?;
        let Some(leaf) = certificates.first() else {
            return Err(TlsError::Certificate { origin: origin.to_owned(), source: None });
        };
        let validity = validity(leaf);
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| TlsError::Key { origin: origin.to_owned(), source })?;
        let key = CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
            .map_err(|source| TlsError::Pair { origin: origin.to_owned(), source })?;
        Ok(Loaded { key: Arc::new(key), validity })
    }
}

/// The certificate that new connections get; it may be exchanged at any time.
#[derive(Debug)]
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Serves this one.
    #[must_use]
    pub fn new(loaded: &Loaded) -> Arc<Certificate> {
        Arc::new(Certificate(RwLock::new(Arc::clone(&loaded.key))))
    }

    /// From now on serves that one.
    pub fn replace(&self, loaded: &Loaded) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded.key);
    }

    /// The leaf that new connections get, in DER form.
    #[must_use]
    pub fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).cert.first().cloned()
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, and always the certificate of the moment.
    ///
    /// # Errors
    /// If the cryptography cannot do these versions of TLS.
    pub fn server_config(self: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The pair of files that `--tls-cert` and `--tls-key` name.
#[derive(Debug, Clone)]
pub struct Files {
    /// Certificate chain.
    pub certificates: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

impl Files {
    /// What they hold now. Should they be exchanged between the reading of the one and of the other, both are read again.
    ///
    /// # Errors
    /// [`TlsError::Read`], naming the file.
    pub async fn read(&self) -> Result<Pem, TlsError> {
        let files = self.clone();
        // All in one go on one thread, because every wait between two of them is time for an exchange.
        let read = tokio::task::spawn_blocking(move || files.read_now()).await;
        let gone = |source| TlsError::Read { path: self.certificates.clone(), source };
        read.map_err(std::io::Error::other).map_err(gone)?
    }

    fn read_now(&self) -> Result<Pem, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source });
        let mut certificates = read(&self.certificates)?;
        for _ in 0..READS {
            let key = read(&self.key)?;
            let same = read(&self.certificates)?;
            if same == certificates {
                return Ok(Pem { certificates, key });
            }
            certificates = same;
        }
        Ok(Pem { certificates, key: read(&self.key)? })
    }

    fn origin(&self) -> String {
        format!("{} and {}", self.certificates.display(), self.key.display())
    }

    /// Reads and loads them for the first time.
    ///
    /// # Errors
    /// [`TlsError`], if nothing could be served with them.
    pub async fn open(self, metrics: &Metrics) -> Result<FollowedFiles, TlsError> {
        let pem = self.read().await?;
        let loaded = pem.load(&self.origin())?;
        report(&loaded, metrics);
        Ok(FollowedFiles { files: self, certificate: Certificate::new(&loaded), seen: Seen::Pem(pem) })
    }
}

/// Files whose certificate serves, and what they looked like last.
pub struct FollowedFiles {
    files: Files,
    certificate: Arc<Certificate>,
    seen: Seen,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Pem(Pem),
    Unreadable(String),
}

impl FollowedFiles {
    /// The certificate that follows them.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.certificate)
    }

    /// Looks at the files every so often, until told to stop.
    ///
    /// # Errors
    /// None; whatever is wrong with the files is logged and the old certificate kept.
    pub async fn follow(mut self, every: Duration, metrics: Metrics, stop: CancellationToken) -> anyhow::Result<()> {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            self.look(&metrics).await;
        }
        Ok(())
    }

    async fn look(&mut self, metrics: &Metrics) {
        let (seen, loaded) = match self.files.read().await {
            Ok(pem) if self.seen == Seen::Pem(pem.clone()) => return,
            // A pair that was caught half exchanged fails here, and is whole at the next look.
            Ok(pem) => {
                let loaded = pem.load(&self.files.origin());
                (Seen::Pem(pem), loaded)
            }
            Err(error) => (Seen::Unreadable(chain(&error)), Err(error)),
        };
        if self.seen == seen {
            return;
        }
        self.seen = seen;
        match loaded {
            Ok(loaded) => {
                self.certificate.replace(&loaded);
                report(&loaded, metrics);
            }
            Err(error) => {
                metrics.certificate_failed();
                tracing::error!(error = chain(&error), "the certificate files changed; the old certificate is kept");
            }
        }
    }
}

/// Says which certificate serves from now on, and whether its dates look odd from here.
pub fn report(loaded: &Loaded, metrics: &Metrics) {
    let Some(Validity { not_before, not_after }) = loaded.validity else {
        tracing::warn!("a certificate was loaded whose dates cannot be read");
        metrics.certificate_loaded(0);
        return;
    };
    metrics.certificate_loaded(not_after.unix_nanos().div_euclid(1_000_000_000));
    let now = wall_now();
    let (from, until) = (rfc3339(not_before), rfc3339(not_after));
    if now < not_before || now > not_after {
        tracing::warn!(
            from,
            until,
            now = rfc3339(now),
            "the certificate is not valid now, or this node's clock is wrong"
        );
    } else {
        tracing::info!(from, until, "certificate loaded");
    }
}
