//! Settings of the transport: how the process serves its clients.

use secrecy::SecretString;
use url::Url;

use super::{
    address::base_address,
    errors::Problem,
    header_token::header_token,
    layers::Layers,
    server::ServerSection,
    single_account::{SingleAccount, own_account},
};

const STDIO_NEEDS: &str = "set OWNERREZ_ACCESS_TOKEN, or OWNERREZ_USERNAME and OWNERREZ_TOKEN, or OWNERREZ_GATEWAY_URL \
                           and OWNERREZ_API_KEY; or TRANSPORT_MODE=http to serve many users";

const SINGLE_USER_NEEDS: &str = "set OWNERREZ_ACCESS_TOKEN, or OWNERREZ_USERNAME and OWNERREZ_TOKEN; or remove it";

/// How a process serves its clients.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Many users, over HTTP.
    Http,
    /// The programs of the one user of this machine, over HTTP and without a key, with one OwnerRez account.
    SingleUser {
        /// The account.
        account: SingleAccount,
        /// A token that the programs must send; at least 16 characters.
        token: Option<SecretString>,
    },
    /// The client that started the process, over standard input and output, with one OwnerRez account.
    Stdio(SingleAccount),
    /// The same client, by forwarding everything to a gateway.
    Remote {
        /// The gateway's address, with the path "/".
        url: Url,
        /// An API key of that gateway.
        api_key: SecretString,
    },
}

pub(super) fn transport(layers: &mut Layers, server: Option<&ServerSection>) -> Option<Transport> {
    let stdio = layers.text("server.transport", |text| match text {
        "http" => Ok(false),
        "stdio" => Ok(true),
        _ => Err(Problem::new("it is not a transport", "set it to http or stdio, or remove it")),
    })?;
    let (access, email, token) = own_account(layers);
    let url = layers.text("remote.url", base_address);
    let api_key = layers.text("remote.api_key", |text| {
        let good = text.starts_with("ownerrez_sk_") && text.bytes().all(|byte| byte.is_ascii_graphic());
        let remedy = "copy the whole key, which begins with ownerrez_sk_";
        if good { Ok(SecretString::from(text)) } else { Err(Problem::new("it is not a gateway API key", remedy)) }
    });
    let alone = layers.flag("server.single_user");
    let single_user_token = layers.text("server.single_user_token", header_token);
    if single_user_token.is_some() && !alone {
        let what = "it is set, but server.single_user (SINGLE_USER) is not true";
        layers.refuse("server.single_user_token", what, "set SINGLE_USER=true, or remove the token");
    }
    if stdio && alone {
        layers.refuse(
            "server.single_user",
            "it is for HTTP only, but server.transport (TRANSPORT_MODE) is stdio",
            "remove it",
        );
    }
    if alone && server.is_some_and(|server| !server.is_loopback_only()) {
        let what = "it serves every client that can reach the gateway, but server.bind (BIND) is not loopback";
        layers.refuse("server.single_user", what, "remove it and give users API keys, or bind to 127.0.0.1");
    }
    if !stdio && !alone {
        return Some(Transport::Http);
    }
    if !stdio {
        return single_user(layers, access, email, token, single_user_token);
    }
    for (one, other, name) in [
        ("own_account.username", "own_account.token", "OWNERREZ_USERNAME"),
        ("own_account.token", "own_account.username", "OWNERREZ_TOKEN"),
        ("remote.url", "remote.api_key", "OWNERREZ_GATEWAY_URL"),
        ("remote.api_key", "remote.url", "OWNERREZ_API_KEY"),
    ] {
        if layers.is_set(one) && !layers.is_set(other) {
            layers.refuse(other, format!("it is not set, but {name} is"), "set both");
        }
    }
    let account_settings = ["own_account.access_token", "own_account.token", "remote.url"];
    match account_settings.iter().filter(|key| layers.is_set(key)).count() {
        0 => layers.refuse("server.transport", "it is stdio, but no account is configured", STDIO_NEEDS),
        1 => {}
        _ => layers.refuse("server.transport", "it is stdio, but several accounts are configured", STDIO_NEEDS),
    }
    if let (Some(url), Some(api_key)) = (url, api_key) {
        return Some(Transport::Remote { url, api_key });
    }
    if let (Some(email), Some(token)) = (email, token) {
        return Some(Transport::Stdio(SingleAccount::Basic { email, token }));
    }
    access.map(|access| Transport::Stdio(SingleAccount::Bearer(access)))
}

/// Accepts the same credentials for the one account as stdio, but not the forwarding to a gateway.
fn single_user(
    layers: &mut Layers,
    access: Option<SecretString>,
    email: Option<String>,
    token: Option<SecretString>,
    single_user_token: Option<SecretString>,
) -> Option<Transport> {
    let account = match (access, email, token) {
        (Some(access), None, None) => Some(SingleAccount::Bearer(access)),
        (None, Some(email), Some(token)) => Some(SingleAccount::Basic { email, token }),
        _ => None,
    };
    if account.is_none() {
        layers.refuse("server.single_user", "it is true, but not exactly one account is configured", SINGLE_USER_NEEDS);
    }
    account.map(|account| Transport::SingleUser { account, token: single_user_token })
}
