use super::*;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

fn question(path: &str) -> Question {
    Question { path: path.to_owned(), form: None, patience: Duration::from_secs(5), limit: 100 }
}

/// A server that gives these answers, each to one question on the same connection, closes it after each that is empty,
/// and returns what it was asked.
async fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        for answer in answers {
            if answer.is_empty() {
                stream.shutdown().await.unwrap();
                (stream, _) = listener.accept().await.unwrap();
                continue;
            }
            let mut text = Vec::new();
            while !text.windows(4).any(|four| four == b"\r\n\r\n") {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                text.extend_from_slice(&buffer[..read]);
            }
            asked.push(String::from_utf8(text).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, task)
}

#[tokio::test]
async fn one_connection_is_used_for_all_questions() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let (address, server) = server(&[OK, OK]).await;
    let mut connection = Connection::new(address.clone());
    for path in ["/one", "/two?after=1"] {
        let (answer, body) = connection.ask_whole(&question(path)).await.unwrap();
        assert_eq!((answer.status, answer.cached, body.as_slice()), (StatusCode::OK, false, &b"{}"[..]));
        assert!(answer.sent <= answer.clocks.before);
    }
    let asked = server.await.unwrap();
    let head = format!("GET /two?after=1 HTTP/1.1\r\nhost: {address}\r\ncache-control: no-cache, no-store\r\n");
    assert!(asked[1].starts_with(&head) && asked[1].ends_with("\r\n\r\n"), "{asked:?}");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    const LAST: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
    let (address, server) = server(&[LAST, "", OK, "", OK]).await;
    let mut connection = Connection::new(address);
    connection.ask_whole(&question("/")).await.unwrap();
    // It was told that this was the last answer.
    connection.ask_whole(&question("/")).await.unwrap();
    // It was not told.
    while is_idle(connection.open.as_ref().unwrap()) {
        connection.open.as_ref().unwrap().readable().await.unwrap();
    }
    connection.ask_whole(&question("/")).await.unwrap();
    assert_eq!(server.await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_none_is_an_error_and_ends_the_connection() {
    const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n";
    for (answer, body, expected) in [
        (LONG, 101, "longer than 100 bytes"),
        ("HTTP/1.1 200 OK\r\n\r\n", 0, "did not answer within"),
        ("220 ready\r\n", 0, "does not speak HTTP/1"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap().to_string());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; body]).await.unwrap();
            std::future::pending::<()>().await
        });
        let asked = Question { patience: Duration::from_millis(300), ..question("/") };
        let error = connection.ask_whole(&asked).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(connection.open.is_none());
        server.abort();
    }
}

#[tokio::test]
async fn nothing_that_a_stranger_names_begins_another_question() {
    for (address, path) in [
        ("127.0.0.1:1", "/v1/clock?instance=x HTTP/1.1\r\nhost: y\r\n\r\nGET /"),
        ("127.0.0.1:1", "/a b"),
        ("127.0.0.1:1", ""),
        ("127.0.0.1:1\r\nx: y", "/"),
    ] {
        let error = Connection::new(address.to_owned()).ask_whole(&question(path)).await.unwrap_err();
        assert!(matches!(error, HttpError::Question(_)), "{address:?} {path:?}: {error}");
    }
}
