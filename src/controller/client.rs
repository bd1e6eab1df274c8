//! Performs a [`Request`] on a real API server, and counts what was changed.
//!
//! The only place through which the controller writes to a cluster. Every request ends: one that is not answered in
//! time is broken off, and its connection with it.

use super::audit::report::{Act, Write as ReportWrite};
use super::gate::{self, Gate};
use super::request::{Kind, Outcome, Refusal, Request, Verb};
use super::write::Notice;
use crate::api::{self, NodeClock, TimeSyncPolicy};
use crate::telemetry;
use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Config, Resource};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The longest note that an Event may carry is 1,024 characters (`events.k8s.io/v1`, `note`).
const NOTE_MAX: usize = 1000;
/// Server-side apply; JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// A connection to the API server.
#[derive(Clone)]
pub struct Performer {
    client: Client,
    recorder: Recorder,
    lease_namespace: String,
}

impl Performer {
    /// One that signs Events as `instance`, and whose leases are in this namespace.
    #[must_use]
    pub fn new(client: Client, instance: String, lease_namespace: String) -> Performer {
        let reporter = Reporter { controller: api::CONTROLLER.to_owned(), instance: Some(instance) };
        Performer { recorder: Recorder::new(client.clone(), reporter), client, lease_namespace }
    }

    /// The answer, or why there is none within `patience`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn perform(&self, request: &Request, patience: Duration) -> Outcome {
        let outcome = async {
            match request.kind {
                Kind::Event => self.publish(&request.body).await,
                Kind::Node | Kind::Policy | Kind::Clock | Kind::Lease => self.ask(request).await,
            }
        };
        match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal::Silent(format!("nothing within {patience:?}"))),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Value, kube::Error> {
        let path = match request.kind {
            Kind::Node => Node::url_path(&(), None),
            Kind::Policy => TimeSyncPolicy::url_path(&(), None),
            Kind::Clock => NodeClock::url_path(&(), None),
            Kind::Lease | Kind::Event => Lease::url_path(&(), Some(&self.lease_namespace)),
        };
        let manager = format!("fieldManager={}", api::CONTROLLER);
        let name = if request.status { format!("{}/status", request.name) } else { request.name.clone() };
        let (method, uri, content) = match request.verb {
            Verb::Get => (Method::GET, format!("{path}/{name}"), None),
            Verb::Create => (Method::POST, format!("{path}?{manager}"), Some("application/json")),
            Verb::Merge => (Method::PATCH, format!("{path}/{name}?{manager}"), Some("application/merge-patch+json")),
            Verb::Strategic => {
                (Method::PATCH, format!("{path}/{name}?{manager}"), Some("application/strategic-merge-patch+json"))
            }
            Verb::Replace => (Method::PUT, format!("{path}/{name}?{manager}"), Some("application/json")),
        };
        let mut http = http::Request::builder().method(method).uri(uri);
        let body = match content {
            Some(content) => {
                http = http.header(http::header::CONTENT_TYPE, content);
                serde_json::to_vec(&request.body).map_err(kube::Error::SerdeError)?
            }
            None => Vec::new(),
        };
        // All of it: `managedFields`, which an index does not keep, tell whose a cordon is.
        self.client.request(http.body(body).map_err(kube::Error::HttpError)?).await
    }

    /// Applies or deletes a report of the audit.
    async fn report(&self, write: &ReportWrite) -> Result<Value, kube::Error> {
        let (path, manager) = (write.path(), format!("fieldManager={}", api::CONTROLLER));
        let (method, uri, content, body) = match &write.act {
            // Without force: a field that somebody else has set is a conflict.
            Act::Make(body) => (Method::PATCH, format!("{path}?{manager}"), APPLY, body.clone()),
            Act::Change(body) => (Method::PATCH, format!("{path}?{manager}&force=true"), APPLY, body.clone()),
            Act::Remove { uid, version } => {
                let only = json!({"preconditions": {"uid": uid, "resourceVersion": version}});
                (Method::DELETE, path, "application/json", only)
            }
        };
        let body = serde_json::to_vec(&body).map_err(kube::Error::SerdeError)?;
        let http = http::Request::builder().method(method).uri(uri).header(http::header::CONTENT_TYPE, content);
        self.client.request(http.body(body).map_err(kube::Error::HttpError)?).await
    }

    async fn publish(&self, body: &Value) -> Result<Value, kube::Error> {
        let notice: Notice = serde_json::from_value(body.clone()).map_err(kube::Error::SerdeError)?;
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            note: Some(notice.note.chars().take(NOTE_MAX).collect()),
            action: "Clockwarden".to_owned(),
            secondary: None,
        };
        self.recorder.publish(&event, &notice.about).await.map(|()| Value::Null)
    }
}

/// Performs what only a leader may: through the gate of its term, over connections of that term.
#[derive(Clone)]
pub struct Deputy {
    config: Config,
    instance: String,
    lease_namespace: String,
    /// Of the latest term.
    performer: Arc<Mutex<Option<(Gate, Performer)>>>,
}

impl Deputy {
    /// One that signs Events as `instance`. Nothing is connected yet.
    #[must_use]
    pub fn new(config: Config, instance: String, lease_namespace: String) -> Deputy {
        Deputy { config, instance, lease_namespace, performer: Arc::default() }
    }

    /// The answer, or why there is none within `patience`. What has not left when the gate shuts does not leave.
    ///
    /// # Errors
    /// See [`Refusal`]; [`Refusal::Silent`] if the gate was shut, because a part may have left before.
    pub async fn perform(&self, request: &Request, patience: Duration, gate: &Gate) -> Outcome {
        let outcome = async { self.performer(gate).await?.perform(request, patience).await };
        let silent = |_| Err(Refusal::Silent(format!("nothing within {patience:?}")));
        tokio::time::timeout(patience, outcome).await.unwrap_or_else(silent)
    }

    /// The same for a report of the audit.
    ///
    /// # Errors
    /// As [`Deputy::perform`].
    pub async fn report(&self, write: &ReportWrite, patience: Duration, gate: &Gate) -> Outcome {
        let outcome = async { self.performer(gate).await?.report(write).await.map_err(|error| refusal(&error)) };
        let silent = |_| Err(Refusal::Silent(format!("nothing within {patience:?}")));
        tokio::time::timeout(patience, outcome).await.unwrap_or_else(silent)
    }

    async fn performer(&self, gate: &Gate) -> Result<Performer, Refusal> {
        let mut latest = self.performer.lock().await;
        if let Some((of, performer)) = latest.as_ref()
            && of.is(gate)
        {
            return Ok(performer.clone());
        }
        // Certificates are read from files, and credentials may come from a program that is run for them.
        let (config, of) = (self.config.clone(), gate.clone());
        let client = tokio::task::spawn_blocking(move || gate::client(&config, &of)).await;
        let client = client.map_err(|error| Refusal::Silent(telemetry::chain(&error)))?;
        let client = client.map_err(|error| refusal(&error))?;
        let performer = Performer::new(client, self.instance.clone(), self.lease_namespace.clone());
        *latest = Some((gate.clone(), performer.clone()));
        Ok(performer)
    }
}

fn refusal(error: &kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => match status.code {
            404 => Refusal::NotFound,
            409 => Refusal::Conflict,
            code => Refusal::Refused { code, message: status.message.clone() },
        },
        kube::Error::SerdeError(_) | kube::Error::HttpError(_) => {
            Refusal::Refused { code: 0, message: telemetry::chain(error) }
        }
        _ => Refusal::Silent(telemetry::chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn an_api_server_that_takes_a_request_and_never_answers_does_not_hold_us_for_ever() {
        // Port 0 of a listener that nobody accepts from: the kernel completes the connection, and that is all.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let client = Client::try_from(kube::Config::new(url)).unwrap();
        let performer = Performer::new(client, "test".into(), "default".into());
        // Only now: connecting and waiting is all that is left, and the clock of the runtime leaps over that.
        tokio::time::pause();
        let (kind, name) = (Kind::Node, "n".to_owned());
        let request = Request { verb: Verb::Get, kind, name, status: false, body: Value::Null };
        let outcome = performer.perform(&request, Duration::from_secs(5)).await;
        assert!(matches!(outcome, Err(Refusal::Silent(_))), "{outcome:?}");
        drop(listener);
    }

    /// What of two requests gets to the API server, the gate being changed between them.
    async fn check(gate: Gate, change: impl Fn(&Gate), expected: &[bool]) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let deputy = Deputy::new(config, "test".into(), "default".into());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            loop {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).await.unwrap();
                heard.extend_from_slice(&piece[..length]);
                if length == 0 {
                    return (String::from_utf8(heard).unwrap(), listener);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"metadata\":{}}").await.unwrap();
            }
        });
        for (name, expected) in ["first", "second"].into_iter().zip(expected) {
            let body = serde_json::json!({"is": name});
            let request = Request { verb: Verb::Merge, kind: Kind::Node, name: name.to_owned(), status: false, body };
            let outcome = deputy.perform(&request, Duration::from_secs(5), &gate).await;
            assert_eq!(outcome.is_ok(), *expected, "{outcome:?}");
            if let Err(refusal) = outcome {
                let told = refusal.to_string();
                assert!(matches!(refusal, Refusal::Silent(_)) && told.contains("lease"), "{told}");
            }
            change(&gate);
        }
        // Without us its end is here, unless it was here already.
        drop(deputy);
        let (heard, _listener) = tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
        for (name, expected) in ["first", "second"].into_iter().zip(expected) {
            assert_eq!(heard.contains(name), *expected, "{heard}");
        }
    }

    #[tokio::test]
    async fn what_has_not_left_when_the_term_ends_does_not_leave_and_its_connection_ends() {
        check(Gate::always(), |_| {}, &[true, true]).await;
        // The second finds the connection of the first.
        check(Gate::always(), Gate::shut, &[true, false]).await;
        check(Gate::until(crate::runtime::boot_now()), |_| {}, &[false, false]).await;
    }

    #[tokio::test]
    async fn each_term_has_connections_of_its_own() {
        let deputy = Deputy::new(Config::new("http://127.0.0.1:1".parse().unwrap()), "test".into(), "default".into());
        let (first, second) = (Gate::always(), Gate::always());
        deputy.performer(&first).await.unwrap();
        let is_of = async |gate: &Gate| deputy.performer.lock().await.as_ref().is_some_and(|(of, _)| of.is(gate));
        assert!(is_of(&first).await);
        deputy.performer(&second).await.unwrap();
        assert!(is_of(&second).await && !is_of(&first).await);
    }
}
