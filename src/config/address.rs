//! Addresses: what counts as loopback, and the checks that every configured URL passes.

use std::net::IpAddr;

use url::{Host, Url};

use super::errors::Problem;

/// The path to which OwnerRez redirects browsers after authorization.
pub const CALLBACK_PATH: &str = "/api/connect/ownerrez/callback";

/// The same path of the predecessor, unless its operator had changed it.
pub const PREDECESSOR_CALLBACK_PATH: &str = "/oauth/callback";

/// Returns whether this address can be reached from this machine only.
pub(super) fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Returns whether the host of this URL is this machine itself.
pub(super) fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_loopback_address(address.into()),
        Some(Host::Ipv6(address)) => is_loopback_address(address.into()),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Parses an absolute http(s) URL without user name, query and fragment; https unless it is loopback.
fn web_address(text: &str) -> Result<Url, Problem> {
    let example = "write it like https://gateway.example.com";
    let url = Url::parse(text).map_err(|error| Problem::new(format!("it is not a URL ({error})"), example))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Problem::new("it is not an https URL", example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::new(
            "it contains a user name or a password",
            "remove the user name, the password and the @",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::new("it has a query or a fragment", "remove the ? or # and everything after it"));
    }
    if url.scheme() == "http" && !is_loopback_url(&url) {
        return Err(Problem::new(
            "it is plain http, and its host is not loopback: secrets would be sent unencrypted",
            "use https, for instance behind a TLS-terminating proxy; http is for localhost, 127.0.0.1 and [::1] only",
        ));
    }
    Ok(url)
}

/// Parses a web address that is only an origin. The path is set to "/", so that `Url::join` and `set_path` work as
/// expected.
pub(super) fn base_address(text: &str) -> Result<Url, Problem> {
    let mut url = web_address(text)?;
    if !url.path().trim_end_matches('/').is_empty() {
        return Err(Problem::new("it has a path", "use only the scheme, the host and, if needed, the port"));
    }
    url.set_path("/");
    Ok(url)
}

/// Parses the redirect URI: a web address whose path is the gateway's callback. The predecessor's path is accepted too,
/// so that its settings can stay as they are; the caller distinguishes the two.
pub(super) fn redirect_address(text: &str) -> Result<Url, Problem> {
    let url = web_address(text)?;
    if ![CALLBACK_PATH, PREDECESSOR_CALLBACK_PATH].contains(&url.path()) {
        return Err(Problem::new(
            format!("its path is {}, but the callback path of the gateway is {CALLBACK_PATH}", url.path()),
            format!("register a redirect URI that ends in {CALLBACK_PATH} with your OAuth app, and set it here"),
        ));
    }
    Ok(url)
}

/// Parses an entry of the allowed origins into the form that a browser sends in its Origin header.
pub(super) fn web_origin(text: &str) -> Result<String, Problem> {
    let problem = || Problem::new("an entry is not an origin", "write each like https://tool.example.com");
    let url = Url::parse(text).map_err(|_| problem())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !bare || url.password().is_some() {
        return Err(problem());
    }
    Ok(url.origin().ascii_serialization())
}

/// Parses an entry of the allowed hosts, with or without a port, into the form of a Host header.
pub(super) fn host_name(text: &str) -> Result<String, Problem> {
    let remedy =
        "write each like gateway.example.com or gateway.example.com:8443, without a scheme; patterns are not allowed";
    let problem = || Problem::new("an entry is not a host name", remedy);
    // An IPv6 address may be given without brackets.
    let bracketed = text.parse::<std::net::Ipv6Addr>().map(|address| format!("[{address}]"));
    let text = bracketed.unwrap_or_else(|_| text.to_ascii_lowercase());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (&*text, None),
    };
    let host = Host::parse(host).map_err(|_| problem())?;
    if matches!(&host, Host::Domain(name) if name.contains('*')) {
        return Err(problem());
    }
    match port.map(str::parse::<u16>) {
        None => Ok(host.to_string()),
        Some(Ok(port)) => Ok(format!("{host}:{port}")),
        Some(Err(_)) => Err(problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses() {
        for (given, expected) in [
            ("https://gateway.example.com", Some("https://gateway.example.com/")),
            ("https://gateway.example.com/", Some("https://gateway.example.com/")),
            ("https://gateway.example.com:443//", Some("https://gateway.example.com/")),
            ("HTTPS://Gateway.Example.com:8443", Some("https://gateway.example.com:8443/")),
            ("http://localhost:8080", Some("http://localhost:8080/")),
            ("http://127.1.2.3", Some("http://127.1.2.3/")),
            ("http://[::1]:8080", Some("http://[::1]:8080/")),
            ("http://[::ffff:127.0.0.1]", Some("http://[::ffff:7f00:1]/")),
            ("http://gateway.example.com", None),
            ("http://localhost.example.com", None),
            ("http://127.0.0.1.example.com", None),
            ("http://0.0.0.0:8080", None),
            ("http://192.168.1.2", None),
            ("https://user@gateway.example.com", None),
            ("https://:word@gateway.example.com", None),
            ("https://gateway.example.com/mcp", None),
            ("https://gateway.example.com/?", None),
            ("https://gateway.example.com/#", None),
            ("gateway.example.com", None),
            ("localhost:8080", None),
            ("ftp://localhost", None),
            ("https://", None),
        ] {
            let read = base_address(given).ok();
            assert_eq!(read.as_ref().map(Url::as_str), expected, "{given}");
        }
    }

    #[test]
    fn redirect_addresses() {
        assert!(redirect_address("https://gateway.example.com/api/connect/ownerrez/callback").is_ok());
        assert!(redirect_address("http://localhost:3000/api/connect/ownerrez/callback").is_ok());
        assert!(redirect_address("http://gateway.example.com/api/connect/ownerrez/callback").is_err());
        assert!(redirect_address("/api/connect/ownerrez/callback").is_err());
        assert!(redirect_address("http://localhost:3000/oauth/callback").is_ok());
        let mismatch = redirect_address("https://gateway.example.com/callback").expect_err("another path");
        assert!(mismatch.what.contains("is /callback") && mismatch.what.contains(CALLBACK_PATH));
    }

    #[test]
    fn origins() {
        for (given, expected) in [
            ("https://tool.example.com", Some("https://tool.example.com")),
            ("https://Tool.example.com:443/", Some("https://tool.example.com")),
            ("http://localhost:6274", Some("http://localhost:6274")),
            ("*", None),
            ("null", None),
            ("tool.example.com", None),
            ("https://tool.example.com/page", None),
            ("chrome-extension://abc", None),
        ] {
            assert_eq!(web_origin(given).ok().as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn hosts() {
        for (given, expected) in [
            ("Gateway.example.com", Some("gateway.example.com")),
            ("gateway.example.com:8443", Some("gateway.example.com:8443")),
            ("10.0.0.7:80", Some("10.0.0.7:80")),
            ("[::1]", Some("[::1]")),
            ("::1", Some("[::1]")),
            ("[::1]:8080", Some("[::1]:8080")),
            ("*", None),
            ("*.example.com", None),
            ("https://gateway.example.com", None),
            ("gateway.example.com/mcp", None),
            ("gateway.example.com:port", None),
            ("gate way", None),
        ] {
            assert_eq!(host_name(given).ok().as_deref(), expected, "{given}");
        }
    }
}
