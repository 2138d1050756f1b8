//! The forms that an answer of HTTP/1.1 may have, good ones and bad ones.

use std::{io, time::Duration};

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// With its length; the connection is kept if the caller keeps it.
    Plain,
    /// After a head of this status, which comes apart from the answer.
    Interim(u16),
    /// The answer comes once more: at once, and again where another request comes on the same connection.
    Twice,
    /// In chunks of seven bytes.
    Chunked,
    /// Without a length; the end of the connection ends it.
    Unframed,
    /// All of it, but it says that it is ten bytes longer.
    CutLength,
    /// All of it, without the last chunk.
    CutChunks,
    /// Behind a head that never ends.
    EndlessHead,
}

impl Form {
    /// Writes an answer in this form behind the first lines of its head. Returns whether the connection goes on.
    pub(crate) async fn write(
        self,
        stream: &mut (impl AsyncWrite + Unpin),
        head: &str,
        body: &[u8],
    ) -> io::Result<bool> {
        match self {
            Self::Plain | Self::Twice => stream.write_all(&sized(head, body, 0)).await?,
            Self::Interim(status) => {
                stream.write_all(format!("HTTP/1.1 {status} -\r\nX-Hint: 1\r\n\r\n").as_bytes()).await?;
                stream.flush().await?;
                gap().await;
                stream.write_all(&sized(head, body, 0)).await?;
            }
            Self::Chunked | Self::CutChunks => {
                stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
                for chunk in body.chunks(7) {
                    let size = format!("{:x}\r\n", chunk.len());
                    stream.write_all(&[size.as_bytes(), chunk, b"\r\n"].concat()).await?;
                }
                if self == Self::CutChunks {
                    return Ok(false);
                }
                stream.write_all(b"0\r\n\r\n").await?;
            }
            Self::Unframed => {
                stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await?;
                return Ok(false);
            }
            Self::CutLength => {
                stream.write_all(&sized(head, body, 10)).await?;
                return Ok(false);
            }
            Self::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                for number in 0..20_000 {
                    stream.write_all(format!("HTTP/1.1 100 -\r\nX: {number}\r\n\r\n").as_bytes()).await?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An answer that says it is so many bytes longer than it is.
pub(crate) fn sized(head: &str, body: &[u8], more: usize) -> Vec<u8> {
    [format!("{head}Content-Length: {}\r\n\r\n", body.len() + more).as_bytes(), body].concat()
}

/// Lets a client take what has come for the answer.
#[expect(
    clippy::disallowed_methods,
    reason = "the network's time, in which a client takes what has come for the answer"
)]
pub(crate) async fn gap() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
