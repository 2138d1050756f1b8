//! The HTML pages and their texts. Small, without scripts, readable on a phone.

pub(crate) mod account;
pub(crate) mod sign_in;
pub(crate) mod waiting;

use std::borrow::Cow;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use chrono::TimeDelta;
use maud::{DOCTYPE, Markup, html};
use serde_json::{Value, json};
use url::Url;

use super::{
    connect::origin,
    error::{ApiError, ErrorBody},
};
use crate::{
    domain::{AccountId, in_minutes},
    store::StoredKey,
};

/// The headline and text of a page without a form.
pub(crate) struct Notice {
    title: &'static str,
    text: Cow<'static, str>,
}

impl Notice {
    pub(crate) const fn fixed(title: &'static str, text: &'static str) -> Self {
        Self { title, text: Cow::Borrowed(text) }
    }

    pub(crate) fn new(title: &'static str, text: String) -> Self {
        Self { title, text: Cow::Owned(text) }
    }
}

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

/// Returns the text that names the operator, with the configured contact.
pub(crate) fn operator(contact: Option<&str>) -> String {
    let contact = contact.map_or(String::new(), |contact| format!(" ({contact})"));
    format!("the operator of this gateway{contact}")
}

/// Says, before OwnerRez asks for approval, that new users are not accepted.
fn registration_closed_notice(operator: &str) -> Markup {
    html! {
        p.problem {
            "This gateway does not accept new users. If you have not signed in here before, your sign-in will be \
             rejected. Ask " (operator) " first."
        }
    }
}

pub(crate) const FORM_EXPIRED: &str = "This form has expired, or cookies are disabled. Please enter the key again.";
pub(crate) const KEY_WRONG: &str = "That is not the API key shown below. Nothing was connected.";

/// The style of all pages. A button is the main action of its page, unless it has the class `second` or `ending`.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff;overflow-wrap:anywhere}h1{font-size:1.4rem}code{background:#eee;padding:.1rem .3rem}\
label{display:block;font-weight:600;margin:1rem 0 .3rem}input,select{font:inherit;width:100%;box-sizing:border-box;\
padding:.6rem;border:1px solid #555;border-radius:.3rem}button,.button{font:inherit;margin:1rem .6rem 0 0;padding:.6rem 1.2rem;\
border:0;border-radius:.3rem;background:#0b5394;color:#fff;max-width:100%}.button{display:inline-block;\
text-decoration:none}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem}\
button.second,button.ending{background:#fff;color:#0b5394;box-shadow:inset 0 0 0 1px}button.ending{color:#b00020}\
pre{background:#eee;padding:.6rem;white-space:pre-wrap;font-size:.85rem}.problem{border-left:.3rem solid #b00020;padding:.2rem .8rem}";

/// The SHA-256 of [`STYLE`], with which the policy allows this style and no other.
const STYLE_HASH: &str = "'sha256-+Fjg54LLeIK7ieXbxbUzedkoDE8mgp7IjMU9AdOizKA='";

/// The target of forms that are submitted only to the gateway.
const SELF: &str = "'self'";

/// Returns a response with the headers that protect a page against framing, scripts and leaks of its URL. A form may be
/// submitted to the gateway and redirected to `form_targets`, which are sources of a Content-Security-Policy: browsers
/// apply `form-action` to redirects as well. Without targets the page has no form.
pub(crate) fn response_with_security_headers(status: StatusCode, form_targets: &[String]) -> HttpResponseBuilder {
    let forms = match form_targets {
        [] => "'none'".to_owned(),
        [only] if only == SELF => SELF.to_owned(),
        targets => format!("{SELF} {}", targets.join(" ")),
    };
    let policy = format!(
        "default-src 'none'; style-src {STYLE_HASH}; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

fn page(status: StatusCode, form_targets: &[String], title: &str, body: &Markup) -> HttpResponse {
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

/// Returns a page without a form.
pub(crate) fn notice(status: StatusCode, notice: Notice) -> HttpResponse {
    page(status, &[], notice.title, &html! { p { (notice.text) } })
}

/// Returns an error as a page, with the same texts as the JSON of the other endpoints.
pub(crate) fn error(error: &ApiError) -> HttpResponse {
    let body = error.error_body();
    let log_info = error.log_info(&body);
    let ErrorBody { status, message, hint, retry_after, .. } = body;
    let mut response = page(status, &[], "Something went wrong", &html! { p { (message) } p { (hint) } });
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.num_seconds().max(1).into());
    }
    response.extensions_mut().insert(log_info);
    response
}

/// Formats a name that a user or a client chose: in quotes, so that it is not read as text of the page, and isolated,
/// so that its writing direction does not affect that text (HTML, `bdi`).
fn quoted_name(name: &str) -> Markup {
    html! { "“" bdi { (name) } "”" }
}

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

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ring::digest;

    use super::*;

    #[test]
    fn the_policy_allows_the_style_that_the_pages_have() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        assert_eq!(STYLE_HASH, format!("'sha256-{hash}'"));
    }
}
