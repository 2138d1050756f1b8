//! The gateway's own authorization server (OAuth 2.1): clients, authorization requests, grants and tokens. Users sign
//! in with OwnerRez. This module contains the rules only; `http` has the pages and endpoints.

mod access;
mod access_token;
mod account;
mod authorization_server;
pub mod clients;
mod error;
mod flow;
mod oauth_settings;
mod pkce;
mod refresh_token;
mod request;
mod resource;
mod scopes;
mod server_error;
mod token;

pub use access::{AccessError, AccessTokenValidator};
pub use account::SESSION_LIFETIME;
pub use authorization_server::{AuthorizationServer, ServerDeps};
pub use error::{AuthorizeError, OAuthError, Redirection};
pub use flow::{PendingReview, SignInPurpose, UpstreamRedirect};
pub use oauth_settings::OAuthSettings;
pub use request::{AuthorizationRequest, Place};
pub use resource::{RESOURCE_PATH, Resource};
pub use scopes::{RESOURCE_SCOPES, SCOPES, Scopes};
pub use server_error::ServerError;
pub use token::{Revocation, TokenForm, Tokens};
