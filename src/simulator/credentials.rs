//! The kind of the credentials of a request.

use serde::Serialize;

/// The credentials of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// No `Authorization` header.
    None,
    /// `Bearer`.
    Bearer,
    /// `Basic` with a personal access token.
    PersonalAccessToken,
    /// `Basic` with anything else: the client of the token endpoint.
    Client,
    /// Another scheme, or malformed.
    Other,
}
