//! Messages as lines on standard input and output.

use std::io;

use serde_json::Value;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

/// The queue of lines for standard output, written in the order in which they are sent. Cheap to clone.
#[derive(Clone)]
pub(super) struct Output(mpsc::UnboundedSender<String>);

impl Output {
    /// Starts a task that writes to standard output until the last clone is dropped.
    pub(super) fn start() -> (Self, JoinHandle<io::Result<()>>) {
        let (out, mut lines) = mpsc::unbounded_channel::<String>();
        let writer = actix_rt::spawn(async move {
            let mut output = tokio::io::stdout();
            while let Some(line) = lines.recv().await {
                output.write_all(line.as_bytes()).await?;
                output.write_all(b"\n").await?;
                output.flush().await?;
            }
            Ok(())
        });
        (Self(out), writer)
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &Value) {
        self.send_text(message.to_string());
    }

    /// Sends a line. If the reader is gone, the line is dropped: it needs no answer any more.
    pub(super) fn send_text(&self, line: String) {
        let _ = self.0.send(line);
    }
}

/// Reads the next line that is not blank, as bytes: invalid UTF-8 affects one message, not the stream. Returns `None`
/// at the end; the last line needs no line break.
pub(super) async fn next_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            return Ok(Some(text.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn lines_are_bytes_without_what_surrounds_them() -> io::Result<()> {
        let mut input = &b"a\r\n\n \xff\n  \nlast"[..];
        for expected in [&b"a"[..], b"\xff", b"last"] {
            assert_eq!(next_line(&mut input).await?.as_deref(), Some(expected));
        }
        assert_eq!(next_line(&mut input).await?, None);
        Ok(())
    }
}
