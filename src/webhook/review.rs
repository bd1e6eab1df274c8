//! AdmissionReview `admission.k8s.io/v1`, as much of it as a verdict needs.
//!
//! Nearly every object that passes by has no clock setting in it, so the request is borrowed from the bytes it came
//! in and `object` and `oldObject` stay the text they are: whether anything has to be built from them is decided
//! by a search over that text. What a verdict does not need (who asks, the options, the resource's other names) is
//! skipped, and unknown fields are too: the API server may grow some.
//!
//! Does not know: HTTP, policies, what is in an object.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The only version that is spoken; v1beta1 went with Kubernetes 1.22.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The kind of both the question and the answer.
pub const KIND: &str = "AdmissionReview";

/// What is being done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is new.
    Create,
    /// It exists already; there is an old object.
    Update,
    /// It goes; there is nothing left to judge.
    Delete,
    /// Somebody execs, attaches or forwards; there is no object with settings.
    Connect,
}

/// The question of the API server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Must come back in the answer.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// What is being done.
    pub operation: Operation,
    /// `scale`, `status`, `ephemeralcontainers`; empty for the object itself.
    #[serde(borrow, default)]
    pub sub_resource: Cow<'a, str>,
    /// Empty for cluster-scoped objects.
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// The object as it would be, in JSON; nothing at DELETE.
    #[serde(borrow, default)]
    pub object: Option<&'a RawValue>,
    /// The object as it is, in JSON; at UPDATE and DELETE.
    #[serde(borrow, default)]
    pub old_object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

/// Why a body is no question. Each says what to send instead.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or a field has the wrong type or is missing.
    #[error("the body is no AdmissionReview: {0}")]
    Json(serde_json::Error),
    /// JSON of something else.
    #[error("the body has apiVersion {version:?} and kind {kind:?}; expected \"{API_VERSION}\" and \"{KIND}\"")]
    OtherKind {
        /// `apiVersion` as sent, shortened.
        version: String,
        /// `kind` as sent, shortened.
        kind: String,
    },
    /// A review without a question.
    #[error("the AdmissionReview has no request; expected the field \"request\" with uid and operation")]
    NoRequest,
    /// A question that cannot be answered, because the answer must repeat its uid.
    #[error("the AdmissionReview's request.uid is empty; expected the identifier that the answer has to repeat")]
    NoUid,
}

/// Reads the question out of a body, borrowing from it.
///
/// # Errors
/// [`Malformed`], for anything that is not an AdmissionReview v1 with a request.
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(Malformed::Json)?;
    if envelope.api_version != API_VERSION || envelope.kind != KIND {
        let short = |text: &str| text.chars().take(64).collect();
        return Err(Malformed::OtherKind { version: short(&envelope.api_version), kind: short(&envelope.kind) });
    }
    let request = envelope.request.ok_or(Malformed::NoRequest)?;
    if request.uid.is_empty() { Err(Malformed::NoUid) } else { Ok(request) }
}

/// The answer to one question.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The question's own.
    pub uid: &'a str,
    /// Why not; `None` lets it in.
    pub refusal: Option<&'a str>,
    /// Shown to whoever asked, one line each.
    pub warnings: &'a [String],
    /// What became of it, in a word, for the audit log: every answer has it, so that the log tells an object that was
    /// admitted from one that was never asked about.
    pub decision: &'static str,
    /// More for the audit log; the API server puts the webhook's name before each key.
    pub audit: &'a [(&'static str, String)],
}

impl Answer<'_> {
    /// The answer as the body of an HTTP response.
    ///
    /// # Errors
    /// None that is known of: strings and booleans always serialize. The caller decides what a bug here means.
    pub fn to_json(self) -> Result<Vec<u8>, serde_json::Error> {
        let response = Response {
            uid: self.uid,
            allowed: self.refusal.is_none(),
            status: self.refusal.map(|message| Status::failure(403, "Forbidden", message)),
            warnings: self.warnings,
            audit_annotations: Annotations { decision: self.decision, more: self.audit },
        };
        serde_json::to_vec(&Reply { api_version: API_VERSION, kind: KIND, response })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    audit_annotations: Annotations<'a>,
}

/// A `metav1.Status`: why a review was refused, and the body of every HTTP error, because the API server's client
/// understands it and shows its message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status<'a> {
    api_version: &'static str,
    kind: &'static str,
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
}

impl<'a> Status<'a> {
    /// A failure; `reason` is one of the `metav1.StatusReason` words, `code` the HTTP status that goes with it.
    #[must_use]
    pub fn failure(code: u16, reason: &'static str, message: &'a str) -> Status<'a> {
        Status { api_version: "v1", kind: "Status", status: "Failure", message, reason, code }
    }
}

struct Annotations<'a> {
    decision: &'static str,
    more: &'a [(&'static str, String)],
}

impl Serialize for Annotations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let more = self.more.iter().map(|(key, value)| (*key, value.as_str()));
        serializer.collect_map(std::iter::once(("decision", self.decision)).chain(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(&str, Option<&str>), &str>) {
        let got = read(body.as_bytes());
        match (&got, expected) {
            (Ok(request), Ok((uid, object))) => {
                assert_eq!((request.uid.as_ref(), request.object.map(RawValue::get)), (uid, object), "{body}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{body}: {error}"),
            _ => panic!("{body}: {got:?}"),
        }
    }

    #[test]
    fn a_question_is_read_and_everything_else_says_what_is_wrong_with_it() {
        let head = r#""apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview""#;
        check(
            &format!(r#"{{{head},"request":{{"uid":"u","operation":"CREATE","object":{{"a": 1}},"new":[]}}}}"#),
            Ok(("u", Some(r#"{"a": 1}"#))),
        );
        check(
            &format!(r#"{{{head},"request":{{"uid":"\u0075","operation":"DELETE","object":null}}}}"#),
            Ok(("u", None)),
        );
        check(&format!("{{{head}}}"), Err("no request"));
        check(&format!(r#"{{{head},"request":null}}"#), Err("no request"));
        check(&format!(r#"{{{head},"request":{{"operation":"CREATE"}}}}"#), Err("`uid`"));
        check(&format!(r#"{{{head},"request":{{"uid":"","operation":"CREATE"}}}}"#), Err("request.uid is empty"));
        check(&format!(r#"{{{head},"request":{{"uid":"u","operation":"PATCH"}}}}"#), Err("PATCH"));
        check(&format!(r#"{{{head},"request":{{"uid":"u","operation":"CREATE"}}}} {{}}"#), Err("trailing"));
        check(r#"{"apiVersion":"v1","kind":"Pod"}"#, Err(r#"apiVersion "v1" and kind "Pod""#));
        check(
            r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#,
            Err(r#"expected "admission.k8s.io/v1""#),
        );
        for no_review in ["", "null", "7", "\"x\"", "{", "\u{feff}{}", "{\"kind\":7}", "<html>"] {
            check(no_review, Err("no AdmissionReview"));
        }
        check("{}", Err(r#"kind """#));
        check("[]", Err(r#"kind """#));
        assert!(read(&[0xff, 0xfe, b'{']).is_err());
        assert!(read(b"{\"kind\":\"\xff\"}").is_err());
    }

    #[test]
    fn deep_nesting_in_what_is_skipped_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let body = format!(
            r#"{{"apiVersion":"{API_VERSION}","kind":"{KIND}","request":{{"uid":"u","operation":"CREATE","object":{deep},"options":{deep}}}}}"#
        );
        assert!(read(body.as_bytes()).is_ok_and(|request| request.object.is_some()));
    }

    #[test]
    fn answers_have_the_form_that_the_api_server_reads() {
        let admitted = Answer { uid: "u\"1", refusal: None, warnings: &[], decision: "admitted", audit: &[] };
        assert_eq!(
            String::from_utf8(admitted.to_json().unwrap()).unwrap(),
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u\"1","allowed":true,"auditAnnotations":{"decision":"admitted"}}}"#
        );
        let warnings = ["w".to_owned()];
        let audit = [("rules", "jwt-skew-zero".to_owned())];
        let (refusal, decision) = (Some("no\nreally"), "refused");
        let refused = Answer { uid: "u", refusal, warnings: &warnings, decision, audit: &audit };
        let json: serde_json::Value = serde_json::from_slice(&refused.to_json().unwrap()).unwrap();
        let expected = serde_json::json!({
            "uid": "u", "allowed": false, "warnings": ["w"], "auditAnnotations": {"decision": "refused", "rules": "jwt-skew-zero"},
            "status": {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 403,
                       "reason": "Forbidden", "message": "no\nreally"},
        });
        assert_eq!(json.get("response"), Some(&expected));
    }
}
