//! The pages for a browser that waits for its turn to connect.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue, RETRY_AFTER},
    },
};
use chrono::TimeDelta;
use maud::html;

use super::parts::page as any_page;
use crate::{
    allowance::AllowanceError,
    domain::ErrorCode,
    http::{connecting::wait_reason, error::ErrorLogInfo},
    session::{ASK_AGAIN_AFTER, QueueWait, WaitReason},
};

/// The interval at which the page reloads itself.
const RELOAD: TimeDelta = ASK_AGAIN_AFTER;
/// Reloads a page without a script. Supported since Netscape and defined by the HTML standard (section 7.4.6.4).
const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// Returns the page for an attempt that OwnerRez has approved and that waits for its turn. `Err` says why the gateway
/// cannot send requests at all. The URL stays the same, so a reload tries again.
pub(crate) fn page(waits: Result<QueueWait, AllowanceError>) -> HttpResponse {
    let seconds = RELOAD.num_seconds();
    let has_place = !matches!(waits, Ok(QueueWait { reason: WaitReason::NoPlace(_), .. }));
    let body = html! {
        p {
            "OwnerRez has approved the access. To finish, this gateway has to send OwnerRez one more request. "
            @match waits {
                Ok(waits) => (wait_reason::reason_text(waits.reason)),
                Err(AllowanceError::Standby) => "This process of the gateway is on standby: another one is active, or is \
                                          taking over.",
                Err(AllowanceError::Storage) => "The gateway writes to its database before each request, and the database \
                                          does not respond at the moment.",
                Err(AllowanceError::Spent { .. } | AllowanceError::Throttled(_)) => (wait_reason::reason_text(WaitReason::Limit(0))),
            }
        }
        @if let Ok(waits) = waits { p { (wait_reason::outlook_text(waits)) } }
        p {
            "Keep this page open. It reloads by itself every " (seconds) " seconds and "
            @if has_place {
                "continues when it is your turn. If you close it for more than a minute, you lose your place in the \
                 queue."
            } @else {
                "joins the queue as soon as a place is free."
            }
        }
        p { a href="" { "Check now" } }
    };
    let mut response = any_page(StatusCode::ACCEPTED, &[], "Waiting for OwnerRez", &body);
    response.headers_mut().insert(REFRESH, seconds.into());
    response
}

/// Returns the page for a code that expires before its turn. `href` restarts the flow; `None` if only a new link can.
pub(crate) fn code_expired(href: Option<&str>) -> HttpResponse {
    let body = html! {
        p {
            "OwnerRez's approval is valid for 10 minutes. In that time no request to OwnerRez was available for this \
             attempt, because of the rate limit. Nothing was connected."
        }
        p {
            @match href {
                Some(href) => a href=(href) { "Start again" },
                None => "To start again, ask for a new connect link where you got this one."
            }
        }
    };
    let mut response = any_page(StatusCode::SERVICE_UNAVAILABLE, &[], "The approval has expired", &body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response.extensions_mut().insert(ErrorLogInfo { code: ErrorCode::ConnectingWaits, cause: None });
    response
}
