//! The URL of a document that an untrusted party names.

use url::{Host, Url};

/// Reasons for which a `client_id` is not the URL of a metadata document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadDocumentUrl {
    /// Not in the normalised form that browsers write.
    #[error("is not a normalised https URL (lower-case host, no default port, no `.` or `..` in its path)")]
    Spelling,
    /// The host is an IP address.
    #[error("has an IP address instead of a host name")]
    Address,
    /// The URL has user information before an `@`.
    #[error("contains a user name or password")]
    UserInfo,
    /// The URL has a fragment.
    #[error("has a fragment (#)")]
    Fragment,
    /// The URL has no path.
    #[error("has no path")]
    NoPath,
}

/// Parses the URL of a document that an untrusted party names: https, a host name, a path, and the normalised spelling,
/// which every parser reads the same way (draft-ietf-oauth-client-id-metadata-document, section 3).
pub(super) fn document_url(text: &str) -> Result<Url, BadDocumentUrl> {
    let url = Url::parse(text).map_err(|_| BadDocumentUrl::Spelling)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadDocumentUrl::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(BadDocumentUrl::Fragment);
    }
    if matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
        return Err(BadDocumentUrl::Address);
    }
    if url.scheme() == "https" && url.path() == "/" {
        return Err(BadDocumentUrl::NoPath);
    }
    if url.scheme() != "https" || url.as_str() != text {
        return Err(BadDocumentUrl::Spelling);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_documents() {
        use BadDocumentUrl::*;
        for (text, expected) in [
            ("https://chatgpt.com/oauth/kDmjx77UnKOM/client.json", Ok(())),
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", Ok(())),
            ("https://vscode.dev/oauth/client-metadata.json", Ok(())),
            ("https://client.example.com:8443/client.json?v=2", Ok(())),
            ("https://client.example.com", Err(NoPath)),
            ("https://client.example.com/", Err(NoPath)),
            ("https://client.example.com/?x=1", Err(NoPath)),
            ("http://client.example.com/client.json", Err(Spelling)),
            ("ftp://client.example.com/client.json", Err(Spelling)),
            ("https://Client.example.com/client.json", Err(Spelling)),
            ("https://client.example.com:443/client.json", Err(Spelling)),
            ("https://client.example.com/a/../client.json", Err(Spelling)),
            ("https://client.example.com/./client.json", Err(Spelling)),
            ("https://client.example.com/%2e%2E/client.json", Err(Spelling)),
            ("https://client.example.com\\client.json", Err(Spelling)),
            ("https://client.example.com/client.json ", Err(Spelling)),
            ("https://client%2eexample.com/client.json", Err(Spelling)),
            ("https://user@client.example.com/client.json", Err(UserInfo)),
            ("https://:word@client.example.com/client.json", Err(UserInfo)),
            ("https://client.example.com/client.json#x", Err(Fragment)),
            ("https://client.example.com/client.json#", Err(Fragment)),
            ("https://127.0.0.1/client.json", Err(Address)),
            ("https://169.254.169.254/latest/meta-data", Err(Address)),
            ("https://2130706433/client.json", Err(Address)),
            ("https://0x7f.1/client.json", Err(Address)),
            ("https://0177.0.0.1/client.json", Err(Address)),
            ("https://[::1]/client.json", Err(Address)),
            ("https://[::ffff:127.0.0.1]/client.json", Err(Address)),
            ("https://1.1.1.1/client.json", Err(Address)),
            ("https://", Err(Spelling)),
            ("", Err(Spelling)),
        ] {
            assert_eq!(document_url(text).map(drop), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_fetched_lies_at_a_named_host(text in "(https?)?(:|//|[a-z0-9.@#?/\\\\%\\[\\]:]){0,40}") {
            if let Ok(url) = document_url(&text) {
                prop_assert!(matches!(url.host(), Some(Host::Domain(_))));
                prop_assert!(url.scheme() == "https" && url.as_str() == text && url.path().len() > 1);
                prop_assert!(!text.contains(['@', '#', '\\']) || url.path().contains('@') || url.query().is_some());
            }
        }
    }
}
