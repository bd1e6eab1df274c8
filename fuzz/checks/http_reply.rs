//! What answers on the port of an agent, an exporter or a Prometheus, on any bytes.

use clockwarden::controller::connection::reply::{HEAD_MAX, Head, Reply};

/// However the bytes are cut, the same answer comes of them, no longer than they are; the head is bounded.
pub(crate) fn check(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    if let Ok((_, body)) = &whole {
        assert!(body.len() < bytes.len(), "a body without a head");
    }
    // Cut by bytes of the input itself, and into single ones; a head that does not end costs its square then.
    let step = bytes.last().map_or(1, |last| usize::from(*last) + 1);
    for step in [step, 1].into_iter().filter(|step| bytes.len() / step <= HEAD_MAX / 4) {
        assert_eq!(read(bytes, step), whole, "cut every {step} bytes");
    }
}

/// What is wrong with it may be noticed in another order, so only that something is.
fn read(bytes: &[u8], step: usize) -> Result<(Head, Vec<u8>), ()> {
    let (mut reply, mut body) = (Reply::default(), Vec::new());
    for piece in bytes.chunks(step) {
        reply.feed(piece, &mut |part| body.extend_from_slice(part)).map_err(|_| ())?;
    }
    reply.closed().map(|head| (head, body)).map_err(|_| ())
}
