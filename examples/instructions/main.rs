//! Judges one of a fixed set of reviews so many times, and nothing else: for counting instructions.
//!
//! `instructions` lists the reviews, `instructions NUMBER TIMES` judges one. They go through the webhook's own router, in
//! this process and on this thread, without TLS and HTTP on a wire. `scripts/instructions` runs it under callgrind with
//! two different numbers of times; what starting costs is the same in both.

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use clockwarden::inspect::Bounds;
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::webhook::metrics::Metrics;
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::{Budget, Webhook, serving};
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use tower::ServiceExt as _;

#[expect(dead_code, reason = "how they are posted over connections is the benchmark's")]
#[path = "../../benches/webhook/objects.rs"]
mod objects;

#[expect(clippy::indexing_slicing, reason = "by a remainder")]
#[path = "../../tests/webhook/hostile/near.rs"]
mod near;

/// Bytes of near misses. What they take grows with them, and more would only take longer to count.
const NEAR_BYTES: usize = 8 << 10;

/// As one client keeps them; larger ones are judged on another thread.
fn reviews() -> Vec<objects::Object> {
    let mut all = objects::all();
    all.retain(|object| object.review.len() <= Budget::default().small);
    let near = near::misses(NEAR_BYTES).into_iter().map(|(what, data)| objects::Object {
        name: format!("{} KiB, {what}", NEAR_BYTES >> 10),
        review: objects::review(&data),
        admitted: true,
        connections: &[],
        fewer: 1,
    });
    all.extend(near);
    all
}

fn webhook() -> Router {
    let admission = Admission {
        mode: Mode::Enforce,
        bounds: Bounds::default(),
        namespaces: Selector::default(),
        settings: Vec::new(),
    };
    let policies = Policies::fixed([("production".to_owned(), admission)]);
    serving(Webhook::new(policies, Metrics::new(&mut Registry::default()), Budget::default()))
}

async fn judge(object: &objects::Object, times: usize) -> anyhow::Result<()> {
    let router = webhook();
    let expected: &[u8] = if object.admitted { b"\"allowed\":true" } else { b"\"allowed\":false" };
    for _ in 0..times {
        let request = Request::post("/validate?timeout=10s")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(object.review.clone()))?;
        let answer = router.clone().oneshot(request).await?.into_body().collect().await?.to_bytes();
        ensure!(memchr::memmem::find(&answer, expected).is_some(), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let all = reviews();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            for (number, object) in all.iter().enumerate() {
                println!("{number}\t{}", object.name);
            }
            Ok(())
        }
        [number, times] => {
            let object = all.get(number.parse::<usize>()?).with_context(|| format!("there is no review {number}"))?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(judge(object, times.parse()?))
        }
        _ => bail!("usage: instructions [NUMBER TIMES]"),
    }
}
