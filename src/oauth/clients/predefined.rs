//! Clients that the operator configured, and one more with the operator's `OWNERREZ_CLIENT_ID`: clients were set up
//! with that id for the TypeScript server and must continue to work.

use std::{collections::HashMap, sync::Arc};

use super::{
    client::{Client, ClientId, ClientKind},
    client_authentication::{ClientAuthentication, KeySource},
    keys::SigningAlgorithm,
};
use crate::config::{Config, PredefinedClient};

/// The name of the client with the operator's id, because its real name is unknown.
const OPERATOR_CLIENT_NAME: &str = "MCP client";

/// Returns the clients by their id.
pub(super) fn predefined(config: &Config) -> HashMap<String, Client> {
    let old = config.ownerrez.client.as_ref().map(|app| PredefinedClient {
        id: app.id.clone(),
        name: OPERATOR_CLIENT_NAME.to_owned(),
        redirect_uris: config.oauth_clients.known_redirect_uris.clone(),
        jwks_uri: None,
    });
    // Later entries replace earlier ones, so the operator's configuration has priority.
    old.iter().chain(&config.oauth_clients.predefined).map(|client| (client.id.clone(), Client::from(client))).collect()
}

impl From<&PredefinedClient> for Client {
    fn from(client: &PredefinedClient) -> Self {
        let PredefinedClient { id, name, redirect_uris, jwks_uri } = client;
        let authentication = match jwks_uri {
            None => ClientAuthentication::None,
            Some(uri) => ClientAuthentication::PrivateKeyJwt {
                keys: KeySource::Uri(uri.clone()),
                algorithms: SigningAlgorithm::ALL.to_vec(),
                allows_none: false,
            },
        };
        Client {
            id: ClientId(Arc::from(id.as_str())),
            name: name.clone(),
            redirect_uris: redirect_uris.clone(),
            authentication,
            refreshes: true,
            kind: ClientKind::Predefined,
        }
    }
}
