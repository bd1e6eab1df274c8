//! Certificates without anybody else's help: made here, kept in a Secret, made known to the API server.
//!
//! The Secret is what all replicas share; whoever finds it missing, unusable, for other names or due writes a new
//! certificate into it, with its resourceVersion as the condition, and the others take what was written. The
//! webhook configuration gets the new and the former certificate as its `caBundle` before anybody serves the new one,
//! so there is no moment at which the API server meets a certificate that it does not trust.
//!
//! A Secret that somebody else filled is never written to.
//!
//! Needs: get, create, update on the Secret; get, update on the ValidatingWebhookConfiguration.

use super::metrics::Metrics;
use super::selfsigned::{due, issue};
use super::tls::{Certificate, Pem, TlsError, report};
use crate::clock::Wall;
use crate::runtime::{CancellationToken, wall_now};
use crate::telemetry::chain;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often Secret and configuration are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);
/// From the API server's knowing the new certificate to its being served: its own caches follow within
/// milliseconds, those of other API servers of the cluster too.
const SETTLE: Duration = Duration::from_secs(5);
/// Others may write at the same moment, but not for ever.
const TRIES: usize = 5;

/// For which names the certificate was made. Also what shows that a Secret is ours.
const NAMES: &str = "clockwarden.io/certificate-names";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const TRUSTED: &str = "ca.crt";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The API server said no, or nothing.
    #[error("cannot {what}")]
    Kube {
        /// Verb and object.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// Somebody else's Secret.
    #[error(
        "the Secret {0} holds something that clockwarden did not make (it lacks the annotation {NAMES}): name another \
         one, delete it, or mount it and use --tls-cert and --tls-key"
    )]
    Foreign(String),
    /// Nobody is told to call us.
    #[error("the ValidatingWebhookConfiguration {0} has no webhook with clientConfig.service or clientConfig.url")]
    Nameless(String),
    /// It cannot be made.
    #[error("cannot make a certificate for {names}")]
    Issue {
        /// Names that it was to have.
        names: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// It cannot serve.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Somebody else kept changing them.
    #[error("the Secret or the webhook configuration changed {TRIES} times while it was being written")]
    Contended,
}

/// Where the certificate is kept and who has to trust it.
#[derive(Clone)]
pub struct Managed {
    secrets: Api<Secret>,
    configurations: Api<DynamicObject>,
    /// Namespace and name of the Secret.
    secret: (String, String),
    configuration: String,
}

impl Managed {
    /// Nothing is read or written yet.
    #[must_use]
    pub fn new(client: Client, secret: (String, String), configuration: String) -> Managed {
        // Untyped, so that writing it back drops no field that this version has never heard of.
        let resource = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
        Managed {
            secrets: Api::namespaced(client.clone(), &secret.0),
            configurations: Api::all_with(client, &resource),
            secret,
            configuration,
        }
    }

    /// Sees to it that there is a certificate and that the API server trusts it.
    ///
    /// # Errors
    /// [`ManagedError`].
    pub async fn open(self, metrics: &Metrics) -> Result<FollowedSecret, ManagedError> {
        let pem = self.ensure(None).await?;
        let loaded = pem.load(&self.origin())?;
        report(&loaded, metrics);
        Ok(FollowedSecret { certificate: Certificate::new(&loaded), served: pem, managed: self })
    }

    fn origin(&self) -> String {
        format!("Secret {}/{}", self.secret.0, self.secret.1)
    }

    /// `served` is what this process serves meanwhile: should the Secret have gone, it stays trusted.
    async fn ensure(&self, served: Option<&Pem>) -> Result<Pem, ManagedError> {
        for _ in 0..TRIES {
            if let Some(pem) = self.try_once(served).await? {
                return Ok(pem);
            }
        }
        Err(ManagedError::Contended)
    }

    /// `None`: somebody else was quicker; look again.
    async fn try_once(&self, served: Option<&Pem>) -> Result<Option<Pem>, ManagedError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            |source| ManagedError::Kube { what, source }
        };
        let about_configuration = format!("ValidatingWebhookConfiguration {}", self.configuration);
        let found = self.configurations.get(&self.configuration).await;
        let mut configuration = found.map_err(failed(&format!("get {about_configuration}")))?;
        let names = names(&configuration.data);
        if names.is_empty() {
            return Err(ManagedError::Nameless(self.configuration.clone()));
        }

        let secret = self.secrets.get_opt(&self.secret.1).await.map_err(failed(&format!("get {}", self.origin())))?;
        let secret = match next(secret.as_ref(), &names, wall_now(), &self.origin(), served)? {
            Next::Keep(secret) => secret,
            Next::Write(mut new) => {
                new.metadata.name = Some(self.secret.1.clone());
                let written = if secret.is_some() {
                    self.secrets.replace(&self.secret.1, &PostParams::default(), &new).await
                } else {
                    self.secrets.create(&PostParams::default(), &new).await
                };
                match not_contended(written).map_err(failed(&format!("write {}", self.origin())))? {
                    Some(written) => {
                        tracing::info!(secret = self.origin(), ?names, "made a new certificate");
                        written
                    }
                    None => return Ok(None),
                }
            }
        };

        if trust(&mut configuration.data, field(&secret, TRUSTED)) {
            let written =
                self.configurations.replace(&self.configuration, &PostParams::default(), &configuration).await;
            let written = not_contended(written).map_err(failed(&format!("update {about_configuration}")))?;
            if written.is_none() {
                return Ok(None);
            }
            tracing::info!(configuration = self.configuration, "caBundle written");
        }
        Ok(Some(pem(&secret)))
    }
}

/// Conflict and AlreadyExists mean that somebody else wrote first.
fn not_contended<T>(written: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match written {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if matches!(*status, Status { code: 409, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A Secret whose certificate serves.
pub struct FollowedSecret {
    managed: Managed,
    certificate: Arc<Certificate>,
    served: Pem,
}

impl FollowedSecret {
    /// The certificate that follows it.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.certificate)
    }

    /// Looks after Secret and configuration every so often, until told to stop.
    ///
    /// # Errors
    /// None; whatever goes wrong is logged, and the certificate that serves goes on serving.
    pub async fn follow(mut self, every: Duration, metrics: Metrics, stop: CancellationToken) -> anyhow::Result<()> {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let looked = stop.run_until_cancelled(self.look(&metrics)).await;
            if let Some(Err(error)) = looked {
                metrics.certificate_failed();
                tracing::error!(
                    error = chain(&error),
                    "the certificate could not be looked after; the old one is kept"
                );
            }
        }
        Ok(())
    }

    async fn look(&mut self, metrics: &Metrics) -> Result<(), ManagedError> {
        let pem = self.managed.ensure(Some(&self.served)).await?;
        if pem != self.served {
            let loaded = pem.load(&self.managed.origin())?;
            tokio::time::sleep(SETTLE).await;
            self.certificate.replace(&loaded);
            self.served = pem;
            report(&loaded, metrics);
        }
        Ok(())
    }
}

fn field<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[], |bytes| &bytes.0)
}

fn pem(secret: &Secret) -> Pem {
    Pem { certificates: field(secret, CERTIFICATE).to_vec(), key: field(secret, KEY).to_vec() }
}

/// What becomes of the Secret.
#[derive(Debug)]
enum Next {
    Keep(Secret),
    Write(Secret),
}

fn next(
    found: Option<&Secret>,
    names: &BTreeSet<String>,
    now: Wall,
    origin: &str,
    served: Option<&Pem>,
) -> Result<Next, ManagedError> {
    let mut secret = found.cloned().unwrap_or_default();
    let wanted = names.iter().cloned().collect::<Vec<_>>().join(",");
    let ours = secret.annotations().get(NAMES).cloned();
    let filled = secret.data.as_ref().is_some_and(|data| data.values().any(|value| !value.0.is_empty()));
    if filled && ours.is_none() {
        return Err(ManagedError::Foreign(origin.to_owned()));
    }
    let in_secret = pem(&secret);
    let former = in_secret.load(origin).ok().and_then(|loaded| loaded.validity);
    let good = former.is_some_and(|validity| !due(validity, now)) && !field(&secret, TRUSTED).is_empty();
    if good && ours.as_deref() == Some(wanted.as_str()) {
        return Ok(Next::Keep(secret));
    }
    let list: Vec<String> = names.iter().cloned().collect();
    // Somebody deleted the Secret, or spoilt it: what is served is all that is left of the former one.
    let (former_pem, former) = match (former, served) {
        (None, Some(served)) => (served, served.load(origin).ok().and_then(|loaded| loaded.validity)),
        _ => (&in_secret, former),
    };
    let made = issue(&list, now, former.map(|validity| validity.not_before))
        .map_err(|source| ManagedError::Issue { names: wanted.clone(), source })?;
    let mut trusted = made.certificates.clone();
    if former.is_some() {
        // It is still served: by us until the new one is known everywhere, by other replicas until they have looked.
        trusted.extend_from_slice(&former_pem.certificates);
    }
    let contents = [(CERTIFICATE, made.certificates), (KEY, made.key), (TRUSTED, trusted)];
    secret.data = Some(contents.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect());
    secret.annotations_mut().insert(NAMES.to_owned(), wanted);
    if found.is_none() {
        secret.type_ = Some("kubernetes.io/tls".to_owned());
    }
    Ok(Next::Write(secret))
}

fn clients(configuration: &Value) -> impl Iterator<Item = &Value> {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array);
    webhooks.into_iter().flatten().filter_map(|webhook| webhook.get("clientConfig"))
}

/// The names by which the API server calls: `SERVICE.NAMESPACE.svc`, or the host of a URL.
fn names(configuration: &Value) -> BTreeSet<String> {
    let name = |client: &Value| {
        if let Some(service) = client.get("service") {
            let part = |key: &str| service.get(key).and_then(Value::as_str);
            return Some(format!("{}.{}.svc", part("name")?, part("namespace")?));
        }
        let url: axum::http::Uri = client.get("url")?.as_str()?.parse().ok()?;
        Some(url.host()?.trim_matches(['[', ']']).to_owned())
    };
    clients(configuration).filter_map(name).collect()
}

/// Has every webhook of the configuration trust these certificates; whether that changed anything.
fn trust(configuration: &mut Value, certificates: &[u8]) -> bool {
    let Ok(bundle) = serde_json::to_value(ByteString(certificates.to_vec())) else { return false };
    let mut changed = false;
    let webhooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    for client in webhooks.into_iter().flatten().filter_map(|webhook| webhook.get_mut("clientConfig")) {
        if client.get("caBundle") != Some(&bundle)
            && let Some(client) = client.as_object_mut()
        {
            client.insert("caBundle".to_owned(), bundle.clone());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Wall = Wall::from_unix_nanos(1_795_000_000_000_000_000);

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn later(days: i64) -> Wall {
        Wall::from_unix_nanos(NOW.unix_nanos() + days * 86_400_000_000_000)
    }

    fn written(found: Option<&Secret>, names: &[&str], now: Wall) -> Secret {
        match next(found, &set(names), now, "Secret ns/s", None).unwrap() {
            Next::Write(secret) => secret,
            Next::Keep(_) => panic!("kept {found:?}"),
        }
    }

    fn kept(found: &Secret, names: &[&str], now: Wall) -> bool {
        matches!(next(Some(found), &set(names), now, "Secret ns/s", None), Ok(Next::Keep(_)))
    }

    #[test]
    fn a_secret_is_kept_while_it_is_good_and_written_when_it_is_not() {
        let first = written(None, &["hook.ns.svc"], NOW);
        assert!(kept(&first, &["hook.ns.svc"], NOW) && kept(&first, &["hook.ns.svc"], later(200)));
        for spoil in [CERTIFICATE, KEY, TRUSTED] {
            let mut spoilt = first.clone();
            spoilt.data.as_mut().unwrap().insert(spoil.to_owned(), ByteString(Vec::new()));
            assert!(!kept(&spoilt, &["hook.ns.svc"], NOW), "{spoil}");
        }
        assert!(!kept(&first, &["hook.ns.svc", "127.0.0.1"], NOW));
        assert!(!kept(&first, &["hook.ns.svc"], later(300)));
    }

    #[test]
    fn the_former_certificate_stays_trusted_and_the_one_before_goes() {
        let first = written(None, &["a.b.svc"], NOW);
        let second = written(Some(&first), &["a.b.svc"], later(300));
        let third = written(Some(&second), &["a.b.svc"], later(600));
        let trusted = |secret: &Secret| String::from_utf8(field(secret, TRUSTED).to_vec()).unwrap();
        let served = |secret: &Secret| String::from_utf8(field(secret, CERTIFICATE).to_vec()).unwrap();
        assert_eq!(trusted(&first), served(&first));
        assert_eq!(trusted(&second), served(&second) + &served(&first));
        assert_eq!(trusted(&third), served(&third) + &served(&second));
        // It begins when the first one began, whatever our clock says meanwhile.
        let begins = |secret: &Secret| pem(secret).load("t").unwrap().validity.unwrap().not_before;
        assert_eq!(begins(&third), begins(&first));
    }

    #[test]
    fn what_is_served_stays_trusted_when_its_secret_was_deleted_or_spoilt() {
        let first = written(None, &["a.b.svc"], NOW);
        let serves = pem(&first);
        let mut spoilt = first.clone();
        spoilt.data.as_mut().unwrap().clear();
        for left in [None, Some(&spoilt)] {
            let Ok(Next::Write(second)) = next(left, &set(&["a.b.svc"]), later(1), "Secret ns/s", Some(&serves)) else {
                panic!("kept {left:?}");
            };
            let expected = [field(&second, CERTIFICATE), &serves.certificates].concat();
            assert_eq!(field(&second, TRUSTED), expected);
        }
    }

    #[test]
    fn a_secret_of_somebody_else_is_not_touched() {
        let data = |value: &str| Some([(CERTIFICATE.to_owned(), ByteString(value.into()))].into());
        let foreign = Secret { data: data("x"), ..Secret::default() };
        let refused = next(Some(&foreign), &set(&["a.b.svc"]), NOW, "Secret ns/s", None);
        assert!(matches!(refused, Err(ManagedError::Foreign(ref name)) if name == "Secret ns/s"), "{refused:?}");
        // An empty one, as charts make them, is ours to fill, with its labels and its version.
        let mut empty = Secret { data: data(""), ..Secret::default() };
        empty.metadata.resource_version = Some("7".into());
        let filled = written(Some(&empty), &["a.b.svc"], NOW);
        assert_eq!(filled.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(filled.type_, None);
    }

    #[test]
    fn the_names_are_those_by_which_the_api_server_calls() {
        let mut configuration = json!({"webhooks": [
            {"clientConfig": {"service": {"name": "hook", "namespace": "ns", "path": "/validate", "port": 443}}},
            {"clientConfig": {"service": {"name": "hook", "namespace": "ns"}, "caBundle": "eA=="}},
            {"clientConfig": {"url": "https://127.0.0.1:9443/validate"}},
            {"clientConfig": {"url": "https://[::1]:9443/validate"}},
            {"clientConfig": {"url": "https://hook.example.com/validate"}},
            {"clientConfig": {}},
        ]});
        assert_eq!(names(&configuration), set(&["127.0.0.1", "::1", "hook.example.com", "hook.ns.svc"]));
        assert_eq!(names(&json!({})), set(&[]));
        assert!(trust(&mut configuration, b"x y"));
        assert!(clients(&configuration).all(|client| client.get("caBundle") == Some(&json!("eCB5"))));
        assert!(!trust(&mut configuration, b"x y"), "a second time changes nothing");
    }
}
