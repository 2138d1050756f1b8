//! Where a client may have people sent back to: what may be registered, and what matches a registration.
//!
//! The rules are RFC 9700 (2.1, 4.1: exact string comparison) and RFC 8252 (7.1 private-use schemes, 7.3 loopback,
//! whose port may differ). One rule of our own makes exact comparison safe: a URI must be written the way a browser
//! writes it, so that no spelling names one host here and another one there.

use url::{Host, Url};

/// Longer ones are refused, in bytes.
pub const REDIRECT_URI_LIMIT: usize = 1024;

/// ChatGPT's redirect URIs end in an identifier that differs per connector. Only configured clients may have this one.
pub const CHATGPT_CONNECTOR: &str = "https://chatgpt.com/connector/oauth/{id}";
const CHATGPT_CONNECTOR_START: &str = "https://chatgpt.com/connector/oauth/";
const CHATGPT_ID_LIMIT: usize = 128;

/// These never lead to a client: they run code, show content or open files where the browser is.
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

/// What an authorization response adds to the query (RFC 6749 4.1.2, RFC 9207). A redirect URI that brings its own
/// would answer the client in our place.
const RESPONSE_PARAMETERS: &[&str] =
    &["code", "state", "iss", "scope", "error", "error_description", "error_uri", "response"];

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRedirectUri {
    /// Longer than [`REDIRECT_URI_LIMIT`].
    #[error("is longer than {REDIRECT_URI_LIMIT} bytes")]
    TooLong,
    /// Not absolute, or not spelled as browsers spell it.
    #[error("is not an absolute URI as browsers write it (lower-case host, no default port, no `..`, no `*`)")]
    Spelling,
    /// Something before an `@`.
    #[error("holds a user name or password")]
    UserInfo,
    /// A `#`.
    #[error("has a fragment (#)")]
    Fragment,
    /// Not encrypted, and not this machine.
    #[error("is plain http to another host than localhost, 127.0.0.1 or [::1]")]
    PlainHttp,
    /// An app's URI that the operator does not list, or a scheme that never leads to an app.
    #[error(
        "is no https address and none of this machine; its operator can list the complete URI of an app in \
         oauth.redirect_uris"
    )]
    Scheme,
    /// The gateway's own address: an answer that is sent there reaches no client.
    #[error("leads to this gateway itself")]
    Own,
    /// The query is ours to write.
    #[error("has code, state, iss or another parameter of the response in its query")]
    ResponseParameter,
}

/// A registered redirect URI. Equal to another when written alike.
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

/// Where a request may send its answer, after it was found among the registered ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectTarget {
    /// Exactly as the client asked for it.
    pub uri: String,
    /// What to tell people about it.
    pub place: RedirectPlace,
}

/// Who gets the answer, as far as the URI tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RedirectPlace {
    /// A web site.
    Web {
        /// Its host as it stands in the URI, a name of other scripts in ASCII form (`xn--…`).
        host: String,
    },
    /// Any program on the person's own machine.
    Loopback,
    /// The app that has taken this scheme on the person's machine.
    App {
        /// Without the colon.
        scheme: String,
    },
}

impl RedirectPlace {
    /// Who gets an answer that is sent to this redirect URI.
    pub fn of(uri: &str) -> Option<Self> {
        let url = parse(uri).ok()?;
        Some(match url.scheme() {
            "https" => Self::Web { host: url.host_str()?.to_owned() },
            "http" => Self::Loopback,
            scheme => Self::App { scheme: scheme.to_owned() },
        })
    }
}

/// Which redirect URIs clients may register by themselves.
#[derive(Clone, Debug, Default)]
pub struct RedirectPolicy {
    /// The complete URIs of apps (RFC 8252 section 7.1) that a client may register. A scheme alone says too little: an app
    /// does different things at its different URIs.
    pub app_uris: Vec<RedirectUri>,
    /// The gateway's public address.
    pub own_url: Option<Url>,
}

impl RedirectPolicy {
    /// Admits a redirect URI that a client names.
    pub fn admit(&self, text: &str) -> Result<RedirectUri, BadRedirectUri> {
        if self.is_own(text) {
            return Err(BadRedirectUri::Own);
        }
        RedirectUri::checked(text, |text| self.app_uris.iter().any(|listed| listed.as_str() == text))
    }

    /// Whether a URI leads to the gateway itself. The names of this machine count as one, because they reach the same
    /// listener.
    pub fn is_own(&self, text: &str) -> bool {
        let Some(own) = &self.own_url else { return false };
        let Ok(url) = Url::parse(text) else { return false };
        let same_port = url.port_or_known_default() == own.port_or_known_default();
        let same_host = url.host() == own.host() || (is_loopback(&url) && is_loopback(own));
        url.scheme() == own.scheme() && same_host && same_port
    }
}

/// Whether an app may have this scheme: written in lower case (RFC 3986 3.1), and none that never leads to a client.
fn is_private_use_scheme(scheme: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(rest) && !NEVER.contains(&scheme)
}

impl RedirectUri {
    /// A redirect URI of the operator's own configuration: it may be [`CHATGPT_CONNECTOR`], and naming an app's URI there
    /// is listing it.
    pub fn configured(text: &str) -> Result<Self, BadRedirectUri> {
        if text == CHATGPT_CONNECTOR {
            return Ok(Self { text: text.to_owned(), rule: Rule::ChatGptConnector });
        }
        Self::checked(text, |_| true)
    }

    /// The URI of an app, for the list of those.
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

    /// As it was registered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it leads to the person's own machine by plain http.
    pub fn is_loopback(&self) -> bool {
        self.rule == Rule::AnyPort
    }

    /// Where to send the answer if this registration covers what the client asks for.
    pub fn target(&self, asked: &str) -> Option<RedirectTarget> {
        let covered = match self.rule {
            Rule::Exact => asked == self.text,
            Rule::AnyPort => same_but_for_the_port(&self.text, asked),
            Rule::ChatGptConnector => asked.strip_prefix(CHATGPT_CONNECTOR_START).is_some_and(is_connector_id),
        };
        if !covered {
            return None;
        }
        Some(RedirectTarget { uri: asked.to_owned(), place: RedirectPlace::of(asked)? })
    }
}

/// One path segment, of characters that mean nothing to anyone.
fn is_connector_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=CHATGPT_ID_LIMIT).contains(&id.len()) && id.bytes().all(plain)
}

fn parse(text: &str) -> Result<Url, BadRedirectUri> {
    if text.len() > REDIRECT_URI_LIMIT {
        return Err(BadRedirectUri::TooLong);
    }
    // RFC 3986 has no other characters. Browsers skip some of the rest and bend `\` into `/`.
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
    // Of an empty path alone browsers make "/"; clients leave it out.
    let without_path = url.path() == "/" && url.query().is_none() && url.as_str().strip_suffix('/') == Some(text);
    if url.as_str() != text && !without_path {
        return Err(BadRedirectUri::Spelling);
    }
    if url.query_pairs().any(|(name, _)| RESPONSE_PARAMETERS.contains(&&*name)) {
        return Err(BadRedirectUri::ResponseParameter);
    }
    Ok(url)
}

/// The three names that RFC 8252 (7.3, 8.3) and today's clients use; the rest of 127.0.0.0/8 is nobody's callback.
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
