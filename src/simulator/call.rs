//! An incoming request, read once: the rest of the simulator uses plain data and no web framework.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use actix_web::{HttpRequest, http::header};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::Value;

use super::credentials::Credentials;

const REVOKE: &str = "/oauth/access_token/";

/// Returns whether a URL points to this machine.
pub(super) fn is_of_this_machine(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An incoming request.
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) query_text: String,
    pub(super) host: String,
    pub(super) user_agent: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Bytes,
    pub(super) peer: IpAddr,
}

impl Call {
    pub(super) fn read(request: &HttpRequest, body: Bytes) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query_text = request.query_string().to_owned();
        Call {
            method: request.method().as_str().to_owned(),
            path: request.path().to_owned(),
            query: url::form_urlencoded::parse(query_text.as_bytes()).into_owned().collect(),
            query_text,
            host: header(header::HOST).unwrap_or_default(),
            user_agent: header(header::USER_AGENT).filter(|agent| !agent.trim().is_empty()),
            authorization: header(header::AUTHORIZATION),
            content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
            body,
            peer: request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip()),
        }
    }

    /// Returns whether the `Host` header names this machine. A page under a foreign name that resolves to this machine
    /// must not reach the simulator (DNS rebinding).
    pub(super) fn host_is_loopback(&self) -> bool {
        is_of_this_machine(&format!("http://{}/", self.host))
    }

    /// Returns the origin that the client called.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Returns whether it counts toward the rate limit: all requests to the API host, not the browser pages.
    pub(super) fn is_api(&self) -> bool {
        self.path.starts_with("/v2/") || self.is_token_call() || self.token_in_path().is_some()
    }

    pub(super) fn is_token_call(&self) -> bool {
        matches!(self.path.as_str(), "/oauth/access_token" | "/oauth/token")
    }

    /// Returns the token in the path of a revocation.
    pub(super) fn token_in_path(&self) -> Option<&str> {
        self.path.strip_prefix(REVOKE).filter(|token| !token.is_empty())
    }

    pub(super) fn masked_path(&self) -> &str {
        if self.token_in_path().is_some() { "/oauth/access_token/{token}" } else { &self.path }
    }

    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.scheme("bearer")
    }

    pub(super) fn basic(&self) -> Option<(String, String)> {
        let decoded = BASE64_STANDARD.decode(self.scheme("basic")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    fn scheme(&self, wanted: &str) -> Option<&str> {
        let (scheme, rest) = self.authorization.as_deref()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
    }

    pub(super) fn credentials(&self) -> Credentials {
        if self.authorization.is_none() {
            Credentials::None
        } else if self.bearer().is_some() {
            Credentials::Bearer
        } else {
            match self.basic() {
                Some((_, password)) if password.starts_with("pt_") => Credentials::PersonalAccessToken,
                Some(_) => Credentials::Client,
                None => Credentials::Other,
            }
        }
    }

    pub(super) fn is_form(&self) -> bool {
        self.content_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
    }

    /// Returns the fields of a form; none for other bodies.
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        if self.is_form() { url::form_urlencoded::parse(&self.body).into_owned().collect() } else { BTreeMap::new() }
    }

    /// Returns the body for the log, with codes, tokens and secrets masked.
    pub(super) fn loggable_body(&self) -> Option<Value> {
        if self.body.is_empty() {
            return None;
        }
        if self.is_form() {
            const SECRETS: [&str; 4] = ["code", "refresh_token", "client_secret", "token"];
            let fields = self.form().into_iter().map(|(name, value)| {
                let shown = if SECRETS.contains(&name.as_str()) { "…".to_owned() } else { value };
                (name, Value::from(shown))
            });
            return Some(Value::Object(fields.collect()));
        }
        serde_json::from_slice(&self.body).ok()
    }
}
