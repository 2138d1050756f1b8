//! The forms of an HTTP/1.1 response, valid and invalid.

use std::{io, time::Duration};

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The form of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResponseFraming {
    /// With its length; the connection is kept alive if the caller keeps it.
    Plain,
    /// After an interim response with this status, which is sent separately.
    Interim(u16),
    /// The response is sent a second time: when the connection ends, or before the response to the next request on it.
    Twice,
    /// In chunks of seven bytes.
    Chunked,
    /// Without a length; the end of the connection ends it.
    Unframed,
    /// The complete body, but the length is ten bytes too long.
    CutLength,
    /// The complete body, without the last chunk.
    CutChunks,
    /// After a head that never ends.
    EndlessHead,
}

impl ResponseFraming {
    /// Writes a response in this form after the first lines of its head. Returns whether the connection stays open.
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

/// Returns a response whose length is too long by this number of bytes.
pub(crate) fn sized(head: &str, body: &[u8], more: usize) -> Vec<u8> {
    [format!("{head}Content-Length: {}\r\n\r\n", body.len() + more).as_bytes(), body].concat()
}

/// Gives a client time to read the bytes so far as a response.
#[expect(
    clippy::disallowed_methods,
    reason = "the network's time, in which a client takes what has come for the answer"
)]
pub(crate) async fn gap() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
