//! Checks each line between standard input and rmcp. A line that is not a valid message gets an error response here.
//! rmcp itself ignores it, and ends at a first message that it cannot read.

use std::io;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufRead, AsyncWriteExt, BufReader, DuplexStream},
    task::JoinHandle,
};

use super::lines::{Output, next_line};
use crate::mcp::{Incoming, Malformed, Message, reword_unknown_method};

/// Limits the bytes buffered between this check and rmcp: one message of any usual size.
const BUFFER_SIZE: usize = 64 * 1024;

/// Returns rmcp's end of both directions, its input and its output, and the task that reads.
///
/// Each line of `input` is sent to rmcp or answered through `output`, until the input ends. The output of rmcp is sent
/// to `output`.
pub(super) fn check_lines(
    input: impl AsyncBufRead + Unpin + 'static,
    output: Output,
) -> (DuplexStream, DuplexStream, JoinHandle<()>) {
    let (to_rmcp, rmcp_input) = tokio::io::duplex(BUFFER_SIZE);
    let (rmcp_output, from_rmcp) = tokio::io::duplex(BUFFER_SIZE);
    let answers = output.clone();
    let reader = actix_rt::spawn(async move {
        if let Err(error) = forward_lines(input, to_rmcp, &output).await {
            log::debug!("the client's input ended: {error}");
        }
    });
    actix_rt::spawn(async move {
        let mut lines = BufReader::new(from_rmcp);
        while let Ok(Some(line)) = next_line(&mut lines).await {
            match reword_unknown_method(&line) {
                Some(refusal) => answers.send(&refusal),
                None => answers.send_text(String::from_utf8_lossy(&line).into_owned()),
            }
        }
    });
    (rmcp_input, rmcp_output, reader)
}

async fn forward_lines(
    mut input: impl AsyncBufRead + Unpin,
    mut to_rmcp: DuplexStream,
    output: &Output,
) -> io::Result<()> {
    let mut is_open = false;
    while let Some(line) = next_line(&mut input).await? {
        match check_line(&line, is_open) {
            Ok(Line::ForRmcp(message)) => {
                is_open |= opens(&message);
                to_rmcp.write_all(message.to_text().as_bytes()).await?;
                to_rmcp.write_all(b"\n").await?;
            }
            Ok(Line::Answered(answer)) => output.send(&answer),
            Ok(Line::Ignored) => {}
            Err(malformed) => output.send(&malformed.to_json()),
        }
    }
    Ok(())
}

enum Line {
    ForRmcp(Message),
    Answered(Value),
    Ignored,
}

/// Checks a line. `is_open` says whether a request has opened the session.
fn check_line(line: &[u8], is_open: bool) -> Result<Line, Malformed> {
    let message = match Incoming::parse(line)? {
        Incoming::Message(message) => message,
        Incoming::Batch(_) => {
            let reason = "Invalid request: a line must be one message, not an array.";
            return Err(Malformed::invalid_request(Value::Null, reason));
        }
    };
    message.check_params()?;
    // Before 2026-07-28 a ping may precede the handshake. 2026-07-28 has no ping, but some clients send it anyway
    // (`http::mcp`).
    if message.method() == Some("ping") && message.is_request() && message.meta_version().is_none() {
        return Ok(Line::Answered(json!({"jsonrpc": "2.0", "id": message.id(), "result": {}})));
    }
    // rmcp answers a request that comes too early, and ends at anything else that does.
    Ok(if is_open || message.is_request() { Line::ForRmcp(message) } else { Line::Ignored })
}

/// Returns whether a request opens the session: the handshake, or any request of 2026-07-28 except `server/discover`.
fn opens(message: &Message) -> bool {
    message.method() == Some("initialize")
        || (message.meta_version().is_some() && message.method() != Some("server/discover"))
}
