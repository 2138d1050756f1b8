//! A web server with a certificate, on which clients publish documents: any number of hosts, all on this machine.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use ownerrez_gateway::{
    domain::BoxFuture,
    oauth::clients::{EgressPolicy, Resolver},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};

use super::response_framing::ResponseFraming;

/// The response to one request.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether the response stops in the middle.
    stalls: bool,
    form: ResponseFraming,
}

impl Published {
    /// Returns a JSON document.
    pub(crate) fn json(document: &Value) -> Self {
        Self::text("application/json", &document.to_string())
    }

    /// Returns any text with any media type.
    pub(crate) fn text(kind: &str, text: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status: 200, headers, body: text.into(), stalls: false, form: ResponseFraming::Plain }
    }

    /// Sets another status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets another form.
    pub(crate) fn in_form(mut self, form: ResponseFraming) -> Self {
        self.form = form;
        self
    }

    /// Sends the head and one byte, and then nothing.
    pub(crate) fn stalling(mut self) -> Self {
        self.stalls = true;
        self
    }
}

/// The server.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    client_tls: ClientConfig,
}

#[derive(Default)]
struct Shared {
    published: Mutex<HashMap<String, Published>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    stalled: AtomicUsize,
    changed: Notify,
    lookups: Mutex<Vec<String>>,
    addresses: Mutex<HashMap<String, VecDeque<Vec<SocketAddr>>>>,
    /// Lookups of names with this suffix never end.
    endless: Mutex<Option<String>>,
}

impl Publisher {
    /// Starts a server for these hosts.
    pub(crate) async fn start(hosts: &[&str]) -> Self {
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client_tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        for host in names {
            shared.addresses.lock().unwrap().insert(host, VecDeque::from([vec![address]]));
        }
        let acceptor = TlsAcceptor::from(Arc::new(server));
        shared.clone().listen(listener, acceptor.clone());
        Self { shared, acceptor, client_tls }
    }

    /// Adds an address at which it listens, in another network.
    pub(crate) async fn elsewhere(&self) -> String {
        let listener = TcpListener::bind("127.0.1.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.shared.clone().listen(listener, self.acceptor.clone());
        address.to_string()
    }

    /// Returns a network in which this server is the whole Internet: its addresses are allowed, private ones are not.
    pub(crate) fn egress(&self) -> EgressPolicy {
        self.egress_with(|address| address.is_loopback())
    }

    /// Does the same with another check of addresses.
    pub(crate) fn egress_with(&self, allows: fn(IpAddr) -> bool) -> EgressPolicy {
        EgressPolicy::simulated(Arc::new(StaticResolver(self.shared.clone())), allows, self.client_tls.clone())
    }

    /// Returns one with the same names in which no certificate is trusted.
    pub(crate) fn egress_without_trust(&self) -> EgressPolicy {
        let nobody = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        EgressPolicy::simulated(Arc::new(StaticResolver(self.shared.clone())), |_| true, nobody)
    }

    /// Publishes a response at this URL.
    pub(crate) fn publish(&self, url: &str, published: Published) {
        self.shared.published.lock().unwrap().insert(url.to_owned(), published);
    }

    /// Sets the results of the next lookups of a host, in order; the last one stays.
    pub(crate) fn lead(&self, host: &str, addresses: &[&[&str]]) {
        let parse = |found: &&[&str]| found.iter().map(|text| text.parse().unwrap()).collect();
        self.shared.addresses.lock().unwrap().insert(host.to_owned(), addresses.iter().map(parse).collect());
    }

    /// Makes all lookups in this domain hang.
    pub(crate) fn hang_lookups(&self, domain: &str) {
        *self.shared.endless.lock().unwrap() = Some(domain.to_owned());
    }

    /// Returns the address at which it listens.
    pub(crate) fn address(&self, host: &str) -> String {
        self.shared.addresses.lock().unwrap()[host][0][0].to_string()
    }

    /// Returns the number of requests for this URL.
    pub(crate) fn count(&self, url: &str) -> usize {
        self.shared.requests.lock().unwrap().iter().filter(|asked| *asked == url).count()
    }

    /// Returns the number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of lookups of a host.
    pub(crate) fn lookups(&self, host: &str) -> usize {
        self.shared.lookups.lock().unwrap().iter().filter(|asked| *asked == host).count()
    }

    /// Waits until this number of responses have stopped in the middle.
    pub(crate) async fn until_stalled(&self, count: usize) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.stalled.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        actix_rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                self.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, shared) = (acceptor.clone(), self.clone());
                actix_rt::spawn(async move {
                    // In some tests the caller trusts other certificates, or disconnects.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = shared.serve(stream).await;
                    }
                });
            }
        });
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut host = String::new();
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("host") => host = value.to_owned(),
                Some(_) => {}
                None => break,
            }
        }
        let url = format!("https://{host}{path}");
        self.requests.lock().unwrap().push(url.clone());
        let missing = || Published::text("text/plain", "nothing is here").status(404);
        let published = self.published.lock().unwrap().get(&url).cloned().unwrap_or_else(missing);
        let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", published.status);
        for (name, value) in &published.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if published.stalls {
            let length = published.body.len();
            stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes()).await?;
            stream.write_all(&published.body[..1]).await?;
            stream.flush().await?;
            self.stalled.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
            // Until the caller disconnects.
            stream.read_line(&mut line).await?;
            return Ok(());
        }
        published.form.write(&mut stream, &head, &published.body).await?;
        stream.flush().await?;
        stream.shutdown().await
    }
}

/// Resolves the server's hosts; other hosts do not exist.
struct StaticResolver(Arc<Shared>);

impl Resolver for StaticResolver {
    fn lookup(&self, host: &str, _: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        self.0.lookups.lock().unwrap().push(host.to_owned());
        if self.0.endless.lock().unwrap().as_ref().is_some_and(|domain| host.ends_with(domain)) {
            return Box::pin(std::future::pending());
        }
        let mut all = self.0.addresses.lock().unwrap();
        let found = all
            .get_mut(host)
            .and_then(|answers| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() });
        let found = found.ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(std::future::ready(found))
    }
}
