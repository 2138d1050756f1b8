//! Predefined OAuth clients: their ids, names and redirect URIs.

use toml::{Table, Value};
use url::Url;

use super::{errors::Problem, layers::Layers};
use crate::domain::RedirectUri;

/// The configuration of OAuth clients.
#[derive(Clone, Debug)]
pub struct OAuthClients {
    /// The complete URIs of apps (RFC 8252 section 7.1) that clients may register as redirect URIs.
    pub app_redirect_uris: Vec<RedirectUri>,
    /// The redirect URIs of the client whose id is the operator's `OWNERREZ_CLIENT_ID`.
    pub known_redirect_uris: Vec<RedirectUri>,
    /// Clients that the operator predefined.
    pub predefined: Vec<PredefinedClient>,
    /// How long a client that registered itself stays registered.
    pub registration_days: u32,
    /// Whether a client may identify itself by the URL of a metadata document that it publishes.
    pub client_documents: bool,
}

/// A client that the operator predefined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PredefinedClient {
    /// The `client_id` that it sends.
    pub id: String,
    /// The name that users see.
    pub name: String,
    /// Its redirect URIs; at least one.
    pub redirect_uris: Vec<RedirectUri>,
    /// The URL of its public keys, if it signs (`private_key_jwt`).
    pub jwks_uri: Option<Url>,
}

pub(super) fn oauth_clients(layers: &mut Layers) -> OAuthClients {
    let app_redirect_uris = layers.list("oauth.redirect_uris", |text| {
        let remedy = "write each as the complete URI that the app registers, like cursor://anysphere.cursor-mcp/oauth/callback; \
                      https and loopback addresses need not be listed; http, javascript and other schemes that belong \
                      to no app are not allowed";
        RedirectUri::of_app(text).map_err(|problem| Problem::new(format!("an entry {problem}"), remedy))
    });
    let known = layers.list("oauth.known_redirect_uris", redirect_uri);
    let predefined = layers.tables("oauth.clients", predefined_client).unwrap_or_default();
    for (at, client) in predefined.iter().enumerate() {
        if predefined[..at].iter().any(|earlier| earlier.id == client.id) {
            layers.refuse("oauth.clients", "two clients have the same id", "give each client its own id");
            break;
        }
    }
    OAuthClients {
        app_redirect_uris: app_redirect_uris.unwrap_or_default(),
        known_redirect_uris: known.unwrap_or_default(),
        predefined,
        registration_days: layers.number("oauth.registration_days", 1..=3650),
        client_documents: layers.flag("oauth.client_documents"),
    }
}

fn redirect_uri(text: &str) -> Result<RedirectUri, Problem> {
    let remedy = "write each exactly as the client sends it; http is for localhost, 127.0.0.1 and [::1] only";
    RedirectUri::configured(text).map_err(|problem| Problem::new(format!("a redirect URI {problem}"), remedy))
}

const CLIENT: &str = "write each like { id = \"my-client\", name = \"My client\", redirect_uris = [\"https://…/callback\"] }, \
                      with jwks_uri = \"https://…\" as well if it signs";

fn predefined_client(table: &Table) -> Result<PredefinedClient, Problem> {
    let known = ["id", "name", "redirect_uris", "jwks_uri"];
    if table.keys().any(|key| !known.contains(&key.as_str())) {
        return Err(Problem::new("a client has an unknown member", CLIENT));
    }
    let text = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(_) => Err(Problem::new(format!("the {key} of a client is not a string"), CLIENT)),
    };
    let id = text("id")?.filter(|id| id.len() <= 255 && id.bytes().all(|byte| byte.is_ascii_graphic()));
    let id = id.ok_or_else(|| Problem::new("a client has no id of 1 to 255 visible ASCII characters", CLIENT))?;
    let entries = table.get("redirect_uris").and_then(Value::as_array).filter(|entries| !entries.is_empty());
    let entries = entries.ok_or_else(|| Problem::new("a client has no redirect_uris", CLIENT))?;
    let uris = entries.iter().map(|entry| redirect_uri(entry.as_str().unwrap_or_default()));
    let https = |text: &str| Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.as_str() == text);
    let jwks_uri = text("jwks_uri")?
        .map(|text| https(text).ok_or_else(|| Problem::new("the jwks_uri of a client is not an https URL", CLIENT)))
        .transpose()?;
    Ok(PredefinedClient {
        id: id.to_owned(),
        name: text("name")?.unwrap_or(id).to_owned(),
        redirect_uris: uris.collect::<Result<_, _>>()?,
        jwks_uri,
    })
}
