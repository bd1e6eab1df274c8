//! One request to the API server and its answer, as values: what a write is made of, without a network.
//!
//! Whoever writes says what to ask next, given the answer to what was asked last ([`super::errand`], [`super::ballot`]);
//! whoever performs ([`super::client`], or a simulated API server) knows nothing of why. So a controller can be killed in
//! between any two requests of a write, a thousand times, without a cluster.

use serde_json::Value;

/// What is asked of the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is done.
    pub verb: Verb,
    /// To which kind of object.
    pub kind: Kind,
    /// `metadata.name` of the object.
    pub name: String,
    /// To its `status` subresource.
    pub status: bool,
    /// The object or the patch; null for [`Verb::Get`].
    pub body: Value,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// It is read.
    Get,
    /// It is made; a conflict if it exists.
    Create,
    /// JSON merge patch (RFC 7386). A `metadata.resourceVersion` in it is a precondition.
    Merge,
    /// Strategic merge patch: lists with a merge key (conditions, by type) are merged by it.
    Strategic,
    /// It is replaced; its `metadata.resourceVersion` is a precondition.
    Replace,
}

/// The kinds of objects that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node.
    Node,
    /// TimeSyncPolicy.
    Policy,
    /// NodeClock.
    Clock,
    /// The leader lease.
    Lease,
    /// An Event; the body says what it is about and why, whoever performs it names and de-duplicates it.
    Event,
}

/// Why a request was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404.
    #[error("there is no such object")]
    NotFound,
    /// 409: the precondition does not hold, or the object exists already.
    #[error("somebody else was faster")]
    Conflict,
    /// Anything else that the API server answered.
    #[error("the API server refused with {code}: {message}")]
    Refused {
        /// HTTP status; 0 if there was none.
        code: u16,
        /// What it said.
        message: String,
    },
    /// No answer in time or a connection that broke: whether it was done is not known.
    #[error("the API server did not answer: {0}")]
    Silent(String),
}

/// The object as it is afterwards, or why not.
pub type Outcome = Result<Value, Refusal>;
