//! Raw HTTP/1.1: one connection that carries the requests of several users, one after the other or all at once.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

use super::Person;

/// A connection. Dropping it closes it.
pub(crate) struct Wire(BufReader<TcpStream>);

/// A response as read from the wire.
#[derive(Debug)]
pub(crate) struct WireReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl WireReply {
    /// Returns a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Wire {
    /// Opens a connection to the server of a URL.
    pub(crate) async fn open(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// Opens a connection from another address of this machine: all of 127.0.0.0/8 is local.
    pub(crate) async fn open_from(source: &str, url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self(BufReader::new(socket.connect(address).await.unwrap()))
    }

    /// Reads until the server closes the connection, which must happen within ten seconds; returns the text read
    /// before.
    pub(crate) async fn until_closed(&mut self) -> String {
        let mut bytes = Vec::new();
        // An error also means closed: the server may reset a connection on which it has not read everything.
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server closes the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads the first bytes of a response; returns an empty string if the server closes the connection.
    pub(crate) async fn until_closed_or_answered(&mut self) -> String {
        let mut bytes = [0; 8 * 1024];
        let read = self.0.read(&mut bytes).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// Returns the text of a `GET` with the user's key.
    pub(crate) fn get(person: &Person, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n", person.key)
    }

    /// Returns the text of a message to `/mcp` with the user's key.
    pub(crate) fn mcp(person: &Person, message: &Value) -> String {
        let body = message.to_string();
        format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n\
             Content-Length: {}\r\n\r\n{body}",
            person.key,
            body.len()
        )
    }

    /// Sends text to a server that may have closed the connection; returns whether it was sent.
    pub(crate) async fn writes(&mut self, text: &str) -> bool {
        self.0.get_mut().write_all(text.as_bytes()).await.is_ok()
    }

    /// Sends text unchanged.
    pub(crate) async fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads the next response, which must have a length.
    pub(crate) async fn read(&mut self) -> WireReply {
        let status = self.line().await;
        let status = status.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {status:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = WireReply { status, headers, body: Value::Null };
        let length = reply.header("content-length").expect("a Content-Length").parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        reply.body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        reply
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}
