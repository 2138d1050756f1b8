//! The texts of requests from a place that is not allowed.

use actix_web::http::StatusCode;

use crate::{
    domain::ErrorCode,
    http::{error::body::ErrorBody, extract::indirect::Indirect},
};

pub(super) fn host_not_allowed() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::HostNotAllowed,
        "The host in the Host header is not allowed on this gateway.",
        "Use the address that the operator published. Operators: add the host to ALLOWED_HOSTS or set \
         SERVER_URL.",
    )
}

pub(super) fn origin_not_allowed() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::OriginNotAllowed,
        "Requests from pages of this origin are not allowed.",
        "Operators: add the origin to ALLOWED_ORIGINS if you trust its pages.",
    )
}

pub(super) fn not_direct(why: &Indirect) -> ErrorBody {
    let reason = match why {
        Indirect::Peer => "This request comes from another machine.".to_owned(),
        Indirect::Header(name) => format!("This request has the header `{name}`, which proxies or browsers add."),
        Indirect::Host => "The `Host` of this request is not a name of this machine.".to_owned(),
        Indirect::Version => "This request is HTTP/1.0, which proxies use and MCP clients do not.".to_owned(),
    };
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::NotDirect,
        format!(
            "Without an API key, this gateway accepts only direct requests from programs on its own machine. {reason}"
        ),
        "Use http://127.0.0.1 with its port, without a proxy. To serve other users, unset SINGLE_USER and create \
         keys for them.",
    )
}
