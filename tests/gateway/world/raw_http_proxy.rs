//! A proxy in front of OwnerRez that writes raw and possibly invalid HTTP/1.1. It forwards each request to the
//! simulator, so accounts and tokens are real; only the form of the responses is changed.

use std::{
    io,
    sync::{Arc, Mutex},
};

use ownerrez_gateway::outgoing::TlsTrust;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};

use super::response_framing::{ResponseFraming, gap, sized};

/// Chooses the form of a response by the first line of its request.
type FramingOf = Box<dyn FnMut(&str) -> ResponseFraming + Send>;

/// The proxy.
pub(crate) struct RawHttpProxy {
    port: u16,
    shared: Arc<Shared>,
    trust: Option<ClientConfig>,
}

struct Shared {
    simulator: Mutex<String>,
    form: Mutex<FramingOf>,
    /// The protocol negotiated by ALPN, for each connection.
    protocols: Mutex<Vec<Option<Vec<u8>>>>,
    connections: Mutex<usize>,
}

/// A request as received.
struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The simulator's response.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl RawHttpProxy {
    /// Starts one over plain TCP.
    pub(crate) async fn start() -> Self {
        Self::listen(None, None).await
    }

    /// Starts one over TLS that prefers HTTP/2.
    pub(crate) async fn start_over_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let provider = Arc::new(ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = server.alpn_protocols.clone();
        Self::listen(Some(TlsAcceptor::from(Arc::new(server))), Some(client)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, trust: Option<ClientConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            simulator: Mutex::default(),
            form: Mutex::new(Box::new(|_| ResponseFraming::Plain)),
            protocols: Mutex::default(),
            connections: Mutex::default(),
        });
        let serving = shared.clone();
        actix_rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *serving.connections.lock().unwrap() += 1;
                let (tls, shared) = (tls.clone(), serving.clone());
                actix_rt::spawn(async move {
                    // A caller may disconnect at any time.
                    let _ = match tls {
                        None => shared.serve(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => {
                                let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                                shared.protocols.lock().unwrap().push(agreed);
                                shared.serve(stream).await
                            }
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { port, shared, trust }
    }

    /// Returns its address, for `OWNERREZ_API_URL`.
    pub(crate) fn url(&self) -> String {
        if self.trust.is_some() {
            format!("https://localhost:{}", self.port)
        } else {
            format!("http://127.0.0.1:{}", self.port)
        }
    }

    /// Returns the certificates that a client of the proxy must trust.
    pub(crate) fn trust(&self) -> TlsTrust {
        self.trust.clone().expect("a proxy over TLS").into()
    }

    /// Sets the address to which requests are forwarded.
    pub(crate) fn forward_to(&self, simulator: &str) {
        *self.shared.simulator.lock().unwrap() = simulator.to_owned();
    }

    /// Sets the form of each later response; the function gets the first line of the request.
    pub(crate) fn answer_in(&self, form: impl FnMut(&str) -> ResponseFraming + Send + 'static) {
        *self.shared.form.lock().unwrap() = Box::new(form);
    }

    /// Returns the number of connections.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Returns the protocol negotiated by ALPN, for each connection.
    pub(crate) fn protocols(&self) -> Vec<Option<Vec<u8>>> {
        self.shared.protocols.lock().unwrap().clone()
    }
}

impl Shared {
    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut late = Vec::new();
        while let Some(request) = Request::read(&mut stream).await? {
            let answer = self.forward(&request).await;
            let form = self.form.lock().unwrap()(&request.line);
            stream.write_all(&std::mem::take(&mut late)).await?;
            let head = format!("HTTP/1.1 {} -\r\nContent-Type: application/json\r\n", answer.status);
            if form == ResponseFraming::Twice {
                late = sized(&head, &answer.body, 0);
            }
            if !form.write(&mut stream, &head, &answer.body).await? {
                break;
            }
            if form == ResponseFraming::Twice {
                stream.flush().await?;
                gap().await;
            }
            stream.flush().await?;
            if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        // Delayed bytes are sent at the end.
        stream.write_all(&late).await?;
        stream.flush().await?;
        stream.shutdown().await
    }

    async fn forward(&self, request: &Request) -> Answer {
        let url = self.simulator.lock().unwrap().clone();
        let mut words = request.line.split(' ');
        let (method, path) = (words.next().unwrap().parse().unwrap(), words.next().unwrap());
        let client = awc::Client::builder().disable_timeout().disable_redirects().finish();
        let mut call = client.request(method, format!("{url}{path}")).force_close();
        for name in ["authorization", "content-type", "user-agent", "accept"] {
            if let Some(value) = request.header(name) {
                call = call.insert_header((name, value));
            }
        }
        let mut response = call.send_body(request.body.clone()).await.unwrap();
        Answer { status: response.status().as_u16(), body: response.body().await.unwrap().to_vec() }
    }
}

impl Request {
    /// Returns `None` if the caller has disconnected.
    async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let headers = lines.split_off(1).into_iter().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        });
        let mut request = Self { line: lines.remove(0), headers: headers.collect(), body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
        Ok(Some(request))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
