//! Faults that a real API server does not have when it is asked to; what a real one does is in `tests/cluster/audit.rs`.

use super::*;
use crate::controller::lease::{Election, Periods};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use prometheus_client::registry::Registry;
use serde_json::json;
use std::sync::Mutex;

/// What is answered to a path with this query, beside the usual.
type Script = fn(path: &str, query: &str) -> Option<(u16, Value)>;

fn failure(code: u16, metadata: Value) -> Option<(u16, Value)> {
    Some((code, json!({"kind": "Status", "status": "Failure", "code": code, "message": "so", "metadata": metadata})))
}

fn config_maps(names: &[&str], next: &str) -> Option<(u16, Value)> {
    let item = |name: &&str| json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"jwt.leeway": "0"}});
    Some((200, json!({"metadata": {"continue": next}, "items": names.iter().map(item).collect::<Vec<_>>()})))
}

fn usual(path: &str) -> Value {
    let policy = json!({"apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": "p"},
        "spec": {"admission": {"mode": "Enforce"}}});
    match path {
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        "/apis/clockwarden.io/v1alpha1/timesyncpolicies" => json!({"metadata": {}, "items": [policy]}),
        "/api/v1/namespaces" => json!({"metadata": {}, "items": [{"metadata": {"name": "shop"}}]}),
        _ => json!({"metadata": {}, "items": []}),
    }
}

/// A cluster that answers by a script, and one who audits it.
struct Scene {
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<String>>>,
    rounds: Rounds,
}

impl Scene {
    async fn new(leadership: Leadership) -> Scene {
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(|_, _| None));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        type Shared = (Arc<Mutex<Script>>, Arc<Mutex<Vec<String>>>);
        let answer = async |State((script, asked)): State<Shared>, request: Request| {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            asked.lock().unwrap().push(format!("{path}?{query}"));
            let script = *script.lock().unwrap();
            let (code, body) = script(path, query).unwrap_or_else(|| (200, usual(path)));
            (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response()
        };
        let router = Router::new().fallback(answer).with_state((Arc::clone(&script), Arc::clone(&asked)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = kube::Client::try_from(config.clone()).unwrap();
        let deputy = Deputy::new(config, "test".into(), "clockwarden-system".into());
        let (_, specs) = tokio::sync::watch::channel(Specs::default());
        let when = When { period: Period::Every(Duration::from_secs(1)), specs };
        let (figures, written) = (Figures::default(), Written::default());
        let home = "clockwarden-system".to_owned();
        let rounds = Rounds::new(when, home, Cluster::new(client), deputy, leadership, figures, written);
        Scene { script, asked, rounds }
    }

    /// One audit by this script: whether it was complete, and how many findings are told after it.
    async fn check(&mut self, script: Script, expected: (bool, Option<i64>)) {
        *self.script.lock().unwrap() = script;
        let term = self.rounds.leadership.term().unwrap_or_else(Gate::always);
        let done = self.rounds.audit(&term, &CancellationToken::new()).await;
        assert_eq!((done.is_ok(), self.findings()), expected, "{done:?}: {:#?}", self.asked.lock().unwrap());
    }

    fn findings(&self) -> Option<i64> {
        let text = self.shown();
        let told = text
            .lines()
            .filter_map(|line| line.strip_prefix("audit_findings{")?.rsplit(' ').next()?.parse::<i64>().ok());
        text.contains("audit_last_end").then(|| told.sum())
    }

    fn shown(&self) -> String {
        let mut registry = Registry::default();
        self.rounds.figures.register(&mut registry);
        crate::telemetry::encode(&registry)
    }
}

const CONFIG_MAPS: &str = "/api/v1/configmaps";

#[tokio::test]
async fn a_continuation_that_has_expired_goes_on_where_it_was() {
    let mut scene = Scene::new(Leadership::sole()).await;
    let expires: Script = |path, query| match path {
        CONFIG_MAPS if query.contains("continue=old") => failure(410, json!({"continue": "new"})),
        CONFIG_MAPS if query.contains("continue=new") => config_maps(&["c"], ""),
        CONFIG_MAPS => config_maps(&["a", "b"], "old"),
        _ => None,
    };
    scene.check(expires, (true, Some(3))).await;
    // One that expires again and again is no list.
    let stubborn: Script = |path, query| match path {
        CONFIG_MAPS if query.contains("continue") => failure(410, json!({"continue": "new"})),
        CONFIG_MAPS => config_maps(&["a"], "old"),
        _ => None,
    };
    scene.check(stubborn, (false, Some(3))).await;
}

/// No evidence is not "nothing found".
#[tokio::test]
async fn an_audit_that_could_not_read_everything_leaves_what_was_told() {
    let mut scene = Scene::new(Leadership::sole()).await;
    let fails: Script = |path, _| match path {
        "/api/v1/pods" => failure(500, json!({})),
        CONFIG_MAPS => config_maps(&["a", "b"], ""),
        _ => None,
    };
    scene.check(fails, (false, None)).await;
    scene.check(|path, _| (path == CONFIG_MAPS).then(|| config_maps(&["a"], ""))?, (true, Some(1))).await;
    scene.check(fails, (false, Some(1))).await;
    scene.check(|path, _| (path == CONFIG_MAPS).then_some((200, json!([]))), (false, Some(1))).await;
    scene.check(|path, _| (path == "/apis").then_some((500, json!({}))), (false, Some(1))).await;
    assert!(scene.shown().contains("audit_errors_total 6"), "{}", scene.shown());
    // A policy that cannot be read says what it said before, and one that is gone says nothing.
    let broken: Script = |path, _| match path {
        "/apis/clockwarden.io/v1alpha1/timesyncpolicies" => Some((
            200,
            json!({"items": [{"apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
                "metadata": {"name": "p"}, "spec": {"admission": {"mode": 7}}}]}),
        )),
        CONFIG_MAPS => config_maps(&["a", "b"], ""),
        _ => None,
    };
    scene.check(broken, (true, Some(2))).await;
    let none: Script = |path, _| match path {
        "/apis/clockwarden.io/v1alpha1/timesyncpolicies" => Some((200, json!({"items": []}))),
        _ => config_maps(&["a"], "").filter(|_| path == CONFIG_MAPS),
    };
    scene.check(none, (true, Some(0))).await;
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_or_is_not_there_is_left_out_and_that_is_no_failure() {
    let mut scene = Scene::new(Leadership::sole()).await;
    let partly: Script = |path, _| match path {
        "/api/v1/pods" => failure(403, json!({})),
        "/apis/batch/v1/jobs" => failure(404, json!({})),
        CONFIG_MAPS => config_maps(&["a", "b"], ""),
        _ => None,
    };
    scene.check(partly, (true, Some(2))).await;
    let shown = scene.shown();
    assert!(shown.contains("{resource=\"deployments.apps\"} 0") && !shown.contains("{resource=\"pods\"}"), "{shown}");
    assert!(!shown.contains("{resource=\"jobs.batch\"}") && shown.contains("audit_errors_total 0"), "{shown}");
}

#[tokio::test]
async fn who_does_not_lead_asks_nothing() {
    let candidate = Leadership::elected(Election::new("me".into(), Periods::default()));
    let mut scene = Scene::new(candidate).await;
    scene.check(|_, _| None, (false, None)).await;
    assert_eq!(*scene.asked.lock().unwrap(), Vec::<String>::new());
    let mut leading = Scene::new(Leadership::sole()).await;
    leading.check(|_, _| None, (true, Some(0))).await;
    let asked = leading.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|it| it.starts_with(CONFIG_MAPS)) && !asked.iter().any(|it| it.contains("secrets")));
    // What is left alone is not even sent.
    let of_namespaces = "metadata.namespace%21%3Dkube-system%2Cmetadata.namespace%21%3Dclockwarden-system";
    assert!(asked.iter().filter(|it| it.starts_with(CONFIG_MAPS)).all(|it| it.contains(of_namespaces)), "{asked:#?}");
}
