//! The pages of a connect link, and their texts.

use actix_web::{HttpResponse, http::StatusCode};
use chrono::TimeDelta;
use maud::html;
use serde_json::{Value, json};
use url::Url;

use super::{
    notice::Notice,
    parts::{page, quoted_name},
    security_headers::origin,
};
use crate::{
    domain::{AccountId, in_minutes},
    store::StoredKey,
};

/// A connect link that was used or is older than `lifetime`.
pub(crate) fn link_gone(lifetime: TimeDelta) -> Notice {
    let text = format!(
        "A connect link can be used once and is valid for {}. Get a new one: GET /api/connect/ownerrez/start with your \
         API key, or ask your assistant to connect OwnerRez.",
        in_minutes(lifetime)
    );
    Notice::new("This link is no longer valid", text)
}

/// A response of OwnerRez in another browser than the one that was redirected there, or later than `lifetime`.
pub(crate) fn other_browser(lifetime: TimeDelta) -> Notice {
    let text = format!(
        "This response from OwnerRez does not belong to a connection that was started in this browser within the last \
         {}. Open your connect link again and finish in the same browser.",
        in_minutes(lifetime)
    );
    Notice::new("Nothing was connected", text)
}

pub(crate) const DENIED: Notice = Notice::fixed(
    "Nothing was connected",
    "OwnerRez did not grant the access. If that was a mistake, ask the gateway for a new connect link and approve the \
     access.",
);

pub(crate) const FORM_EXPIRED: &str = "This form has expired, or cookies are disabled. Please enter the key again.";
pub(crate) const KEY_WRONG: &str = "That is not the API key shown below. Nothing was connected.";

/// The content of the connect page and its form.
pub(crate) struct ConnectForm<'a> {
    pub(crate) action: &'a str,
    pub(crate) state: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) key: &'a StoredKey,
    /// Whether the key's user has signed in to this browser, so that the key need not be entered.
    pub(crate) signed_in: bool,
    pub(crate) app_url: &'a Url,
    pub(crate) problem: Option<(StatusCode, &'static str)>,
}

/// Returns the page of a connect link.
pub(crate) fn connect_form(form: &ConnectForm<'_>) -> HttpResponse {
    let status = form.problem.map_or(StatusCode::OK, |(status, _)| status);
    let body = html! {
        @if let Some((_, problem)) = form.problem { p.problem role="alert" { (problem) } }
        p { "This API key will be able to read and change the OwnerRez account that you approve next:" }
        p {
            code { (form.key.display_prefix()) "…" }
            @if let Some(name) = &form.key.name { " " (quoted_name(name)) }
        }
        @if form.signed_in {
            p { "This key is yours: you have signed in with OwnerRez in this browser." }
        } @else {
            p { "Continue only if this is your own key. To prove it, enter the whole key." }
        }
        form method="post" action=(form.action) {
            input type="hidden" name="state" value=(form.state);
            input type="hidden" name="csrf" value=(form.csrf);
            @if !form.signed_in {
                label for="api_key" { "API key" }
                input #api_key name="api_key" type="password" required autocomplete="off" spellcheck="false" autofocus;
            }
            button type="submit" { "Continue to OwnerRez" }
        }
    };
    page(status, &[origin(form.app_url)], "Connect OwnerRez", &body)
}

/// Returns the page after a successful connection.
pub(crate) fn connected(account: Option<AccountId>, key: &StoredKey, mcp_url: &str) -> HttpResponse {
    let body = html! {
        p {
            "The OwnerRez account"
            @if let Some(account) = account { " number " strong { (account) } }
            " is now connected to the key " code { (key.display_prefix()) "…" }
            @if let Some(name) = &key.name { " " (quoted_name(name)) }
            "."
        }
        p { "Next, set up your assistant. Replace YOUR_API_KEY with the whole key; this page does not have it." }
        h2 { "Claude Code" }
        pre { (claude_code(mcp_url)) }
        h2 { "Cursor" }
        p { "In " code { "~/.cursor/mcp.json" } ":" }
        pre { (cursor(mcp_url)) }
        h2 { "VS Code" }
        p { "In " code { ".vscode/mcp.json" } "; it asks for the key and stores it:" }
        pre { (vs_code(mcp_url)) }
        h2 { "Other clients" }
        p {
            "Streamable HTTP at " code { (mcp_url) } " with the header "
            code { "Authorization: Bearer YOUR_API_KEY" } "."
        }
        p { "You can close this page." }
    };
    page(StatusCode::OK, &[], "OwnerRez is connected", &body)
}

fn claude_code(mcp_url: &str) -> String {
    format!("claude mcp add --transport http ownerrez {mcp_url} \\\n  --header \"Authorization: Bearer YOUR_API_KEY\"")
}

fn cursor(mcp_url: &str) -> String {
    let headers = json!({"Authorization": "Bearer YOUR_API_KEY"});
    pretty(&json!({"mcpServers": {"ownerrez": {"url": mcp_url, "headers": headers}}}))
}

fn vs_code(mcp_url: &str) -> String {
    let key =
        json!({"type": "promptString", "id": "ownerrez-key", "description": "OwnerRez gateway key", "password": true});
    let headers = json!({"Authorization": "Bearer ${input:ownerrez-key}"});
    pretty(&json!({"inputs": [key], "servers": {"ownerrez": {"type": "http", "url": mcp_url, "headers": headers}}}))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
