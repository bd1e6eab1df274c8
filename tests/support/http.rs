//! Plain HTTP GET, for the health, metrics and report endpoints of what runs in a test.

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, StatusCode, Uri, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Gets an `http://` URL on a connection of its own.
pub(crate) async fn get(url: &str) -> Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.with_context(|| format!("GET {url}"))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.with_context(|| format!("the body of {url}"))?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() })
}
