//! The pages of a browser that waits for its turn to connect.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue, RETRY_AFTER},
    },
};
use chrono::TimeDelta;
use maud::html;

use super::page as any_page;
use crate::{http::failure::Failure, session::ASK_AGAIN_AFTER};

/// How often the page reloads itself.
pub(crate) const RELOAD: TimeDelta = ASK_AGAIN_AFTER;
/// Reloads a page without script. Browsers know it since Netscape; the HTML standard defines it (section 7.4.6.4).
const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// OwnerRez has approved, and others go first. The address stays the same, so the reload asks again.
pub(crate) fn page(ahead: Option<u32>, about: TimeDelta) -> HttpResponse {
    let seconds = RELOAD.num_seconds();
    let body = html! {
        p {
            "OwnerRez has approved the access. To finish, this gateway has to send OwnerRez one more request. OwnerRez \
             limits how many requests the gateway may send, and none is free at this moment."
        }
        p {
            @match ahead {
                None => "Too many attempts to connect are waiting at this moment.",
                Some(0) => "You are the next one.",
                Some(1) => "One attempt to connect goes before yours.",
                Some(ahead) => { (ahead) " attempts to connect go before yours." }
            }
            " That takes about " (span(about)) ", or longer if many others come."
        }
        p {
            "Keep this page open. It reloads by itself every " (seconds) " seconds and goes on when it is your turn. If you \
             close it for more than a minute, you lose your place."
        }
        p { a href="" { "Look now" } }
    };
    let mut response = any_page(StatusCode::ACCEPTED, &[], "Waiting for OwnerRez", &body);
    response.headers_mut().insert(REFRESH, seconds.into());
    response
}

/// The code ends before the turn comes. `href` is where to start again; without one the link has to be asked for.
pub(crate) fn too_late(href: Option<&str>) -> HttpResponse {
    let body = html! {
        p {
            "OwnerRez's approval is good for 10 minutes. In that time this gateway could send no request to OwnerRez for \
             you, because too many others were connecting. Nothing was connected."
        }
        p {
            @match href {
                Some(href) => a href=(href) { "Start again" },
                None => "To start again, ask for a new connect link where you got this one."
            }
        }
    };
    let mut response = any_page(StatusCode::SERVICE_UNAVAILABLE, &[], "The approval has run out", &body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response.extensions_mut().insert(Failure { code: "connecting_waits", cause: None });
    response
}

/// A time that people read, rounded up.
fn span(about: TimeDelta) -> String {
    match about.num_seconds().max(0) {
        seconds @ 0..=9 => format!("{} seconds", seconds.max(5)),
        seconds @ 10..=89 => format!("{} seconds", (seconds / 10 + 1) * 10),
        seconds => format!("{} minutes", seconds / 60 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        for (seconds, expected) in [
            (-1, "5 seconds"),
            (0, "5 seconds"),
            (9, "9 seconds"),
            (10, "20 seconds"),
            (89, "90 seconds"),
            (90, "2 minutes"),
            (300, "6 minutes"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), expected);
        }
    }
}
