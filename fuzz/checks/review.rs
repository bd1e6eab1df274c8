//! A whole AdmissionReview, on any bytes: what is let in without a look holds nothing, and the answer is one.

use clockwarden::inspect::{Bounds, Catalogue, Limits};
use clockwarden::policy::Mode;
use clockwarden::webhook::review::{self, Answer};
use clockwarden::webhook::ruling::Ruling;
use clockwarden::webhook::verdict::{Decision, Question, judge};

/// An answer is small, whatever was asked.
const ANSWER_MAX: usize = 64 * 1024;

pub(crate) fn check(bytes: &[u8]) {
    let request = match review::read(bytes) {
        Ok(request) => request,
        Err(error) => return assert!(error.to_string().len() < 4_096, "{error}"),
    };
    let question = Question {
        operation: request.operation,
        sub_resource: &request.sub_resource,
        object: request.object.map(|object| object.get().as_bytes()),
        old: request.old_object.map(|object| object.get().as_bytes()),
    };
    let ruling = Ruling { mode: Mode::Enforce, bounds: Bounds::default(), policies: vec!["all".to_owned()] };
    let verdict = judge(&question, &ruling, Catalogue::builtin(), &Limits::default());
    assert_eq!(verdict.decision == Decision::Refused, verdict.refusal.is_some());
    let answer = Answer {
        uid: &request.uid,
        refusal: verdict.refusal.as_deref(),
        decision: verdict.decision.as_str(),
        warnings: &verdict.warnings,
        audit: &verdict.audit,
    };
    let answer = answer.to_json().unwrap_or_default();
    assert!(answer.len() <= ANSWER_MAX + 6 * request.uid.len(), "{} bytes", answer.len());
    let read: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
    assert_eq!(read["response"]["uid"], *request.uid, "no answer to this question");
    // What was there before is no reason to refuse.
    let same = Question { old: question.object, operation: review::Operation::Update, ..question };
    let again = judge(&same, &ruling, Catalogue::builtin(), &Limits::default());
    assert!(again.decision != Decision::Refused || question.object.is_none(), "an old sin was refused");
}
