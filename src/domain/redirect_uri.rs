//! Redirect URIs of clients: which ones may be registered, and which requests match a registration.
//!
//! The rules are RFC 9700 (2.1, 4.1: exact string comparison) and RFC 8252 (7.1 private-use schemes, 7.3 loopback URIs,
//! whose port may differ). The gateway adds one rule, which makes exact comparison safe: a URI must be written in the
//! form that a browser normalises it to. Without this rule, a spelling could mean one host to the gateway and another
//! to the browser.

use url::{Host, Url};

/// The maximum length in bytes.
pub const REDIRECT_URI_LIMIT: usize = 1024;

/// ChatGPT's redirect URIs end in an identifier that differs per connector. Only configured clients may use this
/// pattern.
pub const CHATGPT_CONNECTOR: &str = "https://chatgpt.com/connector/oauth/{id}";
const CHATGPT_CONNECTOR_START: &str = "https://chatgpt.com/connector/oauth/";
const CHATGPT_ID_LIMIT: usize = 128;

/// Schemes that never lead to a client: they run code, show content or open files in the browser.
const NEVER: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "intent",
    "jar",
    "javascript",
    "mailto",
    "ms-msdt",
    "search-ms",
    "sms",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Parameters that an authorization response adds to the query (RFC 6749 4.1.2, RFC 9207). A redirect URI that already
/// contains one would forge a part of the response.
const RESPONSE_PARAMETERS: &[&str] =
    &["code", "state", "iss", "scope", "error", "error_description", "error_uri", "response"];

/// Reasons for which a redirect URI cannot be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRedirectUri {
    /// Longer than [`REDIRECT_URI_LIMIT`].
    #[error("is longer than {REDIRECT_URI_LIMIT} bytes")]
    TooLong,
    /// Not absolute, or not in the form that browsers write.
    #[error("is not an absolute URI as browsers write it (lower-case host, no default port, no `..`, no `*`)")]
    Spelling,
    /// The URI has user information before an `@`.
    #[error("contains a user name or password")]
    UserInfo,
    /// The URI has a fragment.
    #[error("has a fragment (#)")]
    Fragment,
    /// Plain http to a host other than loopback.
    #[error("is plain http to a host other than localhost, 127.0.0.1 or [::1]")]
    PlainHttp,
    /// An app's URI that the operator does not list, or a scheme that never leads to an app.
    #[error(
        "is neither https nor loopback http; the operator can list the complete URI of an app in oauth.redirect_uris"
    )]
    Scheme,
    /// The gateway's own address: a response that is sent there reaches no client.
    #[error("points to this gateway itself")]
    Own,
    /// The query contains a parameter that only the authorization response may set.
    #[error("has code, state, iss or another response parameter in its query")]
    ResponseParameter,
}

/// A registered redirect URI. Two are equal if their text is equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectUri {
    text: String,
    rule: Rule,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Exact,
    AnyPort,
    ChatGptConnector,
}

/// A requested redirect URI that matches a registered one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectTarget {
    /// The URI exactly as the client sent it.
    pub uri: String,
    /// The recipient, as shown to the user.
    pub place: RedirectDestination,
}

/// The recipient of a response, as far as the URI identifies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RedirectDestination {
    /// A web site.
    Web {
        /// The host as written in the URI; internationalised names in ASCII form (`xn--…`).
        host: String,
    },
    /// Any program on the user's own machine.
    Loopback,
    /// The app that has registered this scheme on the user's machine.
    App {
        /// The scheme without the colon.
        scheme: String,
    },
}

impl RedirectDestination {
    /// Returns the recipient of a response that is sent to this redirect URI.
    pub fn of(uri: &str) -> Option<Self> {
        let url = parse(uri).ok()?;
        Some(match url.scheme() {
            "https" => Self::Web { host: url.host_str()?.to_owned() },
            "http" => Self::Loopback,
            scheme => Self::App { scheme: scheme.to_owned() },
        })
    }
}

/// The rules for redirect URIs that clients register themselves.
#[derive(Clone, Debug, Default)]
pub struct RedirectPolicy {
    /// The complete URIs of apps (RFC 8252 section 7.1) that a client may register. A scheme is not enough, because one
    /// app performs different actions at different URIs.
    pub app_uris: Vec<RedirectUri>,
    /// The gateway's public address.
    pub own_url: Option<Url>,
}

impl RedirectPolicy {
    /// Checks a redirect URI that a client registers.
    pub fn admit(&self, text: &str) -> Result<RedirectUri, BadRedirectUri> {
        if self.is_own(text) {
            return Err(BadRedirectUri::Own);
        }
        RedirectUri::checked(text, |text| self.app_uris.iter().any(|listed| listed.as_str() == text))
    }

    /// Returns whether a URI leads to the gateway itself. All loopback names count as one host, because they reach the
    /// same listener.
    pub fn is_own(&self, text: &str) -> bool {
        let Some(own) = &self.own_url else { return false };
        let Ok(url) = Url::parse(text) else { return false };
        let same_port = url.port_or_known_default() == own.port_or_known_default();
        let same_host = url.host() == own.host() || (is_loopback(&url) && is_loopback(own));
        url.scheme() == own.scheme() && same_host && same_port
    }
}

/// Returns whether an app may use this scheme: it is written in lower case (RFC 3986 3.1) and is not one of [`NEVER`].
fn is_private_use_scheme(scheme: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(rest) && !NEVER.contains(&scheme)
}

impl RedirectUri {
    /// Parses a redirect URI from the operator's configuration. It may be [`CHATGPT_CONNECTOR`]. An app's URI is
    /// accepted, because the configuration itself lists it.
    pub fn configured(text: &str) -> Result<Self, BadRedirectUri> {
        if text == CHATGPT_CONNECTOR {
            return Ok(Self { text: text.to_owned(), rule: Rule::ChatGptConnector });
        }
        Self::checked(text, |_| true)
    }

    /// Parses the URI of an app for [`RedirectPolicy::app_uris`].
    pub fn of_app(text: &str) -> Result<Self, BadRedirectUri> {
        let url = parse(text)?;
        if is_private_use_scheme(url.scheme()) { Self::checked(text, |_| true) } else { Err(BadRedirectUri::Scheme) }
    }

    fn checked(text: &str, is_listed: impl Fn(&str) -> bool) -> Result<Self, BadRedirectUri> {
        let url = parse(text)?;
        let rule = match url.scheme() {
            "https" => Rule::Exact,
            "http" if is_loopback(&url) => Rule::AnyPort,
            "http" => return Err(BadRedirectUri::PlainHttp),
            scheme if is_private_use_scheme(scheme) && is_listed(text) => Rule::Exact,
            _ => return Err(BadRedirectUri::Scheme),
        };
        Ok(Self { text: text.to_owned(), rule })
    }

    /// Returns the URI as it was registered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the URI leads to the user's own machine by plain http.
    pub fn is_loopback(&self) -> bool {
        self.rule == Rule::AnyPort
    }

    /// Returns the target of the response if this registration matches the requested URI.
    pub fn target(&self, asked: &str) -> Option<RedirectTarget> {
        let covered = match self.rule {
            Rule::Exact => asked == self.text,
            Rule::AnyPort => same_but_for_the_port(&self.text, asked),
            Rule::ChatGptConnector => asked.strip_prefix(CHATGPT_CONNECTOR_START).is_some_and(is_connector_id),
        };
        if !covered {
            return None;
        }
        Some(RedirectTarget { uri: asked.to_owned(), place: RedirectDestination::of(asked)? })
    }
}

/// Returns whether the text is one path segment without special characters.
fn is_connector_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=CHATGPT_ID_LIMIT).contains(&id.len()) && id.bytes().all(plain)
}

fn parse(text: &str) -> Result<Url, BadRedirectUri> {
    if text.len() > REDIRECT_URI_LIMIT {
        return Err(BadRedirectUri::TooLong);
    }
    // RFC 3986 allows no other characters. Browsers drop some of the others and turn `\` into `/`.
    let known = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}*".contains(&byte);
    if !text.bytes().all(known) {
        return Err(BadRedirectUri::Spelling);
    }
    let url = Url::parse(text).map_err(|_| BadRedirectUri::Spelling)?;
    if url.fragment().is_some() {
        return Err(BadRedirectUri::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadRedirectUri::UserInfo);
    }
    // Browsers add a "/" only to an empty path; clients leave it out.
    let without_path = url.path() == "/" && url.query().is_none() && url.as_str().strip_suffix('/') == Some(text);
    if url.as_str() != text && !without_path {
        return Err(BadRedirectUri::Spelling);
    }
    if url.query_pairs().any(|(name, _)| RESPONSE_PARAMETERS.contains(&&*name)) {
        return Err(BadRedirectUri::ResponseParameter);
    }
    Ok(url)
}

/// Returns whether the host is one of the three loopback names that RFC 8252 (7.3, 8.3) and today's clients use. No
/// client uses the rest of 127.0.0.0/8.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

fn same_but_for_the_port(registered: &str, asked: &str) -> bool {
    let (Ok(registered), Ok(asked)) = (parse(registered), parse(asked)) else { return false };
    asked.scheme() == "http"
        && registered.host() == asked.host()
        && registered.path() == asked.path()
        && registered.query() == asked.query()
}

#[cfg(test)]
mod tests;
