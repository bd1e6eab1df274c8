//! One HTTP/1 answer out of bytes, however they were cut.
//!
//! Pure: bytes go in, pieces of the body come out, and at the end a head. Nothing is kept of a body, and of a head no more
//! than [`HEAD_MAX`]; so a connection on which an answer is awaited, for most of its life, holds no buffer. What two
//! readers could take for different answers (two lengths, a length and chunks, a folded line) is refused, not guessed.
//!
//! Does not know: what was asked (never `HEAD`, which is answered with the length of a body that does not come), time,
//! limits of a body.
//! Source: RFC 9112, sections 4 to 7.

use hyper::StatusCode;

/// The most that a head may have, and the trailer after chunks. Our agents' has a tenth of it.
pub const HEAD_MAX: usize = 8 * 1024;
/// The most that the line before a chunk may have, extensions and all.
const LINE_MAX: usize = 256;
const HEADERS_MAX: usize = 64;

/// Why it is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// What came is not HTTP/1.
    #[error("it does not speak HTTP/1: {0}")]
    Head(#[from] httparse::Error),
    /// Too long a head, trailer or line.
    #[error("its head is longer than {HEAD_MAX} bytes")]
    TooLong,
    /// Nobody can tell where the body ends.
    #[error("nobody can tell how long its answer is: {0}")]
    Length(&'static str),
    /// Something between the chunks is none.
    #[error("its answer is in chunks, and one of them has no length")]
    Chunk,
    /// It goes on after its end.
    #[error("it has sent more than was asked for")]
    Surplus,
    /// The connection was closed before the end.
    #[error("the connection was closed in the middle of the answer")]
    Cut,
}

/// What the head of an answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The HTTP status.
    pub status: StatusCode,
    /// It comes out of a cache: only those say how old it is (`Age`, RFC 9111, section 5.1).
    pub cached: bool,
    /// Nothing can be asked on this connection any more.
    pub last: bool,
}

/// An answer that is coming in.
#[derive(Debug, Default)]
pub struct Reply {
    stage: Stage,
    /// The beginning of a head, a trailer or a line that is not complete.
    partial: Vec<u8>,
    head: Option<Head>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// So many bytes are missing.
    Sized(u64),
    /// The body ends with the connection.
    UntilClosed,
    /// The length of a chunk.
    Size,
    /// So many bytes of a chunk are missing.
    Chunk(u64),
    /// The end of its line.
    ChunkEnd,
    /// Fields after the last chunk, up to an empty line.
    Trailer,
    Done,
}

impl Reply {
    /// Takes in what has come; the body goes to `take`, piece by piece. Returns the head when the answer is complete.
    ///
    /// # Errors
    /// If it is no answer; nothing more can be had from that connection then.
    pub fn feed(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<Option<Head>, ReplyError> {
        while !bytes.is_empty() && self.stage != Stage::Done {
            bytes = match self.stage {
                Stage::Head => self.head(bytes)?,
                Stage::Sized(left) => {
                    let (piece, rest, left) = cut(bytes, left);
                    take(piece);
                    self.stage = if left == 0 { Stage::Done } else { Stage::Sized(left) };
                    rest
                }
                Stage::UntilClosed => {
                    take(bytes);
                    &[]
                }
                Stage::Chunk(left) => {
                    let (piece, rest, left) = cut(bytes, left);
                    take(piece);
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                    rest
                }
                Stage::Size | Stage::ChunkEnd | Stage::Trailer => self.line(bytes)?,
                Stage::Done => bytes,
            };
        }
        // Whatever it is, it is no answer to a question that has not been put.
        if bytes.is_empty() { Ok(self.done()) } else { Err(ReplyError::Surplus) }
    }

    /// The other side has closed the connection. Returns the head if that was the end of the answer.
    ///
    /// # Errors
    /// If the answer was not complete.
    pub fn closed(&mut self) -> Result<Head, ReplyError> {
        if self.stage == Stage::UntilClosed {
            self.stage = Stage::Done;
        }
        self.done().ok_or(ReplyError::Cut)
    }

    fn done(&self) -> Option<Head> {
        self.head.filter(|_| self.stage == Stage::Done)
    }

    /// Returns what follows the head, of these bytes.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReplyError> {
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(&self.partial)? else {
            return if self.partial.len() > HEAD_MAX { Err(ReplyError::TooLong) } else { Ok(&[]) };
        };
        if length > HEAD_MAX {
            return Err(ReplyError::TooLong);
        }
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(ReplyError::Head(httparse::Error::Status))?;
        // Interim answers are followed by the one that counts (RFC 9110, section 15.2).
        if !status.is_informational() {
            let (head, stage) = understand(status, parsed.version == Some(1), parsed.headers)?;
            (self.head, self.stage) = (Some(head), stage);
        }
        self.partial = Vec::new();
        Ok(bytes.get(length.saturating_sub(before)..).unwrap_or_default())
    }

    /// A line between chunks, or after them. Returns what follows it, of these bytes.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReplyError> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at.saturating_add(1));
        let (piece, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        self.partial.extend_from_slice(piece);
        if self.partial.len() > LINE_MAX {
            return Err(ReplyError::TooLong);
        }
        if end.is_none() {
            return Ok(rest);
        }
        let line = std::mem::take(&mut self.partial);
        let line = line.strip_suffix(b"\r\n").ok_or(ReplyError::Chunk)?;
        self.stage = match self.stage {
            Stage::Size => match size(line).ok_or(ReplyError::Chunk)? {
                0 => Stage::Trailer,
                size => Stage::Chunk(size),
            },
            Stage::ChunkEnd if line.is_empty() => Stage::Size,
            Stage::Trailer if line.is_empty() => Stage::Done,
            Stage::Trailer => Stage::Trailer,
            _ => return Err(ReplyError::Chunk),
        };
        Ok(rest)
    }
}

/// Where the body ends (RFC 9112, section 6.3), and what else the fields say.
fn understand(status: StatusCode, is_1_1: bool, fields: &[httparse::Header<'_>]) -> Result<(Head, Stage), ReplyError> {
    let all = |name: &'static str| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    };
    let chunked = match (all("transfer-encoding").next(), all("transfer-encoding").nth(1)) {
        (None, _) => false,
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && is_1_1 => true,
        _ => return Err(ReplyError::Length("a Transfer-Encoding other than chunked")),
    };
    let mut lengths = all("content-length");
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(text), None) => Some(decimal(text).ok_or(ReplyError::Length("a Content-Length that is no number"))?),
        (Some(_), Some(_)) => return Err(ReplyError::Length("more than one Content-Length")),
    };
    let stage = match (chunked, length) {
        (true, Some(_)) => return Err(ReplyError::Length("chunks and a Content-Length")),
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Stage::Done,
        (true, None) => Stage::Size,
        (false, Some(0)) => Stage::Done,
        (false, Some(length)) => Stage::Sized(length),
        (false, None) => Stage::UntilClosed,
    };
    let says_close = all("connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
    let cached = all("age").any(|age| age != b"0");
    let last = says_close || !is_1_1 || stage == Stage::UntilClosed;
    Ok((Head { status, cached, last }, stage))
}

/// The first `left` bytes, the others, and how many are missing then.
fn cut(bytes: &[u8], left: u64) -> (&[u8], &[u8], u64) {
    let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
    (piece, rest, left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)))
}

/// Digits and nothing else: `u64::from_str` takes a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// Hexadecimal, up to extensions that nobody needs.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
