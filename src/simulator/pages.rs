//! The pages for users: plain HTML that works without scripts, with a keyboard and with a screen reader.

use maud::{DOCTYPE, Markup, html};

use super::{authorization_request::AuthorizationRequest, demo_account::DemoAccount};

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 34rem; padding: 0 1rem; }
fieldset { border: 1px solid; border-radius: .5rem; margin: 1rem 0; }
label { display: block; padding: .5rem; }
button { font: inherit; min-height: 2.75rem; padding: 0 1.25rem; margin-right: .5rem; }
";

fn page(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                main { (content) }
                footer { p { small { "Simulated OwnerRez: every account and record here is invented." } } }
            }
        }
    }
    .into_string()
}

/// Renders the page that asks which account the application may use.
pub(super) fn approval(request: &AuthorizationRequest, accounts: &[DemoAccount], read_only: bool) -> String {
    let content = html! {
        h1 { "Allow access to your account?" }
        p {
            "The application " strong { (request.client_id) } " asks to "
            @if read_only { "read" } @else { "read and change" }
            " the data of one account."
        }
        form method="post" action="/oauth/authorize" {
            input type="hidden" name="client_id" value=(request.client_id);
            input type="hidden" name="redirect_uri" value=(request.redirect_uri);
            input type="hidden" name="response_type" value="code";
            @if let Some(state) = &request.state {
                input type="hidden" name="state" value=(state);
            }
            fieldset {
                legend { "Account" }
                @for (index, account) in accounts.iter().enumerate() {
                    label {
                        input type="radio" name="account" value=(account.id) checked[index == 0] required;
                        " " (account.name) " (" (account.email) ")"
                    }
                }
            }
            button type="submit" name="decision" value="approve" { "Approve" }
            button type="submit" name="decision" value="deny" { "Deny" }
        }
    };
    page("Allow access", &content)
}

/// Renders an error in an authorization request that must not be redirected.
pub(super) fn problem(message: &str) -> String {
    page("Authorization failed", &html! { h1 { "Authorization failed" } p role="alert" { (message) } })
}
