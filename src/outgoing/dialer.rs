//! Connections: TCP, TLS if the URL is https, and the guard on top of both.
//!
//! awc can only replace the layer below TLS, and the guard must be above TLS. So awc gets plain-http URLs and the TLS
//! is done here. HTTP/2 is never offered, because the guard reads HTTP/1 and awc's h2 crate has a known vulnerability
//! (RUSTSEC-2026-0258).

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::{Service, always_ready};
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection,
    rustls_0_23::{TlsConnector, reexports::AsyncTlsStream},
};
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{response_guard::ResponseGuard, tls_trust::TlsTrust};

/// Opens connections, each for one request.
#[derive(Clone)]
pub struct Dialer<C> {
    /// Selects an address and connects to it.
    pub tcp: C,
    /// `None` for plain http.
    pub tls: Option<TlsTrust>,
}

impl<C> Service<ConnectInfo<Uri>> for Dialer<C>
where
    C: Service<ConnectInfo<Uri>, Response = Connection<Uri, TcpStream>, Error = ConnectError>,
    C::Future: 'static,
{
    type Response = Connection<Uri, ResponseGuard<MaybeTlsStream>>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let (dialled, tls) = (self.tcp.call(info), self.tls.clone());
        Box::pin(async move {
            let connection = dialled.await?;
            let (stream, uri) = match tls {
                None => {
                    let (stream, uri) = connection.into_parts();
                    (MaybeTlsStream::Plain(stream), uri)
                }
                Some(trust) => {
                    let over_tls = TlsConnector::service(trust.config()).call(connection).await;
                    let (stream, uri) = over_tls.map_err(ConnectError::Io)?.into_parts();
                    (MaybeTlsStream::Tls(Box::new(stream)), uri)
                }
            };
            Ok(Connection::new(uri, ResponseGuard::new(stream)))
        })
    }
}

/// A connection, encrypted or not.
pub enum MaybeTlsStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<AsyncTlsStream<TcpStream>>),
}

impl MaybeTlsStream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for MaybeTlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for MaybeTlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl ActixStream for MaybeTlsStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), cx)
    }
}

impl fmt::Debug for MaybeTlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}
