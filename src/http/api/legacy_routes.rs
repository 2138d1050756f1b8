//! Endpoints of the TypeScript server that no longer exist. Each answers what to use instead, to a browser as a page
//! and to a program as JSON.

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use crate::http::{
    error::{ApiError, Moved},
    pages,
    state::HttpState,
};

/// `GET /oauth/callback`: OwnerRez still redirects browsers here while its OAuth app has the old redirect URI. The
/// query is ignored.
pub(crate) async fn callback(state: web::Data<HttpState>, request: HttpRequest) -> HttpResponse {
    respond(&request, &ApiError::Moved(Moved::Callback(state.settings.redirect_uri.to_string())))
}

/// `/sse` and `/message`: the transport that MCP has removed.
pub(crate) async fn transport(state: web::Data<HttpState>, request: HttpRequest) -> HttpResponse {
    respond(&request, &ApiError::Moved(Moved::Transport(state.settings.url("/mcp"))))
}

fn respond(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") { pages::error(error) } else { actix_web::ResponseError::error_response(error) }
}
