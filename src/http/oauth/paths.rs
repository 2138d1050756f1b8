//! The paths of the endpoints and pages of the authorization server.

use crate::tools::ACCOUNT_PATH;

pub(super) const AUTHORIZE_PATH: &str = "/authorize";
pub(super) const CONTINUE_PATH: &str = "/authorize/continue";
pub(super) const DELETE_PATH: &str = "/account/delete";
/// The path of the protected resource metadata (RFC 9728); the path of the resource follows.
pub(in crate::http) const RESOURCE_METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// The metadata of `/mcp`, also with its path or one below it appended.
pub(super) const RESOURCE_METADATA_PATHS: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/mcp/{below:.*}",
];
pub(super) const SERVER_METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
pub(super) const TOKEN_PATH: &str = "/token";
pub(super) const REGISTER_PATH: &str = "/register";
pub(super) const REVOKE_PATH: &str = "/revoke";

/// Pages with forms that are submitted to the same path.
pub(in crate::http) const PAGES: [&str; 3] = [AUTHORIZE_PATH, CONTINUE_PATH, ACCOUNT_PATH];

/// Returns whether clients in a browser may call this path from any origin.
pub(in crate::http) fn allows_any_origin(path: &str) -> bool {
    matches!(path, TOKEN_PATH | REGISTER_PATH | REVOKE_PATH | SERVER_METADATA_PATH)
        || path.starts_with(RESOURCE_METADATA_PATH)
}
