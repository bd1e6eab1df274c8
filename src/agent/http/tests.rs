use super::*;
use crate::agent::clocks;
use crate::agent::sources::{Measured, Outcome};
use crate::agent::state::{Core, Identity};
use crate::clock::{Delta, OffsetInterval, Tolerance};
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

fn board() -> Arc<Board> {
    let who = Identity { node: "n\"1\",\"sentUnixNanos\":-9223372036854775808".into(), instance: "i1".into() };
    let tolerance = Tolerance {
        offset_max: Duration::from_millis(500),
        error_max: Duration::from_secs(2),
        unsynchronized_max: Duration::from_secs(300),
        stale_after: Duration::from_secs(60),
    };
    Arc::new(Board::new(Core::new(who, tolerance, &["a"], clocks::sample())))
}

fn measure(board: &Board, offset_ms: i64) {
    let clocks = clocks::sample();
    let interval = OffsetInterval::new(Delta::from_nanos(offset_ms * 1_000_000), Duration::from_micros(100));
    let outcome = Outcome::Measured(Measured { interval, clocks, reference: Some("GPS".into()) });
    board.with(|core, now| core.polled(0, outcome, now));
}

async fn ask(router: &Router, method: Method, uri: &str) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_ok(router: &Router, uri: &str) -> Report {
    let (status, _, body) = ask(router, Method::GET, uri).await;
    assert_eq!(status, StatusCode::OK, "{uri}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_report_carries_the_clock_read_last_and_what_nobody_can_forge_by_a_name() {
    let board = board();
    measure(&board, 3);
    let router = router(board, CancellationToken::new());
    let before = wall_now().unix_nanos();
    let report = get_ok(&router, "/v1/clock").await;
    let after = wall_now().unix_nanos();
    assert!(before <= report.received_unix_nanos, "{report:?}");
    assert!(report.received_unix_nanos <= report.sent_unix_nanos && report.sent_unix_nanos <= after, "{report:?}");
    assert!(report.held_nanos <= (report.sent_unix_nanos - report.received_unix_nanos) as u64, "{report:?}");
    assert_eq!(report.node, "n\"1\",\"sentUnixNanos\":-9223372036854775808");
    assert_eq!((report.state.as_str(), report.instance.as_str()), ("Synchronized", "i1"));
    assert_eq!(report.sources[0].reference.as_deref(), Some("GPS"));
}

#[tokio::test]
async fn every_answer_says_what_time_it_is() {
    let router = router(board(), CancellationToken::new());
    for uri in ["/v1/clock", "/metrics", "/healthz", "/readyz", "/nowhere", "/v1/clock?wait=x"] {
        let (_, headers, _) = ask(&router, Method::GET, uri).await;
        let said = headers.get("x-server-time").expect(uri).to_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let off = said.as_nanosecond() - i128::from(wall_now().unix_nanos());
        assert!(off.abs() < 1_000_000_000, "{uri}: {said}");
        // Microseconds: 2026-11-21T13:55:06.327711Z
        assert_eq!(headers["x-server-time"].len(), 27, "{uri}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_the_parameter_and_its_value() {
    let router = router(board(), CancellationToken::new());
    for (method, uri, status, says) in [
        (Method::GET, "/", StatusCode::NOT_FOUND, "/v1/clock"),
        (Method::GET, "/v1/clock/", StatusCode::NOT_FOUND, "/v1/clock"),
        (Method::POST, "/v1/clock", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::DELETE, "/metrics", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::GET, "/v1/clock?wait=10", StatusCode::BAD_REQUEST, "parameter wait=\"10\""),
        (Method::GET, "/v1/clock?wait=-1s", StatusCode::BAD_REQUEST, "parameter wait=\"-1s\""),
        (Method::GET, "/v1/clock?wait=", StatusCode::BAD_REQUEST, "parameter wait=\"\""),
        (Method::GET, "/v1/clock?after=x&wait=1s", StatusCode::BAD_REQUEST, "parameter after=\"x\""),
        (Method::GET, "/v1/clock?after=18446744073709551616", StatusCode::BAD_REQUEST, "parameter after="),
        (Method::GET, "/v1/clock?wait=1s&wait=2s", StatusCode::BAD_REQUEST, "wait"),
    ] {
        let (got, _, body) = ask(&router, method, uri).await;
        assert_eq!(got, status, "{uri}: {body}");
        assert!(body.contains(says), "{uri}: {body}");
    }
}

#[tokio::test]
async fn readiness_comes_with_the_first_round() {
    let board = board();
    let router = router(board.clone(), CancellationToken::new());
    assert_eq!(ask(&router, Method::GET, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&router, Method::GET, "/healthz").await.0, StatusCode::OK);
    measure(&board, 0);
    assert_eq!(ask(&router, Method::GET, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_waiting_reader_is_answered_by_news_by_the_clock_or_by_the_end() {
    let board = board();
    measure(&board, 0);
    let stop = CancellationToken::new();
    let router = router(board.clone(), stop.clone());
    let sequence = get_ok(&router, "/v1/clock").await.sequence;

    // News.
    let uri = format!("/v1/clock?after={sequence}&wait=20s");
    let start = mono_now();
    let (report, ()) = tokio::join!(get_ok(&router, &uri), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        measure(&board, 900);
    });
    assert!(mono_now().since(start) < Duration::from_secs(5));
    assert!(report.sequence > sequence && report.state == "Drifting", "{report:?}");
    assert!(report.held_nanos >= 50_000_000 && report.held_nanos < 5_000_000_000, "{report:?}");

    // Nothing new: the clock.
    let sequence = report.sequence;
    let report = get_ok(&router, &format!("/v1/clock?after={sequence}&wait=100ms")).await;
    assert_eq!(report.sequence, sequence);
    assert!(report.held_nanos >= 100_000_000, "{report:?}");

    // The end.
    let uri = format!("/v1/clock?after={sequence}&wait=20s");
    let (report, ()) = tokio::join!(get_ok(&router, &uri), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    });
    assert_eq!(report.sequence, sequence);
    assert!(report.held_nanos < 10_000_000_000);
}

#[tokio::test]
async fn waiting_that_makes_no_sense_is_not_done() {
    let board = board();
    measure(&board, 0);
    let router = router(board, CancellationToken::new());
    let sequence = get_ok(&router, "/v1/clock").await.sequence;
    for uri in [
        "/v1/clock?wait=20s".to_owned(),
        format!("/v1/clock?after={sequence}"),
        format!("/v1/clock?after={}&wait=20s", sequence - 1),
        // From another start of the agent: greater than ours will be for long.
        format!("/v1/clock?after={}&wait=20s", sequence + 1_000),
        format!("/v1/clock?after={sequence}&wait=20s&instance=other"),
        format!("/v1/clock?after={}&wait=20s&target=10.0.0.1", sequence - 1),
    ] {
        let report = get_ok(&router, &uri).await;
        assert!(report.held_nanos < 1_000_000_000, "{uri}: {report:?}");
    }
}

#[tokio::test]
async fn one_reader_too_many_is_answered_at_once() {
    let board = board();
    measure(&board, 0);
    let stop = CancellationToken::new();
    let router = router(board.clone(), stop.clone());
    let sequence = get_ok(&router, "/v1/clock").await.sequence;
    let uri = format!("/v1/clock?after={sequence}&wait=20s&instance=i1");
    let waiting: Vec<_> = (0..WAITING_MAX)
        .map(|_| {
            let (router, uri) = (router.clone(), uri.clone());
            tokio::spawn(async move { get_ok(&router, &uri).await })
        })
        .collect();
    // On a runtime of one thread, a yield lets all of them begin to wait.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(waiting.iter().all(|reader| !reader.is_finished()));
    assert!(get_ok(&router, &uri).await.held_nanos < 100_000_000);
    measure(&board, 900);
    for reader in waiting {
        assert_eq!(reader.await.unwrap().state, "Drifting");
    }
}

#[tokio::test]
async fn metrics_carry_the_names_of_the_contract_and_no_zero_for_what_is_not_known() {
    let board = board();
    let router = router(board.clone(), CancellationToken::new());
    let (_, headers, body) = ask(&router, Method::GET, "/metrics").await;
    assert_eq!(headers["content-type"], telemetry::METRICS_CONTENT_TYPE);
    assert!(!body.contains("clockwarden_clock_offset_seconds{"), "{body}");
    assert!(body.contains("clockwarden_clock_synchronized 0\n"), "{body}");
    measure(&board, 250);
    let (_, _, body) = ask(&router, Method::GET, "/metrics").await;
    for line in [
        "clockwarden_clock_synchronized 1\n",
        "clockwarden_clock_steps_total{cause=\"step\"} 0\n",
        "clockwarden_source_up{source=\"a\"} 1\n",
        "clockwarden_build_info{version=\"",
        "# EOF\n",
    ] {
        assert!(body.contains(line), "{line} not in {body}");
    }
    for (series, expected) in [
        ("clockwarden_clock_offset_seconds{source=\"a\"} ", 0.25),
        ("clockwarden_clock_offset_seconds{source=\"fused\"} ", 0.25),
        ("clockwarden_clock_error_bound_seconds{source=\"a\"} ", 0.0001),
    ] {
        let value = body.lines().find_map(|line| line.strip_prefix(series)).expect(series);
        assert!((value.parse::<f64>().unwrap() - expected).abs() < 2e-5, "{series}{value}");
    }
}
