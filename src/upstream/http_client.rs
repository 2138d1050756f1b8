//! The awc client for OwnerRez: one guarded connection per request.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use actix_tls::connect::ConnectorService;
use awc::{
    ClientRequest, Connector,
    http::{
        Method,
        header::{self, HeaderValue},
    },
};
use url::Url;

use super::upstream_settings::UpstreamSettings;
use crate::outgoing::{Dialer, host_header, plain_origin};

/// The start of the User-Agent of every request.
const USER_AGENT: &str = concat!("ownerrez-gateway/", env!("CARGO_PKG_VERSION"));
/// Maximum concurrent requests per thread. The allowance limits them far below this.
const AT_ONCE: usize = 100;

/// The settings that a client is created with. They differ only in tests; all other limits are set per request.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Purpose {
    api_url: Url,
    user_agent: HeaderValue,
    connect_timeout: Duration,
    trust: usize,
}

thread_local! {
    // awc's client is not `Send`, so each thread has its own.
    static CLIENTS: RefCell<HashMap<Purpose, HttpClient>> = RefCell::new(HashMap::new());
}

/// The HTTP client of one thread.
#[derive(Clone)]
pub(super) struct HttpClient {
    client: awc::Client,
    /// The URL prefix of every path.
    base: Rc<str>,
}

impl HttpClient {
    /// Returns the calling thread's client for these settings.
    pub(super) fn here(settings: &UpstreamSettings) -> Self {
        let client_id = settings.client.as_ref().map_or("no-client", |client| client.id.as_str());
        let named = HeaderValue::from_str(&format!("{USER_AGENT} ({client_id})"));
        let purpose = Purpose {
            api_url: settings.api_url.clone(),
            user_agent: named.unwrap_or(HeaderValue::from_static(USER_AGENT)),
            connect_timeout: settings.connect_timeout,
            trust: settings.tls.address(),
        };
        CLIENTS.with_borrow_mut(|clients| {
            clients.entry(purpose).or_insert_with_key(|purpose| Self::new(purpose, settings)).clone()
        })
    }

    fn new(purpose: &Purpose, settings: &UpstreamSettings) -> Self {
        let url = &settings.api_url;
        let tls = (url.scheme() == "https").then(|| settings.tls.clone());
        let dialer = Dialer { tcp: ConnectorService::default(), tls };
        let connector = Connector::new().connector(dialer).limit(AT_ONCE).timeout(purpose.connect_timeout);
        let mut builder = awc::Client::builder()
            .connector(connector)
            .add_default_header((header::USER_AGENT, purpose.user_agent.clone()))
            .disable_redirects()
            .disable_timeout();
        if let Ok(named) = HeaderValue::from_str(&host_header(url)) {
            builder = builder.add_default_header((header::HOST, named));
        }
        let base = format!("{}{}", plain_origin(url), url.path().trim_end_matches('/'));
        Self { client: builder.finish(), base: base.into() }
    }

    /// Starts a request. Its connection is not reused, so bytes that arrive late cannot be taken for the response to
    /// another request.
    pub(super) fn request(&self, method: Method, path_and_query: &str) -> ClientRequest {
        self.client.request(method, format!("{}{path_and_query}", self.base)).force_close()
    }
}
