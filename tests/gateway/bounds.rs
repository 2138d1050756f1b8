//! Limits for clients without a verified credential: time, bytes, connections. The deadlines use real time, because
//! they protect real sockets; the tests set them to one second.

mod bodies;
mod connections;
mod heads;
mod large_messages;

use std::time::Duration;

use crate::world::Settings;

/// Trusts a proxy at 127.0.0.1 and sets the deadlines to one second.
fn hasty() -> Settings {
    Settings::default().set("TRUSTED_PROXIES", "127.0.0.1").tune(|config| {
        config.server.header_timeout_seconds = 1;
        config.server.body_timeout_seconds = 1;
        config.server.send_timeout_seconds = 1;
    })
}

/// Waits for real time to pass.
async fn wait(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// Returns the head of a `POST` from a forwarded source, with a body of that many bytes.
fn post(path: &str, from: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {from}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}
