//! The parts that several pages share.

use actix_web::{HttpResponse, http::StatusCode};
use maud::{DOCTYPE, Markup, html};

use super::security_headers::{STYLE, response_with_security_headers};
use crate::{
    domain::Scope,
    store::{StoredGrant, StoredKey},
};

/// Returns a page. Its forms may be redirected to `form_targets`; without targets it has no form.
pub(super) fn page(status: StatusCode, form_targets: &[String], title: &str, body: &Markup) -> HttpResponse {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · OwnerRez gateway" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    response_with_security_headers(status, form_targets)
        .content_type("text/html; charset=utf-8")
        .body(html.into_string())
}

/// Returns the text that names the operator, with the configured contact.
pub(crate) fn operator(contact: Option<&str>) -> String {
    let contact = contact.map_or(String::new(), |contact| format!(" ({contact})"));
    format!("the operator of this gateway{contact}")
}

/// Says, before OwnerRez asks for approval, that new users are not accepted.
pub(super) fn registration_closed_notice(operator: &str) -> Markup {
    html! {
        p.problem {
            "This gateway does not accept new users. If you have not signed in here before, your sign-in will be \
             rejected. Ask " (operator) " first."
        }
    }
}

/// Formats a name that a user or a client chose: in quotes, so that it is not read as text of the page, and isolated,
/// so that its writing direction does not affect that text (HTML, `bdi`).
pub(super) fn quoted_name(name: &str) -> Markup {
    html! { "“" bdi { (name) } "”" }
}

/// Returns the form that attaches an existing key.
pub(super) fn transfer_form(action: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        h2 { "Transfer an existing API key" }
        p { "An API key that you got before you signed in here becomes yours. Programs that use it keep working." }
        form method="post" action=(action) {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            label for="api_key" { "API key" }
            input #api_key name="api_key" type="password" required autocomplete="off" spellcheck="false";
            button type="submit" { "Show this key" }
        }
    }
}

pub(super) fn key_line(key: &StoredKey) -> Markup {
    let used = key.last_used_at.map_or("never used".to_owned(), |at| format!("last used on {}", day(at)));
    html! {
        @if let Some(name) = &key.name { (quoted_name(name)) ", " }
        (scope_label(key.scope)) ", created on " (day(key.created_at)) ", " (used) "."
    }
}

pub(super) fn grant_line(grant: &StoredGrant) -> String {
    let used = grant.last_used_at.map_or("never used".to_owned(), |at| format!("last used on {}", day(at)));
    format!("An app that you signed in to on {}, {used}.", day(grant.created_at))
}

pub(super) fn scope_label(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "can read",
        Scope::Full => "can read and change data",
    }
}

pub(super) fn day(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}
