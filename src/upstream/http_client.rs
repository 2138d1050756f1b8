//! awc as it speaks to OwnerRez: one connection for one request, guarded.

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

use super::UpstreamSettings;
use crate::outgoing::{Dialer, host_header, plain_origin};

/// How every request begins to say who sends it.
const USER_AGENT: &str = concat!("ownerrez-gateway/", env!("CARGO_PKG_VERSION"));
/// Requests at the same time from one thread. The allowance bounds them long before.
const AT_ONCE: usize = 100;

/// What a client is made for. It differs in tests only; the other bounds are set per request.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Purpose {
    api_url: Url,
    user_agent: HeaderValue,
    connect_timeout: Duration,
    trust: usize,
}

thread_local! {
    // awc's client is not Send, so each thread has its own.
    static CLIENTS: RefCell<HashMap<Purpose, HttpClient>> = RefCell::new(HashMap::new());
}

/// The client of one thread.
#[derive(Clone)]
pub(super) struct HttpClient {
    client: awc::Client,
    /// The address before each path.
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

    /// Begins a request. Its connection serves no other, so nothing that arrives late on it can answer another request.
    pub(super) fn request(&self, method: Method, path_and_query: &str) -> ClientRequest {
        self.client.request(method, format!("{}{path_and_query}", self.base)).force_close()
    }
}
