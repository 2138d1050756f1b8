//! The guard over streams that arrive in arbitrary pieces.

use std::collections::VecDeque;

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};
use tokio::io::AsyncReadExt;

use super::*;

/// A stream that yields one piece per read, then its end.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns the bytes that the guard yields, in reads of at most `room` bytes, and how the stream ends.
fn through(pieces: Vec<Vec<u8>>, room: usize) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut guard = ResponseGuard::new(Pieces(pieces.into()));
    let mut given = Vec::new();
    loop {
        let mut buffer = vec![0; room];
        match guard.read(&mut buffer).now_or_never().expect("the pieces never wait") {
            Ok(0) => return (given, Ok(())),
            Ok(count) => given.extend_from_slice(&buffer[..count]),
            Err(error) => return (given, Err(error.kind())),
        }
    }
}

fn cut(text: &str, at: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = at.iter().map(|index| index.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| text.as_bytes()[pair[0]..pair[1]].to_vec()).filter(|piece| !piece.is_empty()).collect()
}

const INTERIM: [&str; 4] = [
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 199 \r\n\r\n",
];
const FRAMED: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\": 1}",
    "HTTP/1.1 401 No\r\ncontent-length:0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
];
const UNFRAMED: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"id\": 1}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n[]",
    "HTTP/1.0 503 Busy\r\n\r\n",
];

proptest! {
    /// However the bytes are split, awc sees only the final response. The end of the stream is an error unless it ends
    /// the body.
    #[test]
    fn the_final_answer_comes_through_whole(
        interim in vec(prop::sample::select(&INTERIM[..]), 0..4),
        answer in prop::sample::select([&FRAMED[..], &UNFRAMED[..]].concat()),
        at in vec(any::<prop::sample::Index>(), 0..12),
        room in 1_usize..200,
    ) {
        let stream = format!("{}{answer}", interim.concat());
        let (given, end) = through(cut(&stream, &at), room);
        if FRAMED.contains(&answer) {
            prop_assert_eq!(String::from_utf8(given).unwrap(), answer);
            prop_assert_eq!(end, Err(io::ErrorKind::UnexpectedEof));
        } else {
            prop_assert_eq!(String::from_utf8(given).unwrap(), answer.replacen("HTTP/1.1", "HTTP/1.0", 1));
            prop_assert_eq!(end, Ok(()));
        }
    }

    /// For any input, the guard terminates and yields no byte before a final head is complete.
    #[test]
    fn noise_never_becomes_an_answer(pieces in vec(vec(any::<u8>(), 1..40), 0..20), room in 1_usize..200) {
        let (given, end) = through(pieces, room);
        prop_assert!(given.is_empty() || given.starts_with(PROTOCOL));
        prop_assert!(end.is_err() || !given.is_empty());
    }
}

#[test]
fn a_stream_that_ends_before_the_final_head_is_an_error() {
    for begun in ["", "HTTP", "HTTP/1.1 200 OK\r\nContent-Le", INTERIM[0], INTERIM[2]] {
        assert_eq!(through(vec![begun.into()], 100), (vec![], Err(io::ErrorKind::UnexpectedEof)), "{begun:?}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n",
    ] {
        assert_eq!(through(vec![bad.into()], 100), (vec![], Err(io::ErrorKind::InvalidData)), "{bad:?}");
    }
}

#[test]
fn heads_are_bounded_together() {
    let refused = (vec![], Err(io::ErrorKind::InvalidData));
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(HEAD_LIMIT));
    assert_eq!(through(vec![head.clone().into()], 200_000), refused, "in one piece");
    assert_eq!(through(head.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect(), 4096), refused, "in many");
    let endless = vec![INTERIM[1].into(); HEAD_LIMIT / INTERIM[1].len() + 1];
    assert_eq!(through(endless, 4096), refused, "heads of status 1xx");
    let lines = std::iter::once("HTTP/1.1 200 OK\r\n".to_owned()).chain((0..100).map(|n| format!("X-{n}: 1\r\n")));
    assert_eq!(through(lines.map(String::into_bytes).collect(), 4096), refused, "too many headers");
}
