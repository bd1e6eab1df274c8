//! The answer of Prometheus' HTTP API to an instant query, as numbers.
//!
//! A server that is none of Prometheus', or is broken, may answer anything: what is not understood is an error that
//! shows how the answer begins, and the number of series is bounded.
//!
//! Source: Prometheus documentation, "HTTP API", sections "Format overview", "Instant queries", "Expression query
//! result formats".

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Six series of every node of the largest cluster that Kubernetes supports (5,000), three times over.
const SERIES_MAX: usize = 100_000;
/// How much of an answer is shown that is none.
const SHOWN_MAX: usize = 80;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One series of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// All its labels, also `__name__`.
    pub labels: Labels,
    /// The moment of evaluation, by Prometheus' clock, seconds since the Unix epoch.
    pub at_s: f64,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// What a query came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A single number.
    Scalar(f64),
    /// Any number of series.
    Vector(Vec<Series>),
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not the API of a Prometheus.
    #[error(
        "answered {status}, and not as Prometheus' HTTP API does (it begins {begins:?}): is spec.source.prometheus.url its \
         base URL, with the prefix that it is served under?"
    )]
    NoPrometheus {
        /// The HTTP status.
        status: u16,
        /// How the answer begins.
        begins: String,
    },
    /// Credentials are asked for.
    #[error(
        "refuses to be asked without credentials ({0}): this version sends none; let the controller in by network policy, \
         or put a proxy that adds them between"
    )]
    Unauthorised(u16),
    /// A redirect.
    #[error("sends us elsewhere ({0}): write the URL to which it leads, without TLS")]
    Redirect(u16),
    /// The query was understood and not answered.
    #[error("could not evaluate the query: {0}")]
    Refused(String),
    /// Not what this query can come to.
    #[error("answered the query with something else than was asked for: {0}")]
    Unexpected(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<Body<'a>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    result_type: Cow<'a, str>,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct RawSeries<'a> {
    metric: Labels,
    #[serde(borrow)]
    value: (f64, Cow<'a, str>),
}

/// Reads an answer.
///
/// # Errors
/// If it is none, or says that there is none.
pub fn read(status: u16, body: &[u8]) -> Result<Found, AnswerError> {
    match status {
        401 | 403 => return Err(AnswerError::Unauthorised(status)),
        300..=399 => return Err(AnswerError::Redirect(status)),
        _ => {}
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|_| AnswerError::NoPrometheus { status, begins: beginning(body) })?;
    if envelope.status != "success" {
        return Err(AnswerError::Refused(beginning(envelope.error.unwrap_or(Cow::Borrowed("no reason")).as_bytes())));
    }
    let unexpected = |what: String| AnswerError::Unexpected(what);
    // What the JSON is complained about with may hold a whole value of a stranger.
    let unread = |error: serde_json::Error| unexpected(beginning(error.to_string().as_bytes()));
    let body = envelope.data.ok_or_else(|| unexpected("no data".to_owned()))?;
    let text = body.result.get();
    match body.result_type.as_ref() {
        "scalar" => {
            let (_, value): (f64, Cow<'_, str>) = serde_json::from_str(text).map_err(unread)?;
            Ok(Found::Scalar(number(&value).ok_or_else(|| unexpected(beginning(value.as_bytes())))?))
        }
        "vector" => {
            let Vector(series) = serde_json::from_str(text).map_err(unread)?;
            Ok(Found::Vector(series))
        }
        other => Err(unexpected(format!("a {}", beginning(other.as_bytes())))),
    }
}

/// As Go writes it: `NaN`, `+Inf`, `1.5e+09`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn beginning(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes.get(..SHOWN_MAX * 4).unwrap_or(bytes)).into_owned();
    let shown: String = text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < bytes.len() { format!("{shown}…") } else { shown }
}

struct Vector(Vec<Series>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vector, D::Error> {
        deserializer.deserialize_seq(SeriesVisitor).map(Vector)
    }
}

/// Bounded while it is read, not afterwards.
struct SeriesVisitor;

impl<'de> Visitor<'de> for SeriesVisitor {
    type Value = Vec<Series>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {SERIES_MAX} series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<Series>, A::Error> {
        let mut series = Vec::new();
        while let Some(RawSeries { metric, value: (at_s, text) }) = all.next_element()? {
            if series.len() >= SERIES_MAX {
                return Err(A::Error::custom(format!("more than {SERIES_MAX} series")));
            }
            let value = number(&text).ok_or_else(|| A::Error::custom(format!("{text:?} is no number")))?;
            series.push(Series { labels: metric, at_s, value });
        }
        Ok(series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: &str) {
        let shown = match read(status, body.as_bytes()) {
            Ok(found) => format!("{found:?}"),
            Err(error) => error.to_string(),
        };
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn scalars_and_vectors_are_read_with_all_that_go_writes_as_a_number() {
        check(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"1795279884.651"]}}"#, "884.651");
        let vector = |value: &str| {
            format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"job":"n"}},"value":[2.5,"{value}"]}}]}}}}"#
            )
        };
        check(200, &vector("1.5e+09"), "[Series { labels: {\"job\": \"n\"}, at_s: 2.5, value: 1500000000.0 }]");
        check(200, &vector("NaN"), "NaN");
        check(200, &vector("+Inf"), "inf");
        check(200, &vector("x"), "\"x\" is no number");
        check(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, "Vector([])");
    }

    #[test]
    fn each_way_of_being_no_answer_has_its_own_words() {
        check(401, "", "without credentials (401)");
        check(403, "<html>", "without credentials (403)");
        check(302, "", "sends us elsewhere (302)");
        check(404, "404 page not found\n", "begins \"404 page not found \"");
        check(200, "<!DOCTYPE html><html><head><title>Grafana", "<!DOCTYPE html>");
        check(200, "", "not as Prometheus' HTTP API does");
        check(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "the query: parse error");
        check(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#, "query timed out");
        check(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "a matrix");
        check(200, r#"{"status":"success"}"#, "no data");
        check(200, &format!("{}x", "\u{e9}".repeat(1000)), "é…");
    }

    #[test]
    fn more_series_than_any_cluster_has_are_not_read() {
        let one = r#"{"metric":{},"value":[1,"1"]}"#;
        let many = vec![one; SERIES_MAX + 1].join(",");
        check(
            200,
            &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{many}]}}}}"#),
            "more than",
        );
    }
}
