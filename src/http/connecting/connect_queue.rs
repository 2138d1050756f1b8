//! The queue for browsers that OwnerRez redirected back with a code. Until its turn, a browser's state and code stay
//! unused, and it shows a waiting page that reloads itself.

use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    allowance::{AttemptOrigin, PlaceKey},
    crypto,
    domain::UserId,
    http::{pages::waiting, state::HttpState},
    session::{Admitted, Turn},
    store::FirstReturn,
};

/// How long a browser may wait after its first return. OwnerRez's codes live 10 minutes, the exchange up to 20 s.
const CODE_LIFETIME: TimeDelta = TimeDelta::seconds(570);
/// A browser that has less time left than this does not reload again.
const LAST_RELOAD: TimeDelta = TimeDelta::seconds(15);
/// The longest code that is accepted, in bytes. OwnerRez's codes are shorter.
const MAX_CODE_LENGTH: usize = 512;

/// The parameters with which a browser returned, and the flow that it belongs to.
pub(in crate::http) struct ReturnedBrowser<'a> {
    /// The state that OwnerRez returned, and the cookie that it is bound to.
    pub(in crate::http) bound: (&'a str, &'a str),
    pub(in crate::http) code: &'a SecretString,
    /// The user, if known.
    pub(in crate::http) user: Option<UserId>,
    /// The time of the first return with this approval, if this is not the first one.
    pub(in crate::http) returned_at: Option<DateTime<Utc>>,
    /// The expiry of the state.
    pub(in crate::http) expires_at: DateTime<Utc>,
}

/// The next step of the flow.
pub(in crate::http) enum QueueOutcome {
    /// The code may be redeemed.
    Admitted(Admitted),
    /// The browser has to wait: the waiting page, and the data to store at the first return.
    Wait(HttpResponse, Option<FirstReturn>),
    /// The code expires before the turn.
    CodeExpired,
    /// The value does not have the form of a code (RFC 6749 appendix A.11), so no request is sent to OwnerRez.
    InvalidCode,
}

/// Requests the turn of a browser. The browser keeps its place from one reload to the next.
pub(in crate::http) async fn request_turn(
    state: &HttpState,
    request: &HttpRequest,
    returned: &ReturnedBrowser<'_>,
) -> QueueOutcome {
    let ReturnedBrowser { bound: (secret, browser), code, user, returned_at, expires_at } = *returned;
    if !is_code(code.expose_secret()) {
        return QueueOutcome::InvalidCode;
    }
    let now = state.clock.now();
    let code_ends = returned_at.unwrap_or(now) + CODE_LIFETIME;
    // An expired code costs a request as well, and OwnerRez refuses it like an invented one.
    if now >= code_ends {
        return QueueOutcome::CodeExpired;
    }
    let connector = AttemptOrigin { source: state.settings.source_of(request).address(), user };
    let waits = match state.sessions.request_turn(queue_key(&[secret, browser]), connector).await {
        Ok(Turn::Admitted(admitted)) => return QueueOutcome::Admitted(admitted),
        Ok(Turn::Wait(waits)) => Ok(waits),
        // Temporary: another process takes over, or the database is unavailable for a moment.
        Err(refusal) => Err(refusal),
    };
    if state.clock.now() + LAST_RELOAD >= code_ends {
        return QueueOutcome::CodeExpired;
    }
    let first = returned_at.is_none().then(|| FirstReturn { at: now, keep_until: code_ends.max(expires_at) });
    QueueOutcome::Wait(waiting::page(waits), first)
}

/// Returns the key of a place in the queue.
pub(in crate::http) fn queue_key(parts: &[&str]) -> PlaceKey {
    crypto::sha256(parts.join("\n").as_bytes())
}

fn is_code(code: &str) -> bool {
    code.len() <= MAX_CODE_LENGTH && code.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
