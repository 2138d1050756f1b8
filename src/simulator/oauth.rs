//! OAuth: the page where an account approves or denies, the token endpoint, and revocation.

use std::collections::BTreeMap;

use serde_json::json;
use url::Url;

use super::{
    api::require_user_agent,
    authorization_request::AuthorizationRequest,
    call::Call,
    pages,
    reply::{Code, Reply},
    state::Shared,
};
use crate::domain::{AccountId, Clock};

/// Answers a request below `/oauth/`.
pub(super) fn answer(shared: &Shared, call: &Call) -> Reply {
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/oauth/authorize") => ask(shared, call),
        ("POST", "/oauth/authorize") => decide(shared, call),
        ("POST", "/oauth/access_token" | "/oauth/token") => tokens(shared, call).unwrap_or_else(|refusal| refusal),
        ("DELETE", _) if call.token_in_path().is_some() => revoke(shared, call).unwrap_or_else(|refusal| refusal),
        _ => Reply::error(Code::NotFound, &["The resource was not found.".to_owned()]),
    }
}

fn ask(shared: &Shared, call: &Call) -> Reply {
    match AuthorizationRequest::read(shared, |name| call.query_value(name).map(str::to_owned)) {
        Err(problem) => Reply::html(400, pages::problem(problem)),
        Ok(request) if request.response_type != "code" => redirect(
            &request,
            &[("error", "unsupported_response_type"), ("error_description", "Only response_type=code is supported.")],
        ),
        Ok(request) => {
            let state = shared.lock();
            let accounts: Vec<_> = state.accounts.iter().take(3).map(|account| account.demo.clone()).collect();
            Reply::html(200, pages::approval(&request, &accounts, state.switches.read_only))
        }
    }
}

/// Returns the redirect of the browser to the application, with an answer.
fn redirect(request: &AuthorizationRequest, answer: &[(&str, &str)]) -> Reply {
    let Ok(mut url) = Url::parse(&request.redirect_uri) else {
        return Reply::html(400, pages::problem("The redirect_uri cannot be read."));
    };
    url.query_pairs_mut().extend_pairs(answer).extend_pairs(request.state.as_ref().map(|state| ("state", state)));
    Reply::redirect(url.as_str())
}

fn decide(shared: &Shared, call: &Call) -> Reply {
    let form = call.form();
    let request = match AuthorizationRequest::read(shared, |name| form.get(name).cloned()) {
        Ok(request) => request,
        Err(problem) => return Reply::html(400, pages::problem(problem)),
    };
    if form.get("decision").map(String::as_str) != Some("approve") {
        let description = "The user denied the application access.";
        return redirect(&request, &[("error", "access_denied"), ("error_description", description)]);
    }
    let account = form.get("account").and_then(|id| id.parse().ok()).map(AccountId);
    let mut state = shared.lock();
    match account.filter(|id| state.account(*id).is_some()) {
        Some(account) => {
            let code = state.tokens.issue_code(account, &request.redirect_uri, shared.clock.now());
            redirect(&request, &[("code", &code)])
        }
        None => Reply::html(400, pages::problem("Choose one of the accounts.")),
    }
}

/// Returns an error response (RFC 6749 section 5.2).
fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": description})).with("cache-control", "no-store")
}

fn require_client(shared: &Shared, call: &Call) -> Result<(), Reply> {
    require_user_agent(call, &shared.lock())?;
    match call.basic() {
        Some((id, secret)) if shared.is_client(&id, &secret) => Ok(()),
        _ => Err(oauth_error(401, "invalid_client", "Client authentication failed.")
            .with("www-authenticate", "Basic realm=\"oauth\"")),
    }
}

fn tokens(shared: &Shared, call: &Call) -> Result<Reply, Reply> {
    require_client(shared, call)?;
    if !call.is_form() {
        return Err(oauth_error(400, "invalid_request", "The body must be application/x-www-form-urlencoded."));
    }
    let form = call.form();
    let body = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => exchange(shared, &form)?,
        Some("refresh_token") => refresh(shared, &form)?,
        Some(_) => return Err(oauth_error(400, "unsupported_grant_type", "This grant_type is not supported.")),
        None => return Err(oauth_error(400, "invalid_request", "The grant_type is missing.")),
    };
    Ok(Reply::json(200, &body).with("cache-control", "no-store"))
}

fn exchange(shared: &Shared, form: &BTreeMap<String, String>) -> Result<serde_json::Value, Reply> {
    let code = form.get("code").ok_or_else(|| oauth_error(400, "invalid_request", "The code is missing."))?;
    let redirect_uri = form.get("redirect_uri").map(String::as_str);
    let now = shared.clock.now();
    let mut state = shared.lock();
    let redeemed = state.tokens.redeem(code, redirect_uri, now);
    let account = redeemed.map_err(|reason| oauth_error(400, "invalid_grant", reason))?;
    state.grant(account, now).ok_or_else(|| oauth_error(400, "invalid_grant", "The account is gone."))
}

fn refresh(shared: &Shared, form: &BTreeMap<String, String>) -> Result<serde_json::Value, Reply> {
    let token = form.get("refresh_token");
    let token = token.ok_or_else(|| oauth_error(400, "invalid_request", "The refresh_token is missing."))?;
    let mut state = shared.lock();
    let policy = state.policy();
    let renewed = state.tokens.renew(token, policy, shared.clock.now());
    let (account, reply) =
        renewed.ok_or_else(|| oauth_error(400, "invalid_grant", "The refresh token is not valid."))?;
    Ok(state.signed(account, reply))
}

fn revoke(shared: &Shared, call: &Call) -> Result<Reply, Reply> {
    require_client(shared, call)?;
    let revoked = call.token_in_path().is_some_and(|token| shared.lock().tokens.revoke(token));
    if revoked {
        Ok(Reply::json(200, &json!({})))
    } else {
        Err(Reply::error(Code::NotFound, &["The token was not found.".to_owned()]))
    }
}
