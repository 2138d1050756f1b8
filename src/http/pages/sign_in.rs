//! The pages of a sign-in, and their texts.

use actix_web::{HttpResponse, http::StatusCode};
use chrono::TimeDelta;
use maud::{Markup, html};
use url::Url;

use super::{
    notice::Notice,
    parts::{grant_line, key_line, page, quoted_name, registration_closed_notice, transfer_form},
};
use crate::{
    domain::{RedirectDestination, Scope, in_minutes},
    oauth::{AuthorizationRequest, PendingReview},
    store::AccountAccess,
};

/// A response in another browser than the one in which the user consented, or later than `lifetime`.
pub(crate) fn other_browser(lifetime: TimeDelta) -> Notice {
    let text = format!(
        "This does not belong to a sign-in that was started in this browser within the last {}. Go back to your app, \
         start again, and use the same browser throughout.",
        in_minutes(lifetime)
    );
    Notice::new("You were not signed in", text)
}

pub(crate) const FORM_EXPIRED: &str =
    "This page has expired, or cookies are disabled. Please check it again and decide.";
pub(crate) const NO_CLIENT: &str = "Nothing was changed. Close this page and start again from your app.";
pub(crate) const NO_REDIRECT: &str = "Nothing was changed, because the response could have been sent to another app. \
If you followed a link in a message, close this page; otherwise, report this to the developer of the app.";
pub(crate) const BY_A_LINK: &str = "Nothing was changed. If you followed a link in a message, close this page. If you \
started this in your app, the app may be waiting for the response:";
pub(crate) const TOO_MANY: &str = "Too many sign-ins were started from your address.";
pub(crate) const LATER: &str = "Try again later. Operators: if the gateway is behind a proxy, add the proxy to \
TRUSTED_PROXIES; otherwise its users share one limit.";

/// Turns an error text into a sentence: capitalised, with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Returns the page for a request for which no consent page is shown.
pub(crate) fn refusal(status: StatusCode, what: &str, next: &str) -> HttpResponse {
    page(status, &[], "Sign-in failed", &html! { p { (what) } p { (next) } })
}

/// Returns the page for an error, with a button that sends it to the client at `url`.
pub(crate) fn error_with_redirect(
    status: StatusCode,
    what: &str,
    next: &str,
    to: &RedirectDestination,
    url: &str,
) -> HttpResponse {
    let body = html! {
        p { (what) }
        p { (next) }
        p { a.button href=(url) { "Send the error to " (destination(to)) } }
    };
    page(status, &[], "Sign-in failed", &body)
}

/// Returns the recipient of an answer, as the text of a button.
fn destination(place: &RedirectDestination) -> String {
    match place {
        RedirectDestination::Web { host } => host.clone(),
        RedirectDestination::Loopback => "the program on this computer".to_owned(),
        RedirectDestination::App { scheme } => format!("the app that opens {scheme}: links"),
    }
}

/// The content of the consent page and its form.
pub(crate) struct Consent<'a> {
    pub(crate) action: &'a str,
    pub(crate) query: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) request: &'a AuthorizationRequest,
    pub(crate) place: &'a RedirectDestination,
    pub(crate) form_targets: &'a [String],
    /// The operator, if the gateway accepts no new users.
    pub(crate) closed_registration_contact: Option<&'a str>,
    pub(crate) problem: Option<(StatusCode, &'static str)>,
}

/// Returns the consent page.
pub(crate) fn consent(consent: &Consent<'_>) -> HttpResponse {
    let status = consent.problem.map_or(StatusCode::OK, |(status, _)| status);
    let request = consent.request;
    let full = request.scopes.access == Scope::Full;
    let body = html! {
        @if let Some((_, problem)) = consent.problem { p.problem role="alert" { (problem) } }
        p {
            "An app that calls itself " strong { (quoted_name(&request.client_name)) }
            " requests access to your OwnerRez account. This name is not verified."
        }
        @if let Some(host) = published_at(&request.client_id) { p { "It describes itself at " strong { (host) } "." } }
        (redirect_destination(consent.place))
        @if let Some(operator) = consent.closed_registration_contact { (registration_closed_notice(operator)) }
        h2 { "Requested access" }
        ul {
            li { "Read everything in the account: properties, bookings, guests, messages, prices." }
            @if full { li { strong { "Change" } " the account: bookings, prices, messages to guests and the rest." } }
            @if request.scopes.offline { li { "Keep this access, without asking again, until you revoke it." } }
        }
        p {
            "Continue only if you have just started this from the app yourself. OwnerRez will ask you to sign in and \
             approve; the app then gets access to the account that signed in there."
        }
        form method="post" action=(consent.action) {
            input type="hidden" name="request" value=(consent.query);
            input type="hidden" name="csrf" value=(consent.csrf);
            button type="submit" name="decision" value="allow" { "Allow and continue to OwnerRez" }
            @if full { button.second type="submit" name="decision" value="read" { "Allow read-only access" } }
            button.second type="submit" name="decision" value="deny" { "Cancel" }
        }
    };
    page(status, consent.form_targets, "Sign in with OwnerRez", &body)
}

/// Returns the host of a client's metadata document, if its id is the URL of one.
fn published_at(client_id: &str) -> Option<String> {
    let url = Url::parse(client_id).ok().filter(|url| url.scheme() == "https")?;
    url.host_str().map(str::to_owned)
}

fn redirect_destination(place: &RedirectDestination) -> Markup {
    html! {
        @match place {
            RedirectDestination::Web { host } => p { "Afterwards you are redirected to " strong { (host) } "." },
            RedirectDestination::Loopback => {
                p { "Afterwards you are redirected to " strong { "a program on this computer" } "." }
                p.problem {
                    "Any program on this computer can pretend to be this app. If you have not just started this from a \
                     program on this computer, cancel."
                }
            }
            RedirectDestination::App { scheme } => {
                p {
                    "Afterwards you are redirected to the app that opens " code { (scheme) ":" }
                    " links on this computer."
                }
                p.problem {
                    "Any program on this computer can pretend to be this app. If you have not just started this from a \
                     program on this computer, cancel."
                }
            }
        }
    }
}

/// The content of the page about other access, and its form.
pub(crate) struct ExistingAccess<'a> {
    pub(crate) action: &'a str,
    pub(crate) state: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) pending: &'a PendingReview,
    pub(crate) existing: &'a [AccountAccess],
    pub(crate) form_targets: &'a [String],
}

/// Returns the page that lists other access to the account, each with a button that revokes it.
pub(crate) fn existing_access(page_of: &ExistingAccess<'_>) -> HttpResponse {
    let PendingReview { request, user, account } = page_of.pending;
    let ending = |name: &str, id: String, label: &str| {
        html! {
            form method="post" action=(page_of.action) {
                (fields(page_of))
                input type="hidden" name=(name) value=(id);
                button.ending type="submit" { (label) }
            }
        }
    };
    let body = html! {
        p { "You are signed in with OwnerRez account number " strong { (account) } "." }
        @if !page_of.existing.is_empty() {
            p { "These apps and keys also have access to this account. Revoke what you do not recognise." }
        }
        @for reaching in page_of.existing {
            @if reaching.user == *user {
                @for grant in &reaching.grants {
                    h2 { (quoted_name(&grant.client_name)) }
                    p { (grant_line(grant)) }
                    (ending("grant", grant.id.to_string(), "Revoke this app's access"))
                }
                @for key in &reaching.keys {
                    h2 { "API key " code { (key.display_prefix()) "…" } }
                    p { (key_line(key)) }
                    (ending("key", key.id.to_string(), "Delete this key"))
                }
            } @else {
                h2 { "Another user connected to this account" }
                ul {
                    @for key in &reaching.keys {
                        li { "API key " code { (key.display_prefix()) "…" } ": " (key_line(key)) }
                    }
                    @for grant in &reaching.grants { li { (quoted_name(&grant.client_name)) ": " (grant_line(grant)) } }
                }
                p { "If you do not recognise this, revoke it. Everything listed above then loses access." }
                (ending("user", reaching.user.to_string(), "Revoke this access"))
            }
        }
        form method="post" action=(page_of.action) {
            (fields(page_of))
            button type="submit" { "Continue to " (quoted_name(&request.client_name)) }
        }
        (transfer_form(page_of.action, &[("state", page_of.state), ("csrf", page_of.csrf)]))
    };
    page(StatusCode::OK, page_of.form_targets, "Other access to this account", &body)
}

fn fields(page_of: &ExistingAccess<'_>) -> Markup {
    html! {
        input type="hidden" name="state" value=(page_of.state);
        input type="hidden" name="csrf" value=(page_of.csrf);
    }
}
