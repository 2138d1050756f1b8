//! The pages of a signed-in user's account, and their texts.

use actix_web::{HttpResponse, http::StatusCode};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use secrecy::ExposeSecret;
use url::Url;

use super::{
    notice::Notice,
    parts::{day, grant_line, key_line, page, quoted_name, registration_closed_notice, scope_label, transfer_form},
    security_headers::{SELF, origin},
};
use crate::{
    crypto::ApiKey,
    domain::{AccountId, Scope, UserId},
    http::error::ApiError,
    store::{AccountAccess, Connection, StoredGrant, StoredKey},
};

pub(crate) const DENIED: Notice = Notice::fixed(
    "You are not signed in",
    "OwnerRez did not grant the access. If that was a mistake, open /account again, sign in, and approve the access at \
     OwnerRez.",
);

pub(crate) const DELETED: Notice = Notice::fixed(
    "Everything is deleted",
    "Your user, your API keys, the access of your apps and the OwnerRez connection are deleted. The gateway revokes \
     its tokens at OwnerRez. Your data in OwnerRez was not changed.",
);

pub(crate) const SESSION_EXPIRED: &str = "Your session has expired, or cookies are disabled. Please sign in again.";
pub(crate) const KEY_UNKNOWN: &str =
    "That is not a valid API key of this gateway. Check that the whole key was copied.";
pub(crate) const KEY_ALREADY_YOURS: &str = "This key is already yours.";
pub(crate) const KEY_READ_ONLY: &str = "This is a read-only key, and read-only keys cannot be transferred. Transfer a \
full key, or create a new read-only key on your account page.";
pub(crate) const KEY_OTHER_ACCOUNT: &str = "The key was not transferred: its user is connected to an OwnerRez account \
other than yours, or to an unknown one. If that connection is no longer needed, end it with the key (DELETE \
/api/connect/ownerrez), then try again.";
pub(crate) const KEY_NOT_ENTERED: &str =
    "The key was not transferred: enter it in this browser while you are signed in.";
pub(crate) const TOO_MANY_KEYS: &str =
    "The key was not transferred: you have the maximum number of keys. Delete one first.";

/// Returns the sign-in page. `closed_registration_contact` names the operator of a gateway that accepts no new users.
pub(crate) fn sign_in(
    action: &str,
    csrf: &str,
    app_url: &Url,
    closed_registration_contact: Option<&str>,
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let status = problem.map_or(StatusCode::OK, |(status, _)| status);
    let body = html! {
        @if let Some((_, problem)) = problem { p.problem role="alert" { (problem) } }
        p {
            "This page lists the apps and API keys that have access to your OwnerRez account through this gateway. You \
             can revoke each of them."
        }
        @if let Some(operator) = closed_registration_contact {
            (registration_closed_notice(operator))
            p { "OwnerRez will ask you to approve the access." }
        } @else {
            p {
                "OwnerRez will ask you to approve the access. If you have not signed in here before, this registers \
                 you with this gateway and connects your account."
            }
        }
        (button("", action, csrf, &[("do", "sign_in")], "Sign in with OwnerRez", None))
    };
    page(status, &[origin(app_url)], "Your account", &body)
}

/// Returns the page for a form that does not belong to the session of this browser.
pub(crate) fn session_expired(account: &str) -> HttpResponse {
    let body = html! {
        p { "This page had expired, so nothing was changed. Open it again and repeat the action." }
        p { a href=(account) { "Go to your account" } }
    };
    page(StatusCode::FORBIDDEN, &[], "Nothing was changed", &body)
}

/// Returns the page for a sign-in that failed.
pub(crate) fn not_signed_in(error: &ApiError, account: &str, operator: &str) -> HttpResponse {
    let error_body = error.error_body();
    let body = html! {
        p { (error_body.message) }
        @if error_body.status == StatusCode::FORBIDDEN {
            p { "You were not signed in. Ask " (operator) " to allow this account." }
        } @else {
            p {
                "You were not signed in. " a href=(account) { "Try again" }
                " in a minute. If the problem persists, ask " (operator) "."
            }
        }
    };
    let mut response = page(error_body.status, &[], "Sign-in failed", &body);
    response.extensions_mut().insert(error.log_info(&error_body));
    response
}

/// The content of the account page.
pub(crate) struct Overview<'a> {
    pub(crate) action: &'a str,
    pub(crate) delete: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) app_url: &'a Url,
    pub(crate) account: AccountId,
    pub(crate) connection: Option<&'a Connection>,
    pub(crate) keys: &'a [StoredKey],
    pub(crate) grants: &'a [StoredGrant],
    pub(crate) other_connections: &'a [AccountAccess],
    /// The id of the next key, and the proof that the gateway issued it.
    pub(crate) new_key: (&'a str, &'a str),
    pub(crate) now: DateTime<Utc>,
}

/// Returns the account page.
pub(crate) fn overview(of: &Overview<'_>) -> HttpResponse {
    let ending = |wish: &str, name: &str, id: &str, label: &str, what: &str| {
        button("ending", of.action, of.csrf, &[("do", wish), (name, id)], label, Some(&format!("{label}: {what}")))
    };
    let body = html! {
        p { "You are signed in with OwnerRez account number " strong { (of.account) } "." }
        (button("second", of.action, of.csrf, &[("do", "sign_out")], "Sign out", None))
        h2 { "OwnerRez" }
        (connection(of))
        h2 { "Apps" }
        @if of.grants.is_empty() {
            p { "No app has access to your account. Apps that you sign in to are listed here." }
        }
        @for grant in of.grants {
            h3 { (quoted_name(&grant.client_name)) }
            p { (grant_line(grant)) " It " (grant_scope_label(grant)) ". Its name is not verified." }
            (ending("end_client", "grant", &grant.id.to_string(), "Revoke this app's access", &grant.client_name))
        }
        h2 { "API keys" }
        @if of.keys.is_empty() { p { "You have no API keys. Apps that you sign in to do not need one." } }
        @for key in of.keys {
            h3 { code { (key.display_prefix()) "…" } }
            p { (key_line(key)) @if let Some(end) = expiry_text(key, of.now) { (end) } }
            (ending("end_key", "key", &key.id.to_string(), "Delete this key", key.display_prefix()))
        }
        (other_connections(of))
        h2 { "Create an API key" }
        p { "For programs that cannot sign in. The key is shown once." }
        form method="post" action=(of.action) {
            (hidden(of.csrf, &[("do", "make_key"), ("id", of.new_key.0), ("proof", of.new_key.1)]))
            label for="name" { "Name, to recognise the key later" }
            input #name name="name" maxlength="100" autocomplete="off";
            label for="scope" { "Permissions" }
            select #scope name="scope" {
                option value="read" { "Read" }
                option value="full" { "Read and change everything, and manage keys" }
            }
            button type="submit" { "Create key" }
        }
        (transfer_form(of.action, &[("csrf", of.csrf), ("do", "show_key")]))
        h2 { "Delete your data" }
        p { a href=(of.delete) { "Delete all your data on this gateway" } }
    };
    page(StatusCode::OK, &[origin(of.app_url)], "Your account", &body)
}

fn connection(of: &Overview<'_>) -> Markup {
    let reconnect = |label| {
        html! {
            (button("second", of.action, of.csrf, &[("do", "sign_in")], label, None))
            p { "Sign in to OwnerRez with the same account. With another account you are a different user here." }
        }
    };
    html! {
        @match of.connection {
            None => {
                p { "Not connected: your apps and keys have no access." }
                (reconnect("Connect through OwnerRez"))
            }
            Some(connection) => {
                p {
                    @if connection.rejected_at.is_some() {
                        strong { "OwnerRez ended this connection" }
                        ", so your apps and keys have no access. Reconnect it. "
                    } @else {
                        "Connected"
                        @if let Some(account) = connection.account { " to account number " (account) }
                        " since " (day(connection.connected_at)) "."
                    }
                }
                (reconnect("Reconnect through OwnerRez"))
                (button("ending", of.action, of.csrf, &[("do", "disconnect")], "Disconnect", Some("Disconnect OwnerRez")))
            }
        }
    }
}

/// Lists other users connected to the same account: each connected it separately, perhaps without permission.
fn other_connections(of: &Overview<'_>) -> Markup {
    html! {
        @for reaching in of.other_connections {
            h2 { "Another user connected to this account" }
            ul {
                @for key in &reaching.keys { li { "API key " code { (key.display_prefix()) "…" } ": " (key_line(key)) } }
                @for grant in &reaching.grants { li { (quoted_name(&grant.client_name)) ": " (grant_line(grant)) } }
            }
            p {
                "If you do not recognise this, revoke it. Everything listed above then loses access. If one of these \
                 keys is yours, you can transfer it below."
            }
            (button(
                "ending",
                of.action,
                of.csrf,
                &[("do", "end_stranger"), ("user", &reaching.user.to_string())],
                "Revoke this access",
                None,
            ))
        }
    }
}

/// The content of the page that confirms a key transfer.
pub(crate) struct ConfirmKey<'a> {
    pub(crate) action: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) key: &'a StoredKey,
    pub(crate) from: UserId,
    pub(crate) account: AccountId,
    /// The number of the user's other valid keys.
    pub(crate) remaining_keys: usize,
    pub(crate) proof: &'a str,
    pub(crate) back: &'a str,
}

/// Returns the page that asks whether this key is to be transferred.
pub(crate) fn confirm_key(of: &ConfirmKey<'_>) -> HttpResponse {
    let (key, from) = (of.key.id.to_string(), of.from.to_string());
    let body = html! {
        p {
            "The key " code { (of.key.display_prefix()) "…" }
            @if let Some(name) = &of.key.name {
                " is named " strong { (quoted_name(name)) } " and "
            } @else {
                " has no name and "
            }
            (scope_label(of.key.scope)) "."
        }
        p.problem {
            "Anyone else with this key will be able to read and change your OwnerRez account number "
            strong { (of.account) }
            ". Continue only if you created this key yourself and did not get it from another person."
        }
        p {
            @match of.remaining_keys {
                0 => {
                    "It is the only key of its current user. Unless that user has also signed in with OwnerRez, the \
                     user is deleted, with the rest of the connection."
                }
                1 => "Its current user has one more key, which is not transferred.",
                more => { "Its current user has " (more) " more keys, which are not transferred." }
            }
        }
        form method="post" action=(of.action) {
            @for (name, value) in of.fields { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="attach" value=(key);
            input type="hidden" name="from" value=(from);
            input type="hidden" name="proof" value=(of.proof);
            button type="submit" { "Transfer this key" }
        }
        p { a href=(of.back) { "Do not transfer" } }
    };
    page(StatusCode::OK, &[SELF.to_owned()], "Transfer this key?", &body)
}

/// Returns the page for a key that was not transferred.
pub(crate) fn not_transferred(status: StatusCode, why: &str, back: &str) -> HttpResponse {
    page(status, &[], "No key was transferred", &html! { p { (why) } p { a href=(back) { "Back" } } })
}

/// Returns the page for a new key: the only page that shows a complete key.
pub(crate) fn new_key(key: &ApiKey, scope: Scope, mcp_url: &str, account: &str) -> HttpResponse {
    let body = html! {
        p { "This key " (scope_label(scope)) ". Store it now: it is not shown again." }
        p { code #key { (key.expose().expose_secret()) } }
        p { "Programs send it to " code { (mcp_url) } " in the header " code { "Authorization: Bearer …" } "." }
        p { a href=(account) { "Go to your account" } }
    };
    page(StatusCode::OK, &[], "Your new API key", &body)
}

/// Returns the page that asks for confirmation before everything is deleted.
pub(crate) fn delete_everything(action: &str, csrf: &str, account: AccountId) -> HttpResponse {
    let body = html! {
        p {
            "This revokes the access of all your apps and deletes your API keys, the connection to OwnerRez account \
             number " strong { (account) } ", and your user. It cannot be undone. Your data in OwnerRez is not changed."
        }
        (button("ending", action, csrf, &[("do", "delete")], "Delete everything", None))
        p { a href=(action) { "Keep everything" } }
    };
    page(StatusCode::OK, &[SELF.to_owned()], "Delete everything?", &body)
}

fn button(class: &str, action: &str, csrf: &str, fields: &[(&str, &str)], label: &str, spoken: Option<&str>) -> Markup {
    html! {
        form method="post" action=(action) {
            (hidden(csrf, fields))
            button class=(class) type="submit" aria-label=[spoken] { (label) }
        }
    }
}

fn hidden(csrf: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(csrf);
        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
    }
}

fn grant_scope_label(grant: &StoredGrant) -> &'static str {
    let full = crate::oauth::Scopes::parse(&grant.scope).is_ok_and(|scopes| scopes.access == Scope::Full);
    scope_label(if full { Scope::Full } else { Scope::Read })
}

fn expiry_text(key: &StoredKey, now: DateTime<Utc>) -> Option<String> {
    key.expires_at.map(|end| format!(" It {} on {}.", if end <= now { "expired" } else { "expires" }, day(end)))
}
