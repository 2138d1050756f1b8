//! The pages of a signed-in user's account, and their texts.

use actix_web::{HttpResponse, http::StatusCode};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use secrecy::ExposeSecret;
use url::Url;

use super::{
    Notice, SELF, chosen_name, origin, page,
    sign_in::{day, grant_line, key_line, may},
    takes_no_new_users,
};
use crate::{
    crypto::ApiKey,
    domain::{AccountId, Scope, UserId},
    http::error::ApiError,
    store::{Connection, Reaching, StoredGrant, StoredKey},
};

pub(crate) const DENIED: Notice = Notice::fixed(
    "You are not signed in",
    "OwnerRez did not grant the access. If that was a mistake, open /account here again, sign in, and approve the access at \
     OwnerRez.",
);

pub(crate) const DELETED: Notice = Notice::fixed(
    "Everything is deleted",
    "Your API keys, the access of your apps, the OwnerRez connection and you as a user are deleted here. The gateway gives \
     its access back to OwnerRez. Nothing was changed in OwnerRez itself.",
);

pub(crate) const STALE: &str = "You are not signed in here any more, or cookies are switched off. Nothing was done: please \
sign in again.";
pub(crate) const KEY_UNKNOWN: &str =
    "That is not a valid API key of this gateway. Check that the whole key was copied.";
pub(crate) const KEY_YOURS: &str = "That key is yours already. There is nothing to do.";
pub(crate) const KEY_READS: &str = "That key may only read, and such keys manage nothing, themselves included. Attach a full \
key, or make a new reading key on your account page.";
pub(crate) const KEY_ELSEWHERE: &str = "That key was not attached: its user is connected to another OwnerRez account than the \
one that you signed in with, or it is not known to which. If that connection is not needed any more, end it with the key \
first (DELETE /api/connect/ownerrez), then come back.";
pub(crate) const KEY_NOT_SHOWN: &str = "That key was not attached: it has to be entered in this browser while you are signed \
in.";
pub(crate) const KEYS_FULL: &str =
    "That key was not attached: you have as many keys as a user may have. Delete one first.";

/// Returns the sign-in page. `closed_by` names the operator of a gateway that accepts no new users.
pub(crate) fn door(
    action: &str,
    csrf: &str,
    app_url: &Url,
    closed_by: Option<&str>,
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let status = problem.map_or(StatusCode::OK, |(status, _)| status);
    let body = html! {
        @if let Some((_, problem)) = problem { p.problem role="alert" { (problem) } }
        p {
            "Here you see which apps and API keys reach your OwnerRez account through this gateway, and end whatever you \
             do not need."
        }
        @if let Some(operator) = closed_by {
            (takes_no_new_users(operator))
            p { "OwnerRez will ask you to approve the access." }
        } @else {
            p {
                "OwnerRez will ask you to approve the access. If you have not been here before, that makes you a user of \
                 this gateway and connects your account."
            }
        }
        (button("", action, csrf, &[("do", "sign_in")], "Sign in with OwnerRez", None))
    };
    page(status, &[origin(app_url)], "Your account", &body)
}

/// Returns the page for a form that does not belong to the session of this browser.
pub(crate) fn stale(account: &str) -> HttpResponse {
    let body = html! {
        p { "Nothing was done: the page had become stale. Look at it again and decide." }
        p { a href=(account) { "To your account" } }
    };
    page(StatusCode::FORBIDDEN, &[], "Nothing was done", &body)
}

/// Returns the page for a sign-in that failed.
pub(crate) fn not_signed_in(error: &ApiError, account: &str, operator: &str) -> HttpResponse {
    let shown = error.shown();
    let body = html! {
        p { (shown.message) }
        @if shown.status == StatusCode::FORBIDDEN {
            p { "You were not signed in. Ask " (operator) " to let this account in." }
        } @else {
            p { "You were not signed in. " a href=(account) { "Try again" } " in a minute; if it lasts, ask " (operator) "." }
        }
    };
    let mut response = page(shown.status, &[], "Signing in did not work", &body);
    response.extensions_mut().insert(error.failure(&shown));
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
    pub(crate) strangers: &'a [Reaching],
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
        p { "You have signed in with the OwnerRez account number " strong { (of.account) } "." }
        (button("second", of.action, of.csrf, &[("do", "sign_out")], "Sign out", None))
        h2 { "OwnerRez" }
        (connection(of))
        h2 { "Apps" }
        @if of.grants.is_empty() { p { "No app may use your account. An app that you sign in to will be listed here." } }
        @for grant in of.grants {
            h3 { (chosen_name(&grant.client_name)) }
            p { (grant_line(grant)) " It " (may_by(grant)) ". Nobody has verified its name." }
            (ending("end_client", "grant", &grant.id.to_string(), "End this app's access", &grant.client_name))
        }
        h2 { "API keys" }
        @if of.keys.is_empty() { p { "You have no API key. Apps that you sign in to need none." } }
        @for key in of.keys {
            h3 { code { (key.beginning()) "…" } }
            p { (key_line(key)) @if let Some(end) = end_of(key, of.now) { (end) } }
            (ending("end_key", "key", &key.id.to_string(), "Delete this key", key.beginning()))
        }
        (strangers(of))
        h2 { "Make an API key" }
        p { "For programs that cannot sign in. The key is shown once." }
        form method="post" action=(of.action) {
            (hidden(of.csrf, &[("do", "make_key"), ("id", of.new_key.0), ("proof", of.new_key.1)]))
            label for="name" { "Name, so that you know it again" }
            input #name name="name" maxlength="100" autocomplete="off";
            label for="scope" { "What it may do" }
            select #scope name="scope" {
                option value="read" { "Read" }
                option value="full" { "Read and change everything, and manage keys" }
            }
            button type="submit" { "Make a key" }
        }
        (attach_form(of.action, &[("csrf", of.csrf), ("do", "show_key")]))
        h2 { "Leave" }
        p { a href=(of.delete) { "Delete everything that is yours here" } }
    };
    page(StatusCode::OK, &[origin(of.app_url)], "Your account", &body)
}

fn connection(of: &Overview<'_>) -> Markup {
    let reconnect = |label| {
        html! {
            (button("second", of.action, of.csrf, &[("do", "sign_in")], label, None))
            p { "Approve the access with the same account there: with another one you are another user here." }
        }
    };
    html! {
        @match of.connection {
            None => {
                p { "Not connected: your apps and keys reach nothing." }
                (reconnect("Connect through OwnerRez"))
            }
            Some(connection) => {
                p {
                    @if connection.rejected_at.is_some() {
                        strong { "OwnerRez ended this connection" } ", so your apps and keys reach nothing. Reconnect it. "
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
fn strangers(of: &Overview<'_>) -> Markup {
    html! {
        @for reaching in of.strangers {
            h2 { "Somebody who connected this account separately" }
            ul {
                @for key in &reaching.keys { li { "API key " code { (key.beginning()) "…" } ": " (key_line(key)) } }
                @for grant in &reaching.grants { li { (chosen_name(&grant.client_name)) ": " (grant_line(grant)) } }
            }
            p {
                "If you did not set this up yourself, end it: nothing of the above reaches the account then. A key of your \
                 own you can attach below."
            }
            (button(
                "ending",
                of.action,
                of.csrf,
                &[("do", "end_stranger"), ("user", &reaching.user.to_string())],
                "End this connection",
                None,
            ))
        }
    }
}

/// Returns the form that attaches an existing key.
pub(super) fn attach_form(action: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        h2 { "Attach an API key that you have" }
        p { "A key from before you signed in here becomes yours, with the programs that use it." }
        form method="post" action=(action) {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            label for="api_key" { "API key" }
            input #api_key name="api_key" type="password" required autocomplete="off" spellcheck="false";
            button type="submit" { "Look at this key" }
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
    pub(crate) stay: usize,
    pub(crate) proof: &'a str,
    pub(crate) back: &'a str,
}

/// Returns the page that asks whether this key is to be transferred.
pub(crate) fn confirm_key(of: &ConfirmKey<'_>) -> HttpResponse {
    let (key, from) = (of.key.id.to_string(), of.from.to_string());
    let body = html! {
        p {
            "The key " code { (of.key.beginning()) "…" }
            @if let Some(name) = &of.key.name { " is called " strong { (chosen_name(name)) } " and " } @else { " has no name and " }
            (may(of.key.scope)) "."
        }
        p.problem {
            "Whoever else has this key will be able to read and change your OwnerRez account number " strong { (of.account) }
            ". Go on only if you made this key yourself and nobody gave it to you."
        }
        p {
            @match of.stay {
                0 => {
                    "It is the only key of the user whom it belongs to now. Unless somebody signs in as that user, the \
                     user is removed here, with what is left of the connection."
                }
                1 => "The user whom it belongs to now has one more key, which stays as it is.",
                more => { "The user whom it belongs to now has " (more) " more keys, which stay as they are." }
            }
        }
        form method="post" action=(of.action) {
            @for (name, value) in of.fields { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="attach" value=(key);
            input type="hidden" name="from" value=(from);
            input type="hidden" name="proof" value=(of.proof);
            button type="submit" { "Attach this key" }
        }
        p { a href=(of.back) { "Leave it where it is" } }
    };
    page(StatusCode::OK, &[SELF.to_owned()], "Attach this key?", &body)
}

/// Returns the page for a key that was not transferred.
pub(crate) fn not_attached(status: StatusCode, why: &str, back: &str) -> HttpResponse {
    page(status, &[], "Nothing was attached", &html! { p { (why) } p { a href=(back) { "Back" } } })
}

/// Returns the page for a new key: the only page that shows a complete key.
pub(crate) fn new_key(key: &ApiKey, scope: Scope, mcp_url: &str, account: &str) -> HttpResponse {
    let body = html! {
        p { "This key " (may(scope)) ". Store it now: it is not shown again." }
        p { code #key { (key.expose().expose_secret()) } }
        p { "Programs send it to " code { (mcp_url) } " in the header " code { "Authorization: Bearer …" } "." }
        p { a href=(account) { "To your account" } }
    };
    page(StatusCode::OK, &[], "Your new API key", &body)
}

/// Returns the page that asks for confirmation before everything is deleted.
pub(crate) fn delete_everything(action: &str, csrf: &str, account: AccountId) -> HttpResponse {
    let body = html! {
        p {
            "This ends the access of all your apps, deletes your API keys, ends the connection to the OwnerRez account \
             number " strong { (account) } ", and deletes you as a user. It cannot be undone. Nothing changes in OwnerRez."
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

fn may_by(grant: &StoredGrant) -> &'static str {
    let full = crate::oauth::Scopes::parse(&grant.scope).is_ok_and(|scopes| scopes.access == Scope::Full);
    may(if full { Scope::Full } else { Scope::Read })
}

fn end_of(key: &StoredKey, now: DateTime<Utc>) -> Option<String> {
    key.expires_at.map(|end| format!(" It {} on {}.", if end <= now { "expired" } else { "expires" }, day(end)))
}
