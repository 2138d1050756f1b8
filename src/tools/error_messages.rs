//! Error texts for a model: what happened, which party has to act, and the next step.

use chrono::TimeDelta;

use super::{
    links::{ConnectLinks, LinkError},
    unknown_tool::UnknownTool,
};
use crate::{
    allowance::AllowanceError,
    catalog::Operation,
    domain::{Credential, Principal, Scope, error_chain, in_minutes},
    session::CallError,
    store::StoreError,
    upstream::{TokenError, UpstreamError, UpstreamErrorKind},
};

/// An internal error of the gateway.
pub(super) const FAILED: &str = "The gateway failed on this call. Try again once; if the problem persists, the user \
should report the time of this response to the gateway's operator.";

/// Returns the text of an `isError` result. Unknown outcomes of writes are described by `write_messages`.
pub(super) async fn explain(
    links: &ConnectLinks,
    caller: &Principal,
    operation: &Operation,
    error: &CallError,
) -> String {
    match error {
        CallError::NotConnected => {
            let link = link(links, caller).await;
            format!("No OwnerRez account is connected to this user yet, so nothing was sent. {link}")
        }
        CallError::NeedsReconnect => {
            let link = link(links, caller).await;
            format!(
                "OwnerRez ended the connection to this account: the user removed the app, or the access expired. {link}"
            )
        }
        CallError::Upstream(refused) => refusal(refused, operation),
        other => without_link(other),
    }
}

fn without_link(error: &CallError) -> String {
    match error {
        CallError::Busy => "Too many calls of this user are already waiting. Send calls one at a time: wait for each \
                            response before the next call."
            .to_owned(),
        CallError::Allowance(refusal) => allowance(*refusal),
        CallError::Deadline { .. } => {
            "The call could not be completed in time, and nothing was changed. Try again in a minute.".to_owned()
        }
        CallError::Transport { error, .. } => format!("{error}. Nothing was changed. {}", transport_hint(error)),
        CallError::Cancelled => "The call was cancelled.".to_owned(),
        CallError::Refresh(TokenError::NoClient | TokenError::InvalidClient) => {
            "This gateway's OwnerRez app is not accepted, so access cannot be renewed. Only the operator of the \
             gateway can fix this (OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET)."
                .to_owned()
        }
        CallError::Refresh(_) | CallError::RefreshElsewhere => {
            "The access to OwnerRez could not be renewed right now; nothing was sent. Try again in a minute.".to_owned()
        }
        CallError::RefreshPaused(left) => format!(
            "The access to OwnerRez could not be renewed a moment ago, so nothing was sent. The connection is kept. Try \
             again in {} seconds.",
            left.num_seconds() + 1
        ),
        CallError::Store(StoreError::Unavailable(_)) => {
            "The gateway cannot reach its database right now; nothing was sent. Try again in a minute.".to_owned()
        }
        CallError::Store(StoreError::Damaged(_)) => {
            "The gateway's database is damaged; nothing was sent. Do not retry: the user should ask the gateway's operator \
             to restore it."
                .to_owned()
        }
        CallError::ShuttingDown => "The gateway is restarting; nothing was sent. Try again in a minute.".to_owned(),
        CallError::Store(_) | CallError::Crypto(_) | CallError::SessionLost { .. } => FAILED.to_owned(),
        // The caller of this function reports these with a link, or in OwnerRez's words.
        CallError::NotConnected | CallError::NeedsReconnect | CallError::Upstream(_) => error.to_string(),
    }
}

/// A read key requested a write.
pub(super) fn insufficient_scope(tool: &str) -> String {
    format!(
        "`{tool}` changes the OwnerRez account, and this client may only read. Nothing was sent. Do not retry: to allow \
         changes, the user has to configure a full API key, or sign in again and allow changes."
    )
}

/// No operation has the name to which a call should be forwarded.
pub(super) fn no_operation(unknown: &UnknownTool) -> String {
    format!(
        "Unknown operation `{}`; nothing was sent.{unknown} Use find_operation to find operations by words.",
        unknown.requested
    )
}

/// The connection selected other tools.
pub(super) fn not_selected(tool: &str) -> String {
    format!(
        "`{tool}` is not in this connection's tool selection, so nothing was sent. Use the listed tools; the user can \
         select others in the URL or the headers of this client's configuration (toolsets)."
    )
}

/// The connection, or its key, is read-only.
pub(super) fn reads_only(tool: &str) -> String {
    format!(
        "`{tool}` changes the OwnerRez account, and this connection is read-only. Nothing was sent. Do not retry: to \
         allow changes, the user has to change the configuration of this connection."
    )
}

/// The text for the page where a user connects OwnerRez.
pub(super) const CONNECT_PROMPT: &str = "No working OwnerRez account is connected. Open this page, approve the access at \
OwnerRez, and come back: the call is then made.";

/// Returns the page where the user connects OwnerRez, if there is one for this caller.
pub(super) async fn where_to_connect(links: &ConnectLinks, caller: &Principal) -> Option<String> {
    match caller.credential {
        Credential::Grant(_) => Some(links.account_url()),
        Credential::Key(key) if caller.scope == Scope::Full => Some(links.open(caller.user, key).await.ok()?.url),
        Credential::Key(_) => None,
    }
}

/// Describes how the user connects OwnerRez, if that is necessary.
pub(super) async fn how_to_connect(links: &ConnectLinks, caller: &Principal) -> String {
    match links.store.connection(caller.user).await {
        Ok(Some(connection)) if connection.rejected_at.is_none() => {
            "OwnerRez is connected already; there is nothing to do.".to_owned()
        }
        Ok(_) => link(links, caller).await,
        Err(error) => without_link(&CallError::Store(error)),
    }
}

async fn link(links: &ConnectLinks, caller: &Principal) -> String {
    let Credential::Key(key) = caller.credential else {
        return format!(
            "The user must do this, not you: open {} in a browser and sign in with OwnerRez there, with the same account. \
             This renews the approval, and this client continues to work. Disconnecting this server in the client's \
             settings and signing in again has the same effect.",
            links.account_url()
        );
    };
    if caller.scope != Scope::Full {
        return "This API key may only read, so it cannot start a connection: the user must connect OwnerRez with a full \
                key (GET /api/connect/ownerrez/start)."
            .to_owned();
    }
    match links.open(caller.user, key).await {
        Ok(link) => format!(
            "The user must do this, not you: open this link in a browser within {}, enter the API key there, and approve \
             the access at OwnerRez: {}",
            in_minutes(links.life),
            link.url
        ),
        Err(LinkError::NotConfigured) => {
            "It cannot be connected yet: this gateway has no OwnerRez OAuth app. Only its operator can configure one \
             (OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET)."
                .to_owned()
        }
        Err(LinkError::SingleAccount) => {
            "The user must set a valid token in the settings of this program (OWNERREZ_ACCESS_TOKEN, or \
             OWNERREZ_USERNAME and OWNERREZ_TOKEN) and restart it."
                .to_owned()
        }
        Err(LinkError::KeyGone) => "This API key has been deleted.".to_owned(),
        Err(LinkError::Store(StoreError::Unavailable(_))) => {
            "It cannot be connected right now: the gateway cannot reach its database. Try again in a minute.".to_owned()
        }
        Err(error) => {
            log::error!("cannot create a connect link: {}", error_chain(&error));
            "It cannot be connected right now: the gateway failed. If the problem persists, the user should report the \
             time of this response to its operator."
                .to_owned()
        }
    }
}

fn transport_hint(error: &crate::upstream::TransportError) -> &'static str {
    match error {
        crate::upstream::TransportError::TooLarge { .. } => {
            "Ask for less: a smaller `limit`, fewer include_ options, or a narrower filter."
        }
        _ => "Try again in a minute.",
    }
}

fn allowance(refusal: AllowanceError) -> String {
    let seconds = |wait: TimeDelta| wait.num_seconds().max(1);
    match refusal {
        AllowanceError::Spent { wait, limit } => format!(
            "This gateway may send OwnerRez {limit} requests in 5 minutes, shared by all its users, and all are used; \
             nothing was sent. Try again in {} seconds, and request more per call.",
            seconds(wait)
        ),
        AllowanceError::Throttled(wait) => format!(
            "OwnerRez asked this gateway to slow down; nothing was sent. Try again in {} seconds.",
            seconds(wait)
        ),
        AllowanceError::Standby => {
            "This gateway process is on standby; nothing was sent. Try again in a minute.".to_owned()
        }
        AllowanceError::Storage => {
            "The gateway cannot reach its database right now; nothing was sent. Try again in a minute.".to_owned()
        }
    }
}

/// Describes OwnerRez's errors, from its article "API errors", each with the next step.
fn refusal(refused: &UpstreamError, operation: &Operation) -> String {
    let next = match refused.kind {
        UpstreamErrorKind::Invalid => "Correct the arguments as OwnerRez says and call again.".to_owned(),
        UpstreamErrorKind::InvalidToken => "This refusal alone does not show that the access has ended, so the connection is kept. Try \
                                      again in a minute. If OwnerRez keeps refusing the access for some minutes, the \
                                      connection ends and the user has to connect again."
            .to_owned(),
        UpstreamErrorKind::Unauthorized => "OwnerRez did not say that the access has ended, so the connection is kept. Try again \
                                      in a minute. If the problem persists, the user should disconnect OwnerRez and \
                                      connect it again."
            .to_owned(),
        UpstreamErrorKind::OtherUnauthorized => "The response did not name the user's access as the reason, so the connection is \
                                           kept and nothing was changed. Try again in a minute. If the problem persists, \
                                           the user should show this text to the operator of the gateway."
            .to_owned(),
        UpstreamErrorKind::FeatureMissing => "This needs a feature or an agreement that the OwnerRez account does not have; \
                                        only the user can add it in OwnerRez. Do not retry."
            .to_owned(),
        UpstreamErrorKind::Forbidden => "The account or the access that the user granted does not allow this (a locked \
                                   account, a blocked address, or an app with fewer rights). Do not retry."
            .to_owned(),
        UpstreamErrorKind::ReadOnly => {
            "The access that the user granted may only read. Do not retry: the user has to connect \
                                  OwnerRez again through an app, or with a token, that may read and write."
                .to_owned()
        }
        UpstreamErrorKind::NotFound => "There is no such record in this account. Look up the id with a list tool.".to_owned(),
        UpstreamErrorKind::NotAccepted => {
            "OwnerRez does not accept this request in this form. Do not retry it unchanged.".to_owned()
        }
        UpstreamErrorKind::Conflict => "The record changed or conflicts with another. Read it again first.".to_owned(),
        UpstreamErrorKind::Throttled => {
            let wait = refused.retry_after.map_or(60, |wait| wait.num_seconds().max(1));
            format!("Too many requests. Try again in {wait} seconds.")
        }
        UpstreamErrorKind::Unavailable => "OwnerRez has a problem. Try again in a minute.".to_owned(),
    };
    let code = refused.code.as_deref().map_or(String::new(), |code| format!(", {code}"));
    let message = refused.message().map_or(String::new(), |message| format!(" It said: {message}"));
    format!("OwnerRez refused {} (status {}{code}).{message} {next}", operation.name(), refused.status)
}
