//! The pages of a sign-in, and their texts.

use actix_web::{HttpResponse, http::StatusCode};
use chrono::TimeDelta;
use maud::{Markup, html};
use url::Url;

use super::{Notice, account::attach_form, chosen_name, page, takes_no_new_users};
use crate::{
    domain::{RedirectPlace, Scope, in_minutes},
    oauth::{AuthorizationRequest, Paused},
    store::{Reaching, StoredGrant, StoredKey},
};

/// A response in another browser than the one in which the user consented, or later than `life`.
pub(crate) fn other_browser(life: TimeDelta) -> Notice {
    let text = format!(
        "This does not belong to a sign-in that was started in this browser within the last {}. Go back to your app, start \
         again there, and stay in one browser.",
        in_minutes(life)
    );
    Notice::new("You were not signed in", text)
}

pub(crate) const FORM_STALE: &str =
    "The page had become stale, or cookies are switched off. Please look at it again and decide.";
pub(crate) const NO_CLIENT: &str = "Nothing was done. Close this page and start again from your app.";
pub(crate) const NO_REDIRECT: &str = "Nothing was done, because the answer might have reached another app. If you came here \
by a link in a message, close this page; otherwise the maker of the app has to repair it.";
pub(crate) const BY_A_LINK: &str = "Nothing was done. If you came here by a link in a message, close this page. If you started \
this in your app, the app may be waiting for the answer:";
pub(crate) const TOO_MANY: &str = "Too many sign-ins were started from your address.";
pub(crate) const LATER: &str = "Try again later. Operators: behind a proxy, name it in TRUSTED_PROXIES, or all people \
behind it count as one.";

/// Turns an error text into a sentence: capitalised, with a full stop.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Returns the page for a request for which no consent page is shown.
pub(crate) fn refusal(status: StatusCode, what: &str, next: &str) -> HttpResponse {
    page(status, &[], "Signing in did not work", &html! { p { (what) } p { (next) } })
}

/// Returns the page for an error, with a button that sends it to the client at `url`.
pub(crate) fn refusal_with_way_back(
    status: StatusCode,
    what: &str,
    next: &str,
    to: &RedirectPlace,
    url: &str,
) -> HttpResponse {
    let body = html! {
        p { (what) }
        p { (next) }
        p { a.button href=(url) { "Tell " (destination(to)) } }
    };
    page(status, &[], "Signing in did not work", &body)
}

/// Returns the recipient of an answer, as the text of a button.
fn destination(place: &RedirectPlace) -> String {
    match place {
        RedirectPlace::Web { host } => host.clone(),
        RedirectPlace::Loopback => "the program on this computer".to_owned(),
        RedirectPlace::App { scheme } => format!("the app that opens {scheme}: links"),
    }
}

/// The content of the consent page and its form.
pub(crate) struct Consent<'a> {
    pub(crate) action: &'a str,
    pub(crate) query: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) request: &'a AuthorizationRequest,
    pub(crate) place: &'a RedirectPlace,
    pub(crate) form_targets: &'a [String],
    /// The operator, if the gateway accepts no new users.
    pub(crate) closed_by: Option<&'a str>,
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
            "An app that calls itself " strong { (chosen_name(&request.client_name)) }
            " asks for access to your OwnerRez account. Nobody has verified that name."
        }
        @if let Some(host) = published_at(&request.client_id) { p { "It says what it is at " strong { (host) } "." } }
        (place(consent.place))
        @if let Some(operator) = consent.closed_by { (takes_no_new_users(operator)) }
        h2 { "What it will be able to do" }
        ul {
            li { "Read everything in the account: properties, bookings, guests, messages, prices." }
            @if full { li { strong { "Change" } " the account: bookings, prices, messages to guests and the rest." } }
            @if request.scopes.offline { li { "Go on doing so until you end it, without asking again." } }
        }
        p {
            "Go on only if you have just started this from the app yourself. OwnerRez will ask you to approve the access \
             next; whoever signs in there is who the app will work for."
        }
        form method="post" action=(consent.action) {
            input type="hidden" name="request" value=(consent.query);
            input type="hidden" name="csrf" value=(consent.csrf);
            button type="submit" name="decision" value="allow" { "Allow and continue to OwnerRez" }
            @if full { button.second type="submit" name="decision" value="read" { "Allow reading only" } }
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

fn place(place: &RedirectPlace) -> Markup {
    html! {
        @match place {
            RedirectPlace::Web { host } => p { "Afterwards you are sent to " strong { (host) } "." },
            RedirectPlace::Loopback => {
                p { "Afterwards you are sent to " strong { "a program on this computer" } "." }
                p.problem {
                    "Any program on this computer can pretend to be this app. If you have not just started this from a \
                     program here, cancel."
                }
            }
            RedirectPlace::App { scheme } => {
                p { "Afterwards you are sent to the app that opens " code { (scheme) ":" } " links on this computer." }
                p.problem {
                    "Any program on this computer can pretend to be this app. If you have not just started this from a \
                     program here, cancel."
                }
            }
        }
    }
}

/// The content of the page about other access, and its form.
pub(crate) struct Others<'a> {
    pub(crate) action: &'a str,
    pub(crate) state: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) paused: &'a Paused,
    pub(crate) others: &'a [Reaching],
    pub(crate) form_targets: &'a [String],
}

/// Returns the page that lists other access to the account, each with a button that revokes it.
pub(crate) fn others(page_of: &Others<'_>) -> HttpResponse {
    let Paused { request, user, account } = page_of.paused;
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
        p { "You have signed in with the OwnerRez account number " strong { (account) } "." }
        @if !page_of.others.is_empty() {
            p { "This account can be reached here by others as well. End whatever you do not know." }
        }
        @for reaching in page_of.others {
            @if reaching.user == *user {
                @for grant in &reaching.grants {
                    h2 { (chosen_name(&grant.client_name)) }
                    p { (grant_line(grant)) }
                    (ending("grant", grant.id.to_string(), "End this app's access"))
                }
                @for key in &reaching.keys {
                    h2 { "API key " code { (key.beginning()) "…" } }
                    p { (key_line(key)) }
                    (ending("key", key.id.to_string(), "Delete this key"))
                }
            } @else {
                h2 { "Somebody who connected this account separately" }
                ul {
                    @for key in &reaching.keys {
                        li { "API key " code { (key.beginning()) "…" } ": " (key_line(key)) }
                    }
                    @for grant in &reaching.grants { li { (chosen_name(&grant.client_name)) ": " (grant_line(grant)) } }
                }
                p { "If you did not set this up yourself, end it: nothing of the above reaches the account then." }
                (ending("user", reaching.user.to_string(), "End this connection"))
            }
        }
        form method="post" action=(page_of.action) {
            (fields(page_of))
            button type="submit" { "Continue to " (chosen_name(&request.client_name)) }
        }
        (attach_form(page_of.action, &[("state", page_of.state), ("csrf", page_of.csrf)]))
    };
    page(StatusCode::OK, page_of.form_targets, "Who else reaches this account", &body)
}

fn fields(page_of: &Others<'_>) -> Markup {
    html! {
        input type="hidden" name="state" value=(page_of.state);
        input type="hidden" name="csrf" value=(page_of.csrf);
    }
}

pub(super) fn key_line(key: &StoredKey) -> Markup {
    let used = key.last_used_at.map_or("never used".to_owned(), |at| format!("last used on {}", day(at)));
    html! {
        @if let Some(name) = &key.name { (chosen_name(name)) ", " }
        (may(key.scope)) ", made on " (day(key.created_at)) ", " (used) "."
    }
}

pub(super) fn grant_line(grant: &StoredGrant) -> String {
    let used = grant.last_used_at.map_or("never used".to_owned(), |at| format!("last used on {}", day(at)));
    format!("An app that you signed in to on {}, {used}.", day(grant.created_at))
}

pub(super) fn may(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "may read",
        Scope::Full => "may read and change",
    }
}

pub(super) fn day(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}
