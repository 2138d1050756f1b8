//! Addresses of the TypeScript server that this gateway replaces and that lead nowhere any more: each says what to use
//! instead, to a browser as a page and to a program as JSON.

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::{
    HttpState,
    error::{ApiError, Moved},
    pages,
};

/// `GET /oauth/callback`: OwnerRez still sends browsers here while its OAuth app holds the old redirect URI. What it
/// sends along is not looked at.
pub(crate) async fn callback(state: web::Data<HttpState>, request: HttpRequest) -> HttpResponse {
    tell(&request, &ApiError::Moved(Moved::Callback(state.settings.redirect_uri.to_string())))
}

/// `/sse` and `/message`, the transport that MCP has given up.
pub(crate) async fn transport(state: web::Data<HttpState>, request: HttpRequest) -> HttpResponse {
    tell(&request, &ApiError::Moved(Moved::Transport(state.settings.url("/mcp"))))
}

fn tell(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") { pages::error(error) } else { actix_web::ResponseError::error_response(error) }
}
