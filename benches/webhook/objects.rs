//! The ConfigMaps that are reviewed: 4 KiB each, as an application's configuration looks.

use serde_json::json;

pub(crate) struct Object {
    pub(crate) name: &'static str,
    /// As the API server would send it.
    pub(crate) review: Vec<u8>,
    pub(crate) admitted: bool,
}

pub(crate) fn all() -> [Object; 3] {
    [
        object("benign", "server.name=shop\n", true),
        object("mentions leeway, all fine", "jwt.leeway.seconds=30\nauth.clock-skew=60s\n", true),
        object("refused", "jwt.leeway.seconds=0\n", false),
    ]
}

fn object(name: &'static str, first: &str, admitted: bool) -> Object {
    let mut properties = first.to_owned();
    let mut line = 0;
    while properties.len() < 4 << 10 {
        line += 1;
        properties.push_str(&format!(
            "service.endpoint.{line}.url=https://backend-{line}.shop.svc:8443/api?retries={line}\n"
        ));
    }
    properties.truncate(4 << 10);
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
                "data": {"application.properties": properties},
            },
            "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl"},
        },
    });
    Object { name, review: review.to_string().into_bytes(), admitted }
}
