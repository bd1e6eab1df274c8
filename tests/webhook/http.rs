//! Every body gets a proper answer, and none of them can make the webhook use more than its budget.

use crate::support::{Hook, benign, call, config_map, enforcing, hook, metric, post, review, text};
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use clockwarden::inspect::Limits;
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::Budget;
use futures::stream::{self, StreamExt as _};
use http_body_util::Limited;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// The answer must be an error with this code whose Status says this.
async fn refused_as(hook: &Hook, request: Request<Body>, code: StatusCode, says: &str) {
    let (got, headers, body) = call(&hook.serving, request).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(got, code, "{text}");
    assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), "application/json", "{text}");
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["kind"], "Status", "{status}");
    assert_eq!((&status["status"], &status["code"]), (&json!("Failure"), &json!(code.as_u16())), "{status}");
    assert!(status["message"].as_str().unwrap().contains(says), "{status}");
}

fn typed(content_type: Option<&str>) -> Request<Body> {
    let mut request = post(benign());
    request.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(value) = content_type {
        request.headers_mut().insert(header::CONTENT_TYPE, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn what_is_no_review_gets_an_error_that_says_so() {
    let hook = hook(enforcing(), Budget::default());
    let bad = StatusCode::BAD_REQUEST;
    for (body, says) in [
        ("", "no AdmissionReview"),
        ("not json", "no AdmissionReview"),
        ("<html></html>", "no AdmissionReview"),
        ("null", "no AdmissionReview"),
        ("\u{0}", "no AdmissionReview"),
        ("{}", "expected \"admission.k8s.io/v1\""),
        ("[]", "expected \"admission.k8s.io/v1\""),
        (r#"{"apiVersion":"v1","kind":"ConfigMap","data":{}}"#, "kind \"ConfigMap\""),
        (r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#, "v1beta1"),
        (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "no request"),
        (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"operation":"CREATE"}}"#, "uid"),
        (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u"}}"#, "operation"),
    ] {
        refused_as(&hook, post(body), bad, says).await;
    }
    let whole = benign();
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        refused_as(&hook, post(whole[..cut].to_vec()), bad, "no AdmissionReview").await;
    }
    refused_as(&hook, post(vec![0xff, 0xfe, 0x00]), bad, "no AdmissionReview").await;
    refused_as(&hook, post([&whole[..], b"{}"].concat()), bad, "trailing").await;
    assert_eq!(metric(&hook, r#"clockwarden_admission_requests_total{verdict="invalid"}"#).await, 17.0);
}

#[tokio::test]
async fn only_json_is_read() {
    let hook = hook(enforcing(), Budget::default());
    for wrong in [None, Some("text/plain"), Some("application/yaml"), Some("application/jsonx"), Some("")] {
        refused_as(&hook, typed(wrong), StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json").await;
    }
    for right in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        assert_eq!(call(&hook.serving, typed(Some(right))).await.0, StatusCode::OK, "{right}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_turned_away() {
    let hook = hook(enforcing(), Budget::default());
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = || Request::builder().method(method).uri("/validate").body(Body::empty()).unwrap();
        refused_as(&hook, request(), StatusCode::METHOD_NOT_ALLOWED, "with POST to /validate").await;
        let (code, headers, _) = call(&hook.serving, request()).await;
        assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(headers.get(header::ALLOW).unwrap(), "POST", "{method}");
    }
    for path in ["/", "/metrics", "/validate/x", "/mutate"] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        refused_as(&hook, request, StatusCode::NOT_FOUND, "POST /validate").await;
    }
}

fn chunked(pieces: Vec<Bytes>) -> Body {
    Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
}

#[tokio::test]
async fn more_than_the_limit_is_refused_whether_declared_or_not() {
    let hook = hook(enforcing(), Budget::default());
    let limit = Budget::default().body;
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    refused_as(&hook, post(vec![b' '; limit + 1]), too_large, &limit.to_string()).await;
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    refused_as(&hook, post(chunked(vec![piece.clone(); 8])), too_large, &limit.to_string()).await;
    // A body without end is not read to its end.
    let endless = Body::from_stream(stream::repeat(Ok::<_, Infallible>(piece)));
    refused_as(&hook, post(endless), too_large, &limit.to_string()).await;
}

#[tokio::test]
async fn a_review_arrives_in_any_number_of_pieces_up_to_the_limit() {
    let hook = hook(enforcing(), Budget::default());
    let filler = "a".repeat(1 << 20);
    let mut large = serde_json::to_vec(&review("UPDATE", config_map(json!({"a": filler, "b": filler})), Value::Null));
    let large = large.as_mut().unwrap();
    large.resize(Budget::default().body, b' ');
    for body in [benign(), large.clone()] {
        for size in [body.len(), 1 + body.len() / 2, 1000] {
            let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
            let (code, _, answer) = call(&hook.serving, post(chunked(pieces))).await;
            assert_eq!(code, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
        }
        assert_eq!(call(&hook.serving, post(body)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_and_one_that_breaks_off_is_no_crash() {
    let hook = hook(enforcing(), Budget { body_time: Duration::from_millis(50), ..Budget::default() });
    refused_as(
        &hook,
        post(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())),
        StatusCode::REQUEST_TIMEOUT,
        "did not arrive",
    )
    .await;
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    refused_as(&hook, post(Body::from_stream(broken)), StatusCode::BAD_REQUEST, "broke off").await;
}

/// A body that is begun and goes on when the test says so.
fn slow(begun: &'static str) -> (tokio::sync::oneshot::Sender<Bytes>, Body) {
    let (sender, receiver) = tokio::sync::oneshot::channel::<Bytes>();
    let begun = stream::iter([Ok(Bytes::from_static(begun.as_bytes()))]);
    (sender, Body::from_stream(begun.chain(stream::once(receiver))))
}

#[tokio::test]
async fn the_oldest_of_too_many_bodies_on_their_way_is_told_to_come_back_and_the_others_are_served() {
    let hook = hook(enforcing(), Budget { arriving: 3, ..Budget::default() });
    let (mut senders, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (sender, body) = slow("");
        let router = hook.serving.clone();
        let mut answer = Box::pin(async move { call(&router, post(body)).await });
        // One poll, and it waits for its body.
        assert!(futures::poll!(answer.as_mut()).is_pending());
        senders.push(sender);
        waiting.push(answer);
    }
    let mut waiting = waiting.into_iter();
    let (code, headers, body) = waiting.next().unwrap().await;
    assert_eq!(code, StatusCode::TOO_MANY_REQUESTS, "{body:?}");
    assert_eq!(headers.get(header::RETRY_AFTER).unwrap(), "1");
    // One that does arrive is answered, whoever else does not go on.
    assert_eq!(call(&hook.serving, post(benign())).await.0, StatusCode::OK);
    for (sender, answer) in senders.into_iter().skip(2).zip(waiting.skip(1)) {
        sender.send(Bytes::from(benign())).unwrap();
        assert_eq!(answer.await.0, StatusCode::OK);
    }
    assert_eq!(metric(&hook, r#"clockwarden_admission_requests_total{verdict="overloaded"}"#).await, 1.0);
}

#[tokio::test]
async fn bodies_that_are_announced_and_do_not_come_hold_no_memory() {
    let budget = Budget {
        small: 1000,
        small_total: 2000,
        large_total: 10_000,
        body_time: Duration::from_millis(200),
        ..Budget::default()
    };
    let hook = hook(enforcing(), Budget { body: 8000, ..budget });
    let mut large = benign();
    large.resize(6000, b' ');
    let mut stuck = Vec::new();
    for length in [900, 900, 900, 7000, 7000, 7000] {
        let (sender, body) = slow("{");
        let request = post(Body::new(Limited::new(body, length)));
        let router = hook.serving.clone();
        let mut answer = Box::pin(async move { call(&router, request).await.0 });
        assert!(futures::poll!(answer.as_mut()).is_pending());
        stuck.push((sender, answer));
    }
    for body in [large, benign()] {
        assert_eq!(call(&hook.serving, post(body)).await.0, StatusCode::OK);
    }
    drop(stuck);
}

#[tokio::test]
async fn large_reviews_wait_for_memory_and_small_ones_do_not_wait_for_them() {
    let budget =
        Budget { small: 1000, large_total: 10_000, body_time: Duration::from_millis(300), ..Budget::default() };
    let budget = Budget { body: 8000, ..budget };
    let hook = hook(enforcing(), budget);
    let big = "[".repeat(7000).leak();
    let (sender, first) = slow(big);
    let router = hook.serving.clone();
    let mut first = Box::pin(async move { call(&router, post(first)).await.0 });
    assert!(futures::poll!(first.as_mut()).is_pending());
    let mut large = benign();
    large.resize(6000, b' ');
    let router = hook.serving.clone();
    let mut second = Box::pin(async move { call(&router, post(large)).await.0 });
    assert!(futures::poll!(second.as_mut()).is_pending());
    assert_eq!(call(&hook.serving, post(benign())).await.0, StatusCode::OK);
    // It gets its memory when the first one is through with it.
    drop(sender);
    assert_eq!(first.await, StatusCode::BAD_REQUEST);
    assert_eq!(second.await, StatusCode::OK);
    // One that waits in vain is told to come back.
    let hook = self::hook(enforcing(), Budget { large_total: 5000, ..budget });
    let mut large = benign();
    large.resize(6000, b' ');
    refused_as(&hook, post(large), StatusCode::TOO_MANY_REQUESTS, "try again").await;
}

#[tokio::test]
async fn the_uid_comes_back_as_it_was() {
    let hook = hook(enforcing(), Budget::default());
    for uid in ["705ab4f5-6393-11e8-b7cc-42010a800002", "a\"b\\c\nd", "ü€😀", &"x".repeat(5000)] {
        for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT"] {
            let mut body = review(operation, Value::Null, Value::Null);
            body["request"]["uid"] = json!(uid);
            let (code, _, answer) = call(&hook.serving, post(body.to_string())).await;
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(code, StatusCode::OK);
            assert_eq!(
                answer,
                json!({
                    "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                    "response": {"uid": uid, "allowed": true, "auditAnnotations": {"decision": "admitted"}},
                })
            );
        }
    }
}

#[tokio::test]
async fn an_object_beyond_the_limits_is_let_in_with_a_warning() {
    let limits = Limits { nodes: 100, ..Limits::default() };
    let hook = hook(enforcing(), Budget { limits, ..Budget::default() });
    let wide: Vec<u8> = vec![0; 1000];
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for object in [json!({"clockSkew": wide}).to_string(), format!(r#"{{"clockSkew":{deep}}}"#)] {
        let body = review("CREATE", json!("OBJECT"), Value::Null).to_string().replace("\"OBJECT\"", &object);
        let (code, _, answer) = call(&hook.serving, post(body)).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((code, &answer["response"]["allowed"]), (StatusCode::OK, &json!(true)));
        let warnings = answer["response"]["warnings"].as_array().unwrap();
        assert!(warnings[0].as_str().unwrap().contains("could not look into the object"), "{answer}");
    }
    assert_eq!(metric(&hook, r#"clockwarden_admission_requests_total{verdict="warned"}"#).await, 2.0);
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_when_it_knows_the_policies() {
    let ready = hook(enforcing(), Budget::default());
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let waiting = hook(Policies::of_cluster(kube::Client::try_from(nowhere).unwrap()), Budget::default());
    for (hook, expected) in [(&ready, StatusCode::OK), (&waiting, StatusCode::SERVICE_UNAVAILABLE)] {
        for router in [&hook.serving, &hook.observing] {
            assert_eq!(text(router, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
            assert_eq!(text(router, "/readyz").await.0, expected);
        }
    }
    // Nobody should ask it yet, but if somebody does, nothing is refused without a policy.
    assert_eq!(call(&waiting.serving, post(benign())).await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_there_before_anything_happened() {
    let hook = hook(enforcing(), Budget::default());
    for verdict in ["admitted", "warned", "refused", "invalid", "overloaded"] {
        let name = format!("clockwarden_admission_requests_total{{verdict=\"{verdict}\"}}");
        assert_eq!(metric(&hook, &name).await, 0.0);
    }
    call(&hook.serving, post(benign())).await;
    assert_eq!(metric(&hook, r#"clockwarden_admission_requests_total{verdict="admitted"}"#).await, 1.0);
    assert_eq!(metric(&hook, "clockwarden_admission_duration_seconds_count").await, 1.0);
}
