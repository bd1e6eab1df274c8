//! The ConfigMaps that are reviewed, as an application's configuration looks: of 1 KiB to 1 MiB.

use serde_json::{Value, json};

pub(crate) struct Object {
    pub(crate) name: String,
    /// As the API server would send it.
    pub(crate) review: Vec<u8>,
    pub(crate) admitted: bool,
    /// Over so many connections.
    pub(crate) connections: &'static [usize],
    /// This part of the reviews of a round: larger ones take longer.
    pub(crate) fewer: usize,
}

pub(crate) fn all() -> Vec<Object> {
    const ONE: &[usize] = &[1];
    const BOTH: &[usize] = &[1, 8];
    let mut all = Vec::new();
    for (kib, connections, fewer) in [(1, ONE, 1), (4, BOTH, 1), (64, ONE, 8), (1_000, ONE, 100)] {
        for (what, first, admitted) in [
            ("nothing about skew", "server.name=shop\n", true),
            ("skew, all fine", "jwt.leeway.seconds=30\nauth.clock-skew=60s\n", true),
            ("refused", "jwt.leeway.seconds=0\n", false),
        ] {
            let review = review(&[("application.properties".to_owned(), properties(kib << 10, first))]);
            all.push(Object { name: format!("{kib} KiB, {what}"), review, admitted, connections, fewer });
        }
    }
    all
}

fn properties(bytes: usize, first: &str) -> String {
    let mut properties = first.to_owned();
    let mut line = 0;
    while properties.len() < bytes {
        line += 1;
        properties.push_str(&format!(
            "service.endpoint.{line}.url=https://backend-{line}.shop.svc:8443/api?retries={line}\n"
        ));
    }
    properties.truncate(bytes);
    properties
}

/// Of a ConfigMap with this data.
pub(crate) fn review(data: &[(String, String)]) -> Vec<u8> {
    let data: serde_json::Map<String, Value> = data.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "9cf5aafd-f1e0-4b1c-8f6e-0c1f1c4a7d0d",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "shop", "namespace": "shop", "operation": "CREATE",
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]},
            "object": {
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {
                    "name": "shop", "namespace": "shop", "uid": "a1b5f4a8-2f1e-4d41-a3c1-0f8a1e1b0c55",
                    "creationTimestamp": "2026-11-21T12:00:00Z",
                    "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/part-of": "store"},
                    "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1",
                        "time": "2026-11-21T12:00:00Z", "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:data": {"f:application.properties": {}}, "f:metadata": {"f:labels": {}}}}],
                },
                "data": data,
            },
            "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl"},
        },
    });
    review.to_string().into_bytes()
}
