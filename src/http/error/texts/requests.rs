//! The texts of requests that no endpoint accepts.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use crate::{
    domain::ErrorCode,
    http::error::{body::ErrorBody, moved::Moved},
    tools::{NameKind, UnknownName},
};

pub(super) fn not_found() -> ErrorBody {
    ErrorBody::new(
        StatusCode::NOT_FOUND,
        ErrorCode::NotFound,
        "This path does not exist.",
        "MCP clients use POST /mcp; the REST endpoints are listed in the README.",
    )
}

pub(super) fn method_not_allowed(allow: &str) -> ErrorBody {
    ErrorBody::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::MethodNotAllowed,
        "Method not allowed for this path.",
        format!("Allowed: {allow}."),
    )
}

pub(super) fn bad_request(what: &str) -> ErrorBody {
    ErrorBody::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, what, "Correct the request and send it again.")
}

pub(super) fn unknown_name(unknown: &UnknownName) -> ErrorBody {
    ErrorBody::new(
        StatusCode::BAD_REQUEST,
        match unknown.kind {
            NameKind::Toolset => ErrorCode::UnknownToolset,
            NameKind::Tool => ErrorCode::UnknownTool,
        },
        unknown.to_string(),
        "Correct the name in the URL, the headers or the body; names are separated by commas.",
    )
}

pub(super) fn not_acceptable() -> ErrorBody {
    ErrorBody::new(
        StatusCode::NOT_ACCEPTABLE,
        ErrorCode::NotAcceptable,
        "The Accept header excludes both media types of this endpoint.",
        "Send `Accept: application/json, text/event-stream`, or omit the header.",
    )
}

pub(super) fn starting() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Starting,
        "The gateway is starting.",
        "Try again in a few seconds. Operators: GET /ready shows what the gateway is waiting for.",
    )
    .with_retry_after(TimeDelta::seconds(5))
}

pub(super) fn moved(moved: &Moved) -> ErrorBody {
    match moved {
        Moved::Callback(redirect_uri) => ErrorBody::new(
            StatusCode::GONE,
            ErrorCode::Moved,
            "This URL is no longer the redirect URI of this gateway, so nothing was connected.",
            format!(
                "Operators: register the redirect URI {redirect_uri} with your OAuth app in OwnerRez. Then ask the \
                 gateway for a new connect link: GET /api/connect/ownerrez/start."
            ),
        ),
        Moved::Transport(mcp_url) => ErrorBody::new(
            StatusCode::GONE,
            ErrorCode::Moved,
            "This gateway no longer supports the SSE transport.",
            format!("Point your MCP client at {mcp_url} (Streamable HTTP) with the same API key."),
        ),
    }
}
