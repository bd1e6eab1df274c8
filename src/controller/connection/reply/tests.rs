use super::*;
use proptest::prelude::*;

/// What comes of it when it comes at once and the connection is closed then: status, whether the connection is spent, body.
fn read(bytes: &[u8]) -> Result<(u16, bool, String), ReplyError> {
    read_cut(bytes, &[])
}

/// The same, cut before each of these bytes.
fn read_cut(bytes: &[u8], cuts: &[usize]) -> Result<(u16, bool, String), ReplyError> {
    let (mut reply, mut body, mut from) = (Reply::default(), Vec::new(), 0);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        if let Some(head) = reply.feed(&bytes[from..end], &mut |piece| body.extend_from_slice(piece))?
            && end == bytes.len()
        {
            return Ok((head.status.as_u16(), head.last, String::from_utf8(body).unwrap()));
        }
        from = end;
    }
    let head = reply.closed()?;
    Ok((head.status.as_u16(), head.last, String::from_utf8(body).unwrap()))
}

#[track_caller]
fn check(answer: &str, expected: Result<(u16, bool, &str), ReplyError>) {
    let expected = expected.map(|(status, last, body)| (status, last, body.to_owned()));
    assert_eq!(read(answer.as_bytes()), expected, "{answer:?}");
}

#[test]
fn answers_end_where_their_heads_say() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok((200, false, "{}")));
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok((200, false, "")));
    check("HTTP/1.1 204 No Content\r\n\r\n", Ok((204, false, "")));
    check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", Ok((304, false, "")));
    check("HTTP/1.1 200 OK\r\nconnection: Keep-Alive , CLOSE\r\ncontent-length:1\r\n\r\nx", Ok((200, true, "x")));
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Ok((200, true, "x")));
    check("HTTP/1.1 200 OK\r\n\r\nto the end", Ok((200, true, "to the end")));
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A \r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        Ok((200, false, "abc0123456789")),
    );
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 1\r\n\r\n!",
        Ok((503, false, "!")),
    );
}

#[test]
fn what_two_readers_could_take_for_different_answers_is_refused() {
    let length = |why| Err(ReplyError::Length(why));
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}";
    check(two, length("more than one Content-Length"));
    for number in ["-1", "+1", "1, 1", "0x1", "", "99999999999999999999"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {number}\r\n\r\nx");
        check(&answer, length("a Content-Length that is no number"));
    }
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(both, length("chunks and a Content-Length"));
    for coding in ["gzip", "gzip, chunked", "chunked, chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        check(&answer, length("a Transfer-Encoding other than chunked"));
    }
    for chunks in ["\r\n", "x\r\n", "-1\r\n", "1\r\nxy\r\n", "1\nx\r\n0\r\n\r\n", "10000000000000000\r\n"] {
        check(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), Err(ReplyError::Chunk));
    }
    check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", Err(ReplyError::Surplus));
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", Err(ReplyError::Cut));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Err(ReplyError::Cut));
    check("", Err(ReplyError::Cut));
    assert!(matches!(read(b"SSH-2.0-OpenSSH_9.6\r\n"), Err(ReplyError::Head(_))));
}

#[test]
fn what_does_not_end_is_given_up() {
    let header = |length: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(length));
    check(&header(HEAD_MAX), Err(ReplyError::TooLong));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("{chunked}{}", "0".repeat(LINE_MAX + 1)), Err(ReplyError::TooLong));
    check(&format!("{chunked}0\r\nX: {}", "x".repeat(LINE_MAX)), Err(ReplyError::TooLong));
}

#[test]
fn only_a_cache_says_how_old_its_answer_is() {
    for (age, cached) in [("", false), ("Age: 0\r\n", false), ("age: 7\r\n", true)] {
        let mut reply = Reply::default();
        let answer = format!("HTTP/1.1 200 OK\r\n{age}Content-Length: 0\r\n\r\n");
        let head = reply.feed(answer.as_bytes(), &mut |_| {}).unwrap().unwrap();
        assert_eq!(head.cached, cached, "{answer}");
    }
}

const SAMPLES: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: x\r\n\r\nhello, world",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nb;q\r\nhello world\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
];

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_were_cut(
        sample in prop::sample::select(&SAMPLES[..]),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        prop_assert_eq!(read_cut(sample.as_bytes(), &cuts), read(sample.as_bytes()));
        // A body of bytes that are not text is not compared, only survived.
        let _ = Reply::default().feed(&bytes, &mut |_| {});
    }
}
