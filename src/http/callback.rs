//! The OAuth callback: OwnerRez redirects the browser here with a code or an error, for a connect link or a sign-in.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{callback_query::CallbackQuery, connecting::connect_callback, oauth, state::HttpState};
use crate::oauth::AuthorizationServer;

/// The path to which OwnerRez redirects the browser.
pub(crate) const CALLBACK_PATH: &str = "/api/connect/ownerrez/callback";

/// `GET /api/connect/ownerrez/callback`: OwnerRez redirects the browser here with a code or an error.
pub(crate) async fn callback(
    state: web::Data<HttpState>,
    request: HttpRequest,
    query: web::Query<CallbackQuery>,
) -> HttpResponse {
    let query = query.into_inner();
    if let Some(server) = &state.oauth
        && AuthorizationServer::is_sign_in(&query.state)
    {
        return oauth::finish_callback(&state, server, &request, query).await;
    }
    connect_callback::finish_callback(&state, &request, query).await
}
