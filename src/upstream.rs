//! OwnerRez over HTTP: sends requests, exchanges codes, refreshes and revokes tokens, and classifies responses. It does
//! not know users, rows or the allowance; `session` brings those together.
//!
//! Every request has the User-Agent `ownerrez-gateway/VERSION (CLIENT_ID)`. Without one, OwnerRez answers 401
//! `user_agent_required`, also to token and revocation requests (article "API authentication").

mod challenge;
mod http_client;
mod ownerrez_client;
mod reply;
mod request_metrics;
mod retry_after;
mod tokens;
mod transport_error;
mod upstream_settings;

pub use ownerrez_client::Upstream;
pub use reply::{Reply, UpstreamError, UpstreamErrorClass, UpstreamErrorKind};
pub use tokens::{TokenError, TokenResponse};
pub use transport_error::TransportError;
pub use upstream_settings::{ClientCredentials, UpstreamSettings};
