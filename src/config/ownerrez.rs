//! Settings of OwnerRez: its addresses and the operator's access to it.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    address::{CALLBACK_PATH, base_address, redirect_address},
    errors::Problem,
    header_token::header_token,
    layers::Layers,
};

/// OwnerRez's addresses, and what it granted the operator.
#[derive(Clone, Debug)]
pub struct OwnerRezSection {
    /// The address of the API, with the path "/".
    pub api_url: Url,
    /// The address of the consent page, with the path "/".
    pub app_url: Url,
    /// The operator's OAuth app. Without it accounts cannot be connected through OAuth.
    pub client: Option<OwnerRezClient>,
    /// The credentials of OwnerRez's webhooks, `user:password`; without them no webhook is accepted.
    pub webhook: Option<SecretString>,
    /// The redirect URI, if it was configured. See [`super::Config::redirect_uri`].
    pub redirect_uri: Option<Url>,
    /// The predecessor's redirect URI, if it was configured. It is not used. Connected accounts stay connected; for new
    /// ones the operator has to register this gateway's redirect URI with the OAuth app.
    pub unused_redirect_uri: Option<Url>,
    /// Whether the code exchange repeats the redirect URI.
    pub send_redirect_uri: bool,
    /// Requests that this process may send in any 5 minutes.
    pub request_limit: u32,
    /// Whether that is a share of the limit, so that other processes may send requests at the same time.
    pub shared: bool,
}

/// The id and secret of an OAuth app.
#[derive(Clone, Debug)]
pub struct OwnerRezClient {
    /// Public; it is part of every authorize URL.
    pub id: String,
    /// Sent to OwnerRez only.
    pub secret: SecretString,
}

pub(super) fn ownerrez(layers: &mut Layers, server_url: Option<&Url>) -> Option<OwnerRezSection> {
    let api_url = layers.text("ownerrez.api_url", base_address);
    let app_url = layers.text("ownerrez.app_url", base_address);
    let (client, webhook) = (client(layers), webhook(layers));
    let given = layers.text("ownerrez.redirect_uri", redirect_address);
    let (redirect_uri, unused_redirect_uri) = match given {
        Some(url) if url.path() != CALLBACK_PATH => (None, Some(url)),
        ours => (ours, None),
    };
    if let (Some(redirect), Some(server)) = (&redirect_uri, server_url)
        && redirect.origin() != server.origin()
    {
        let (there, here) = (redirect.origin().ascii_serialization(), server.origin().ascii_serialization());
        layers.refuse(
            "ownerrez.redirect_uri",
            format!("it points to {there}, but the gateway is at {here} (server.url, SERVER_URL)"),
            "use the same scheme, host and port in both, so that the browser sends its cookie to the callback",
        );
    }
    Some(OwnerRezSection {
        api_url: api_url?,
        app_url: app_url?,
        client,
        webhook,
        redirect_uri,
        unused_redirect_uri,
        send_redirect_uri: layers.flag("ownerrez.send_redirect_uri"),
        request_limit: layers.number("ownerrez.request_limit", 1..=10_000),
        shared: layers.flag("ownerrez.shared"),
    })
}

fn client(layers: &mut Layers) -> Option<OwnerRezClient> {
    let id = layers.text("ownerrez.client_id", |text| Ok(text.to_owned()));
    let secret = layers.text("ownerrez.client_secret", |text| Ok(text.into()));
    let remedy = "set both, as OwnerRez shows them for your OAuth app, or neither";
    match (id, secret) {
        (Some(id), Some(secret)) => Some(OwnerRezClient { id, secret }),
        (None, None) => None,
        // If the missing half was given but is unreadable, its own mistake is enough.
        (None, Some(_)) => {
            if !layers.is_set("ownerrez.client_id") {
                layers.refuse("ownerrez.client_id", "it is not set, but the client secret is", remedy);
            }
            None
        }
        (Some(_), None) => {
            if !layers.is_set("ownerrez.client_secret") {
                layers.refuse("ownerrez.client_secret", "it is not set, but the client id is", remedy);
            }
            None
        }
    }
}

fn webhook(layers: &mut Layers) -> Option<SecretString> {
    const USER: &str = "ownerrez.webhook_user";
    const PASSWORD: &str = "ownerrez.webhook_password";
    let user = layers.text(USER, |text| {
        // In the Basic scheme the user name ends at the first colon (RFC 7617).
        let good = !text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(text.to_owned()) } else { Err(Problem::new("it is not a user name", "remove colons and spaces")) }
    });
    let password = layers.text(PASSWORD, header_token);
    let missing = match (user, password) {
        (Some(user), Some(password)) => return Some(format!("{user}:{}", password.expose_secret()).into()),
        (Some(_), None) => PASSWORD,
        (None, Some(_)) => USER,
        (None, None) => return None,
    };
    // If the missing half was given but is unreadable, its own mistake is enough.
    if !layers.is_set(missing) {
        let remedy = "set both, as configured for the webhooks of your OAuth app at OwnerRez, or neither";
        layers.refuse(missing, "it is not set, but the other half of the credentials is", remedy);
    }
    None
}
