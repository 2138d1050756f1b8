//! Metadata for clients: the authorization server of `/mcp` (RFC 9728), and the server's endpoints (RFC 8414).

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};

use super::paths::{AUTHORIZE_PATH, REGISTER_PATH, RESOURCE_METADATA_PATH, REVOKE_PATH, TOKEN_PATH};
use crate::{
    http::error::ApiError,
    oauth::{AuthorizationServer, RESOURCE_PATH, RESOURCE_SCOPES, SCOPES},
};

/// `GET /.well-known/oauth-protected-resource`, also with `/mcp` or a path below it appended.
pub(super) async fn resource(
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let settings = server.settings();
    let path = match request.path().strip_prefix(RESOURCE_METADATA_PATH) {
        None | Some("") => RESOURCE_PATH,
        Some(path) => path,
    };
    let resource = settings.resource(&settings.url(path)).ok_or(ApiError::NotFound)?;
    Ok(cached(&json!({
        "resource": resource.url,
        "resource_name": "OwnerRez MCP gateway",
        "authorization_servers": [settings.issuer],
        "scopes_supported": RESOURCE_SCOPES,
        "bearer_methods_supported": ["header"],
    })))
}

/// `GET /.well-known/oauth-authorization-server`
pub(super) async fn server(server: web::Data<AuthorizationServer>) -> HttpResponse {
    let settings = server.settings();
    cached(&json!({
        "issuer": settings.issuer,
        "authorization_endpoint": settings.url(AUTHORIZE_PATH),
        "token_endpoint": settings.url(TOKEN_PATH),
        "registration_endpoint": settings.url(REGISTER_PATH),
        "revocation_endpoint": settings.url(REVOKE_PATH),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
        "revocation_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
        "client_id_metadata_document_supported": server.clients().accepts_documents(),
        "authorization_response_iss_parameter_supported": true,
    }))
}

fn cached(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(body)
}
