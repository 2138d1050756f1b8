//! The load generator: persistent connections, requests that are built once in advance, and the latency of each answer.
//!
//! Uses plain sockets, because the generator shares the processors with the measured processes.

use std::{
    cell::Cell,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{MissedTickBehavior, interval_at},
};

/// One connection and the bytes that were read beyond the last response.
pub(crate) struct Connection {
    from: IpAddr,
    to: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects from one of this machine's addresses: all of 127.0.0.0/8 are local.
    pub(crate) async fn open(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.bind(SocketAddr::new(from, 0))?;
        Ok(Self { from, to, stream: socket.connect(to).await?, buffer: Vec::with_capacity(8 * 1024) })
    }

    /// Runs [`Self::exchange`] for requests that are rejected: the gateway may close a connection whose body it does
    /// not read, and a flooding client then opens the next one.
    async fn insist(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        match self.exchange(request).await {
            Err(error) if is_closed(&error) => {
                *self = Self::open(self.from, self.to).await?;
                self.exchange(request).await
            }
            outcome => outcome,
        }
    }

    /// Sends a whole request and reads the whole response; returns its status and its body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let body = self.buffer[head..head + length].to_vec();
        self.buffer.drain(..head + length);
        Ok((status, body))
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn read_head(head: &[u8]) -> io::Result<(u16, usize)> {
    let text = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    status.zip(length).ok_or_else(|| io::Error::other(format!("an answer without status or length: {text}")))
}

/// Builds a whole HTTP request: `POST /mcp` with this bearer token and this body.
pub(crate) fn post_mcp(host: SocketAddr, bearer: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The result of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Sorted, shortest first.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// Adds the result of another load.
    pub(crate) fn add(&mut self, other: Self) {
        self.took += other.took;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }

    pub(crate) fn answers(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answers() as f64 / self.took.as_secs_f64()
    }

    /// Returns the latency in milliseconds that this fraction of the answers did not exceed.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * part).round() as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

/// The check of every answer; an answer that fails it ends the benchmark.
pub(crate) type Expected = fn(u16, &[u8]) -> bool;

/// Runs connections concurrently; each sends its own requests one after the other, as fast as they are answered.
pub(crate) async fn run(connections: Vec<(Connection, Vec<&[u8]>)>, expected: Expected) -> io::Result<Outcome> {
    let begin = Instant::now();
    let runs = connections.into_iter().map(|(mut connection, requests)| async move {
        let mut latencies = Vec::with_capacity(requests.len());
        for request in requests {
            let sent = Instant::now();
            let (status, body) = connection.exchange(request).await?;
            latencies.push(sent.elapsed());
            if !expected(status, &body) {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Err(io::Error::other(format!("an answer that was not expected: {status} {body}")));
            }
        }
        Ok(latencies)
    });
    let mut latencies: Vec<Duration> = try_join_all(runs).await?.into_iter().flatten().collect();
    latencies.sort_unstable();
    Ok(Outcome { took: begin.elapsed(), latencies })
}

/// Sends requests repeatedly on each connection until it is dropped, and counts the answers. With a pause, each
/// connection sends one request per interval, or more slowly if the server is slower; without one, it sends as fast as
/// it gets answers.
#[expect(clippy::disallowed_methods, reason = "the benchmark measures real time")]
pub(crate) async fn flood(
    connections: Vec<(Connection, Vec<Vec<u8>>)>,
    pause: Option<Duration>,
    expected: Expected,
    answered: &Cell<u64>,
) -> io::Error {
    let (begin, many) = (Instant::now(), connections.len() as u32);
    let floods = connections.into_iter().zip(0..).map(|((mut connection, requests), at)| async move {
        // The connections start at staggered times; otherwise all of them would send at once, in bursts.
        let mut rhythm = pause.map(|pause| interval_at((begin + pause * at / many).into(), pause));
        if let Some(rhythm) = &mut rhythm {
            rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        for request in requests.iter().cycle() {
            if let Some(rhythm) = &mut rhythm {
                rhythm.tick().await;
            }
            let (status, body) = connection.insist(request).await?;
            if !expected(status, &body) {
                return Err(io::Error::other(format!("the flood was answered {status}")));
            }
            answered.set(answered.get() + 1);
        }
        Err::<(), _>(io::Error::other("a flood without requests"))
    });
    match try_join_all(floods).await {
        Ok(_) => io::Error::other("the flood ended"),
        Err(error) => error,
    }
}
