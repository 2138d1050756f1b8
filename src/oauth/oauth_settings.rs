//! The issuer, and the lifetimes of tokens and sign-ins.

use std::sync::Arc;

use chrono::TimeDelta;

use super::resource::{RESOURCE_PATH, Resource, is_within};
use crate::domain::{ConnectionSetting, parse_bool};

/// The issuer, and the lifetimes of tokens and sign-ins.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// The gateway's public origin without a trailing slash: the issuer of RFC 8414 and RFC 9207.
    pub issuer: String,
    /// OwnerRez's origin, the issuer of identities.
    pub identity_issuer: Arc<str>,
    /// Lifetime of an access token.
    pub access_lifetime: TimeDelta,
    /// Lifetime of a refresh token. Each use issues a new one.
    pub refresh_lifetime: TimeDelta,
    /// The time that a user has for the approval at OwnerRez.
    pub sign_in_lifetime: TimeDelta,
    /// Whether a sign-in with an unknown account creates a new user.
    pub allows_new_users: bool,
}

impl OAuthSettings {
    /// Returns an absolute URL of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// Returns the resource that a client's `resource` parameter (RFC 8707) identifies: `/mcp` or a path below it, in
    /// normalised form. The origin alone means `/mcp`, because this origin has no other resource. Of the query only
    /// `readonly` is used, because it restricts permissions; the other parameters only select what is listed.
    pub fn resource(&self, asked: &str) -> Option<Resource> {
        let url = url::Url::parse(asked).ok()?;
        let ours = url::Url::parse(&self.issuer).ok()?;
        let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        let path = if path.is_empty() { RESOURCE_PATH } else { path };
        // Parsed as the endpoint does, which rejects invalid boolean values.
        let read_only = url.query_pairs().any(|(name, word)| {
            ConnectionSetting::from_name(&name) == Ok(Some(ConnectionSetting::ReadOnly))
                && parse_bool(&word) != Some(false)
        });
        (plain && url.origin() == ours.origin() && is_within(path, RESOURCE_PATH))
            .then(|| Resource { url: self.url(path), read_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OAuthSettings {
        OAuthSettings {
            issuer: "https://gateway.example".to_owned(),
            identity_issuer: "https://app.ownerrez.com".into(),
            access_lifetime: TimeDelta::hours(1),
            refresh_lifetime: TimeDelta::days(30),
            sign_in_lifetime: TimeDelta::minutes(10),
            allows_new_users: true,
        }
    }

    #[test]
    fn a_resource_is_mcp_or_below_it_and_nothing_else() {
        for (asked, meant) in [
            ("https://gateway.example/mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp/", Some("https://gateway.example/mcp")),
            ("https://GATEWAY.example:443/mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp?toolsets=all", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp/readonly", Some("https://gateway.example/mcp/readonly")),
            ("https://gateway.example/mcp/../mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example", Some("https://gateway.example/mcp")),
            ("https://gateway.example/", Some("https://gateway.example/mcp")),
            ("https://gateway.example//", None),
            ("https://gateway.example/api", None),
            ("https://gateway.example/mcpx", None),
            ("https://gateway.example/api/keys", None),
            ("http://gateway.example/mcp", None),
            ("https://gateway.example:8443/mcp", None),
            ("https://evil.example/mcp", None),
            ("https://gateway.example@evil.example/mcp", None),
            ("https://user@gateway.example/mcp", None),
            ("https://gateway.example/mcp#x", None),
            ("/mcp", None),
            ("", None),
        ] {
            let resource = settings().resource(asked);
            assert_eq!(resource.as_ref().map(|resource| resource.url.as_str()), meant, "{asked}");
            assert!(resource.is_none_or(|resource| !resource.read_only), "{asked}");
        }
    }

    #[test]
    fn a_query_that_asks_for_reading_only_is_kept() {
        for (query, read_only) in [
            ("?readonly=true", true),
            ("?toolsets=bookings&readonly=1", true),
            ("?readonly=false&readonly=yes", true),
            ("/readonly?readonly=true", true),
            ("?readonly=", true),
            ("?readonly", true),
            ("?READONLY=true", true),
            ("?read-only=on", true),
            ("?readonly=false", false),
            ("?toolsets=readonly", false),
        ] {
            let resource = settings().resource(&format!("https://gateway.example/mcp{query}"));
            assert_eq!(resource.map(|resource| resource.read_only), Some(read_only), "{query}");
        }
    }
}
