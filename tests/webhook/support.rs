//! A webhook with policies of the test's choice, and reviews to send to it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use clockwarden::inspect::Bounds;
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::webhook::metrics::Metrics;
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::{Budget, Webhook, observing, serving};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

/// A webhook in process.
pub(crate) struct Hook {
    pub(crate) serving: Router,
    pub(crate) observing: Router,
    pub(crate) metrics: Metrics,
}

pub(crate) fn enforcing() -> Policies {
    let admission = Admission {
        mode: Mode::Enforce,
        bounds: Bounds::default(),
        namespaces: Selector::default(),
        settings: Vec::new(),
    };
    Policies::fixed([("production".to_owned(), admission)])
}

pub(crate) fn hook(policies: Policies, budget: Budget) -> Hook {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let webhook = Webhook::new(policies, metrics.clone(), budget);
    Hook { serving: serving(Arc::clone(&webhook)), observing: observing(webhook, Arc::new(registry)), metrics }
}

/// One request to a router, one answer: code, headers, body.
pub(crate) async fn call(router: &Router, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Bytes) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

pub(crate) fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/validate?timeout=10s").header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

pub(crate) async fn text(router: &Router, path: &str) -> (StatusCode, String) {
    let (code, _, body) = call(router, Request::get(path).body(Body::empty()).unwrap()).await;
    (code, String::from_utf8(body.to_vec()).unwrap())
}

/// One line of the metrics, without its name and labels.
pub(crate) async fn metric(hook: &Hook, name: &str) -> f64 {
    let (_, metrics) = text(&hook.observing, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

pub(crate) fn review(operation: &str, object: Value, old: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "pay", "namespace": "shop", "operation": operation,
            "userInfo": {"username": "admin", "groups": ["system:masters"]},
            "object": object, "oldObject": old, "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

pub(crate) fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pay", "namespace": "shop"}, "data": data})
}

pub(crate) fn benign() -> Vec<u8> {
    serde_json::to_vec(&review("CREATE", config_map(json!({"colour": "blue"})), Value::Null)).unwrap()
}
