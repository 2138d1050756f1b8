//! The HTTP endpoints of the authorization server: metadata, the pages of sign-in and account, the token endpoint,
//! registration, revocation.

pub(super) mod account;
mod authorize;
mod metadata;
pub(super) mod sign_in;
mod token;
mod transfer_key;

use actix_web::{
    HttpResponse, Resource,
    error::UrlencodedError,
    http::{StatusCode, header},
    middleware::DefaultHeaders,
    web,
};
use chrono::TimeDelta;
use serde_json::json;

use super::{
    cors,
    error::ErrorLogInfo,
    pages::{self, sign_in as sign_in_pages},
    resource::resource_at,
    state::{HttpState, SMALL_BODY},
};
use crate::{
    domain::{ErrorCode, RedirectDestination},
    oauth::{AuthorizationRequest, AuthorizationServer, OAuthError, Redirection},
    tools::ACCOUNT_PATH,
};

const AUTHORIZE_PATH: &str = "/authorize";
const CONTINUE_PATH: &str = "/authorize/continue";
const DELETE_PATH: &str = "/account/delete";
/// The path of the protected resource metadata (RFC 9728); the path of the resource follows.
pub(super) const RESOURCE_METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
const SERVER_METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
const TOKEN_PATH: &str = "/token";
const REGISTER_PATH: &str = "/register";
const REVOKE_PATH: &str = "/revoke";

/// Pages with forms that are submitted to the same path.
pub(super) const PAGES: [&str; 3] = [AUTHORIZE_PATH, CONTINUE_PATH, ACCOUNT_PATH];

/// Returns whether clients in a browser may call this path from any origin.
pub(super) fn allows_any_origin(path: &str) -> bool {
    matches!(path, TOKEN_PATH | REGISTER_PATH | REVOKE_PATH | SERVER_METADATA_PATH)
        || path.starts_with(RESOURCE_METADATA_PATH)
}

/// Adds the routes.
pub(super) fn routes(
    config: &mut web::ServiceConfig,
    server: AuthorizationServer,
    page_form: web::FormConfig,
    page_query: web::QueryConfig,
) {
    let token_form = web::FormConfig::default().limit(SMALL_BODY).error_handler(|error, _| {
        let refusal = oauth_error(&OAuthError::InvalidRequest(match error {
            UrlencodedError::Overflow { .. } => "the body is too large",
            UrlencodedError::ContentType => "the Content-Type must be application/x-www-form-urlencoded",
            _ => "the body must be a form with each parameter at most once",
        }));
        actix_web::error::InternalError::from_response(error, refusal).into()
    });
    config
        .app_data(web::Data::new(server))
        .service(
            resource_at(AUTHORIZE_PATH, "GET, POST")
                .app_data(page_form.clone())
                .route(web::get().to(authorize::authorize_get))
                .route(web::post().to(authorize::authorize_post)),
        )
        .service(
            resource_at(ACCOUNT_PATH, "GET, POST")
                .app_data(page_form.clone())
                .route(web::get().to(account::show))
                .route(web::post().to(account::submit)),
        )
        .service(resource_at(DELETE_PATH, "GET").route(web::get().to(account::confirm_delete)))
        .service(
            resource_at(CONTINUE_PATH, "GET, POST")
                .app_data(page_form)
                .app_data(page_query)
                .route(web::get().to(sign_in::show_review))
                .route(web::post().to(sign_in::submit_review)),
        );
    let form = token_form.clone();
    with_cors(config, TOKEN_PATH, "POST", |resource| resource.app_data(form).route(web::post().to(token::token)));
    with_cors(config, REVOKE_PATH, "POST", |resource| {
        resource.app_data(token_form).route(web::post().to(token::revoke))
    });
    with_cors(config, REGISTER_PATH, "POST", |resource| resource.route(web::post().to(token::register)));
    with_cors(config, SERVER_METADATA_PATH, "GET", |resource| resource.route(web::get().to(metadata::server)));
    for path in ["", "/mcp", "/mcp/{below:.*}"] {
        let path = format!("{RESOURCE_METADATA_PATH}{path}");
        with_cors(config, &path, "GET", |resource| resource.route(web::get().to(metadata::resource)));
    }
}

/// Adds a resource that pages of every origin may call (the CORS protocol of the Fetch standard). Cookies are not
/// allowed: there is no `Access-Control-Allow-Credentials`.
fn with_cors(
    config: &mut web::ServiceConfig,
    path: &str,
    allow: &'static str,
    routes: impl FnOnce(Resource) -> Resource,
) {
    let headers = DefaultHeaders::new()
        .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .add((header::ACCESS_CONTROL_ALLOW_METHODS, allow))
        .add((header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Authorization, MCP-Protocol-Version"))
        .add((header::ACCESS_CONTROL_EXPOSE_HEADERS, cors::EXPOSED))
        .add((header::ACCESS_CONTROL_MAX_AGE, "86400"));
    config.service(routes(resource_at(path, allow)).wrap(headers));
}

/// Returns an error as JSON (RFC 6749 section 5.2).
fn oauth_error(error: &OAuthError) -> HttpResponse {
    let (status, retry_after) = match error {
        OAuthError::InvalidClient(_) => (StatusCode::UNAUTHORIZED, None),
        OAuthError::Unavailable { retry_after, .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
        OAuthError::Server { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
        _ => (StatusCode::BAD_REQUEST, None),
    };
    json_error(status, error.code(), &error.description(), retry_after, error.cause())
}

fn json_error(
    status: StatusCode,
    code: ErrorCode,
    description: &str,
    retry_after: Option<TimeDelta>,
    cause: Option<String>,
) -> HttpResponse {
    let mut response = no_store(status);
    if let Some(wait) = retry_after {
        response.insert_header((header::RETRY_AFTER, wait.num_seconds().max(1).to_string()));
    }
    response.extensions_mut().insert(ErrorLogInfo { code, cause });
    response.json(json!({"error": code, "error_description": description}))
}

fn no_store(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    response
}

/// Redirects the browser to the client with an error.
fn redirect_error(server: &AuthorizationServer, to: &Redirection, error: &OAuthError) -> HttpResponse {
    with_log_info(error, error_redirect_url(server, to, error).map(|url| see_other(&url, &[])))
}

/// Shows an error, and lets the user decide whether it is sent to the client.
fn error_page_with_redirect(
    server: &AuthorizationServer,
    (to, place): (&Redirection, &RedirectDestination),
    status: StatusCode,
    next: &str,
    error: &OAuthError,
) -> HttpResponse {
    let what = sign_in_pages::sentence(&error.to_string());
    let page = |url: String| sign_in_pages::error_with_redirect(status, &what, next, place, &url);
    with_log_info(error, error_redirect_url(server, to, error).map(page))
}

fn error_redirect_url(server: &AuthorizationServer, to: &Redirection, error: &OAuthError) -> Option<String> {
    let description = error.description();
    to.url(&[("error", error.code().as_str()), ("error_description", &description)], &server.settings().issuer)
}

fn with_log_info(error: &OAuthError, response: Option<HttpResponse>) -> HttpResponse {
    let mut response = response.unwrap_or_else(|| oauth_error(error));
    response.extensions_mut().insert(ErrorLogInfo { code: error.code(), cause: error.cause() });
    response
}

fn see_other(url: &str, form_targets: &[String]) -> HttpResponse {
    pages::response_with_security_headers(StatusCode::SEE_OTHER, form_targets)
        .insert_header((header::LOCATION, url))
        .finish()
}

/// Returns the operator's contact as pages show it.
fn operator_contact(state: &HttpState) -> String {
    pages::operator(state.settings.contact.as_deref())
}

/// Returns the operator's contact if the gateway accepts no new users.
fn closed_registration_contact(state: &HttpState, server: &AuthorizationServer) -> Option<String> {
    (!server.settings().allows_new_users).then(|| operator_contact(state))
}

/// Returns the redirect targets of the gateway's forms: OwnerRez and the client.
fn form_targets(state: &HttpState, request: &AuthorizationRequest) -> Vec<String> {
    let client = url::Url::parse(&request.redirect_uri).ok().map(|url| match url.scheme() {
        "https" | "http" => super::connect::origin(&url),
        scheme => format!("{scheme}:"),
    });
    std::iter::once(super::connect::origin(&state.settings.app_url)).chain(client).collect()
}
