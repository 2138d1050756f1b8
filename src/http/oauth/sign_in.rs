//! The end of a sign-in: the browser returns from OwnerRez with a code. If other users or clients have access to the
//! account, the user reviews it (`review`); then the browser is redirected to the client.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use secrecy::ExposeSecret;

use super::{
    account,
    error_pages::internal_error,
    operator_contact::operator_contact,
    paths::AUTHORIZE_PATH,
    redirects::{error_page_with_redirect, redirect_error},
    review::finish_or_review,
    sign_in_browser::{other_browser, without_cookie},
    sign_in_failure::SignInFailure,
};
use crate::{
    domain::{RedirectDestination, error_chain},
    http::{
        browser::cookies::SIGN_IN_COOKIES,
        callback_query::CallbackQuery,
        connecting::connect_queue::{QueueOutcome, ReturnedBrowser, request_turn},
        error::ApiError,
        pages,
        state::HttpState,
    },
    oauth::{AuthorizationServer, OAuthError, PendingReview, Redirection, SignInPurpose},
    session::{ConnectError, SignedIn},
    store::{CallbackState, FirstReturn},
    upstream::TokenError,
};

/// Handles OwnerRez's response to a sign-in. The callback is shared with connecting an account.
pub(in crate::http) async fn finish_callback(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    query: CallbackQuery,
) -> HttpResponse {
    let flow = query.state.clone();
    let Some(browser) = SIGN_IN_COOKIES.get(state, request, &flow) else { return other_browser(state) };
    let returning = match server.pending(&query.state, &browser).await {
        Ok(Some(returning)) => returning,
        // The cookies are kept: any page can send a browser here while sign-ins of this browser are under way.
        Ok(None) => return other_browser(state),
        Err(error) => return internal_error(error),
    };
    let admitted = if query.error.is_some() || query.code.expose_secret().is_empty() {
        // The error text is not repeated: it may come from anyone.
        Err(SignInFailure::Denied)
    } else {
        match request_turn(state, request, &returned_browser(&query, &browser, &returning)).await {
            QueueOutcome::Admitted(admitted) => Ok(admitted),
            QueueOutcome::Wait(page, first) => {
                return waiting_page(state, server, request, (&query.state, &browser), page, first).await;
            }
            QueueOutcome::CodeExpired => Err(SignInFailure::CodeExpired),
            QueueOutcome::InvalidCode => Err(SignInFailure::Failed(TokenError::InvalidGrant.into())),
        }
    };
    // The state is consumed only now: until its turn, the browser may call again.
    let asked = match server.take_pending(&query.state, &browser).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return other_browser(state),
        Err(error) => return internal_error(error),
    };
    let signed_in = match admitted {
        Ok(admitted) => server.sign_in(query.code, admitted).await.map_err(SignInFailure::Failed),
        Err(failure) => Err(failure),
    };
    let asked = match asked {
        SignInPurpose::Client(asked) => asked,
        SignInPurpose::Account => {
            let page = account::finish_sign_in(state, server, request, signed_in).await;
            return without_cookie(state, &flow, page);
        }
    };
    let to = asked.redirection();
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(SignInFailure::Denied) => {
            let denied = OAuthError::AccessDenied("OwnerRez did not grant the access".to_owned());
            return without_cookie(state, &flow, redirect_error(server, &to, &denied));
        }
        Err(SignInFailure::CodeExpired) => {
            let again = state.settings.url(&format!("{AUTHORIZE_PATH}?{}", asked.query()));
            return without_cookie(state, &flow, pages::waiting::code_expired(Some(&again)));
        }
        Err(SignInFailure::Failed(error)) => {
            let response = not_signed_in(state, server, &to, error);
            return without_cookie(state, &flow, response);
        }
    };
    let SignedIn { user, account, new } = signed_in;
    log::info!("user {user} signed in with OwnerRez{}", if new { " for the first time" } else { "" });
    match finish_or_review(state, server, request, PendingReview { request: asked, user, account }, &browser).await {
        Ok(response) => without_cookie(state, &flow, response),
        Err(error) => without_cookie(state, &flow, redirect_error(server, &to, &error.into())),
    }
}

fn returned_browser<'a>(
    query: &'a CallbackQuery,
    browser: &'a str,
    returning: &CallbackState<SignInPurpose>,
) -> ReturnedBrowser<'a> {
    ReturnedBrowser {
        bound: (&query.state, browser),
        code: &query.code,
        user: None,
        returned_at: returning.returned_at,
        expires_at: returning.expires_at,
    }
}

/// Returns the page for a browser that waits for its turn, and extends its sign-in and its cookie.
async fn waiting_page(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    (secret, browser): (&str, &str),
    mut page: HttpResponse,
    first: Option<FirstReturn>,
) -> HttpResponse {
    if let Some(first) = first
        && let Err(error) = server.extend_pending(secret, browser, first).await
    {
        return internal_error(error);
    }
    SIGN_IN_COOKIES.set(state, request, &mut page, secret, browser.to_owned());
    page
}

/// The error is sent to the client, which waits for an answer. If the user is not admitted, a page shows the reason,
/// because few clients show it.
fn not_signed_in(
    state: &HttpState,
    server: &AuthorizationServer,
    to: &Redirection,
    error: ConnectError,
) -> HttpResponse {
    let refused = matches!(error, ConnectError::Disabled | ConnectError::NewUser(_));
    let fault = matches!(&error, ConnectError::Crypto(_));
    let error = ApiError::from(error);
    let body = error.error_body();
    if refused {
        let denied = OAuthError::AccessDenied(body.message);
        let next =
            format!("Ask {} to allow this account. Your app may be waiting for the response:", operator_contact(state));
        return match RedirectDestination::of(&to.redirect_uri) {
            Some(place) => error_page_with_redirect(server, (to, &place), StatusCode::FORBIDDEN, &next, &denied),
            None => redirect_error(server, to, &denied),
        };
    }
    if fault {
        return redirect_error(server, to, &OAuthError::Server { cause: error_chain(&error) });
    }
    let cause = body.status.is_server_error().then(|| error_chain(&error));
    let retry_after = body.retry_after.unwrap_or_else(|| chrono::TimeDelta::seconds(60));
    redirect_error(server, to, &OAuthError::Unavailable { message: body.message, retry_after, cause })
}
