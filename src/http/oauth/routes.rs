//! The routes of the authorization server.

use actix_web::{Resource, error::UrlencodedError, http::header, middleware::DefaultHeaders, web};

use super::{
    account, authorize, metadata,
    paths::{
        AUTHORIZE_PATH, CONTINUE_PATH, DELETE_PATH, REGISTER_PATH, RESOURCE_METADATA_PATHS, REVOKE_PATH,
        SERVER_METADATA_PATH, TOKEN_PATH,
    },
    responses::oauth_error,
    review, token,
};
use crate::{
    http::{middleware::cors, resource::resource_at, state::SMALL_BODY},
    oauth::{AuthorizationServer, OAuthError},
    tools::ACCOUNT_PATH,
};

/// Adds the routes.
pub(in crate::http) fn routes(
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
                .route(web::get().to(review::show_review))
                .route(web::post().to(review::submit_review)),
        );
    let form = token_form.clone();
    with_cors(config, TOKEN_PATH, "POST", |resource| resource.app_data(form).route(web::post().to(token::token)));
    with_cors(config, REVOKE_PATH, "POST", |resource| {
        resource.app_data(token_form).route(web::post().to(token::revoke))
    });
    with_cors(config, REGISTER_PATH, "POST", |resource| resource.route(web::post().to(token::register)));
    with_cors(config, SERVER_METADATA_PATH, "GET", |resource| resource.route(web::get().to(metadata::server)));
    for path in RESOURCE_METADATA_PATHS {
        with_cors(config, path, "GET", |resource| resource.route(web::get().to(metadata::resource)));
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
