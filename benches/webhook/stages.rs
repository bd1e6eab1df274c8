//! Where does the time of a review go? Each stage alone, in this process, without TLS and HTTP.

use crate::objects::Object;
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::{self, Bounds, Catalogue, Limits};
use clockwarden::policy::Mode;
use clockwarden::runtime::mono_now;
use clockwarden::webhook::review;
use clockwarden::webhook::ruling::Ruling;
use clockwarden::webhook::verdict::{Question, judge};
use std::hint::black_box;

const TIMES: usize = 2000;

/// Microseconds of one call, on average over many.
fn timed<R>(times: usize, mut call: impl FnMut() -> R) -> f64 {
    for _ in 0..times / 10 {
        black_box(call());
    }
    let started = mono_now();
    for _ in 0..times {
        black_box(call());
    }
    mono_now().since(started).as_secs_f64() * 1e6 / times as f64
}

pub(crate) fn line(object: &Object) -> anyhow::Result<String> {
    let request = review::read(&object.review)?;
    let bytes = request.object.map(|object| object.get().as_bytes());
    let question =
        Question { operation: request.operation, sub_resource: &request.sub_resource, object: bytes, old: None };
    let (catalogue, limits, bounds) = (Catalogue::builtin(), Limits::default(), Bounds::default());
    let ruling = Ruling { mode: Mode::Enforce, bounds, policies: vec!["production".to_owned()] };
    let tree = tree_from_json(bytes.unwrap_or_default(), &limits)?;

    let times = TIMES / object.fewer;
    let read = timed(times, || review::read(&object.review).is_ok());
    let suspect = timed(times, || question.suspect(catalogue).is_some());
    let parse = timed(times, || tree_from_json(bytes.unwrap_or_default(), &limits).is_ok());
    let inspected = timed(times, || inspect::inspect(&tree, catalogue, &bounds, &limits));
    let judged = timed(times, || judge(&question, &ruling, catalogue, &limits));
    Ok(format!("| {} | {read:.1} | {suspect:.1} | {parse:.1} | {inspected:.1} | {judged:.1} |", object.name))
}
