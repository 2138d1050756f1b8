//! The entries of the request log.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::credentials::Credentials;

/// An entry of the request log.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// HTTP method.
    pub method: String,
    /// Path without query; a token in it is masked.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// `User-Agent`, if any.
    pub user_agent: Option<String>,
    /// Kind of the `Authorization` header; its value is not stored.
    pub credentials: Credentials,
    /// The account of the credentials, code or refresh token, even if they are no longer valid.
    pub account: Option<i64>,
    /// JSON body, or the fields of a form with codes and tokens masked.
    pub body: Option<Value>,
    /// Status of the response; `None` while there is no response, and if the connection was closed without one.
    pub status: Option<u16>,
    /// Time of arrival, by the simulator's clock.
    pub at: DateTime<Utc>,
}
