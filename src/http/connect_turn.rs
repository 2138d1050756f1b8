//! The turn of a browser that OwnerRez sent back with a code. Until it comes, state and code stay unused, and the browser
//! shows a page that says so and reloads itself.

use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::{HttpState, pages::waiting};
use crate::{
    crypto,
    domain::UserId,
    session::{Admitted, Connector, PlaceKey, Turn},
    store::FirstReturn,
};

/// How long after its first return a browser may wait. OwnerRez's codes live 10 minutes, and the exchange takes up to 20 s.
const CODE_LIFE: TimeDelta = TimeDelta::seconds(570);
/// Within this time before the end a browser may not come again.
const LAST_RELOAD: TimeDelta = TimeDelta::seconds(15);
/// OwnerRez's codes are shorter, in bytes.
const LONGEST_CODE: usize = 512;

/// What a browser came back with, and to what.
pub(super) struct Returned<'a> {
    /// The state that OwnerRez handed back, and the cookie that it is bound to.
    pub(super) bound: (&'a str, &'a str),
    pub(super) code: &'a SecretString,
    /// The user, where it is known.
    pub(super) user: Option<UserId>,
    /// Since when it waits, if this is not its first return with this approval.
    pub(super) returned_at: Option<DateTime<Utc>>,
    /// When the state ends.
    pub(super) expires_at: DateTime<Utc>,
}

/// How it goes on.
pub(super) enum Next {
    /// The code may be redeemed.
    Go(Admitted),
    /// The page that waits, and what has to be stored at the first return.
    Wait(HttpResponse, Option<FirstReturn>),
    /// The code ends before the turn comes.
    TooLate,
    /// This is not the form of a code (RFC 6749 appendix A.11), so OwnerRez is not asked.
    NoCode,
}

/// Asks for the turn of a browser. It keeps its place from one reload to the next.
pub(super) async fn turn(state: &HttpState, request: &HttpRequest, returned: &Returned<'_>) -> Next {
    let Returned { bound: (secret, browser), code, user, returned_at, expires_at } = *returned;
    if !is_code(code.expose_secret()) {
        return Next::NoCode;
    }
    let now = state.clock.now();
    let code_ends = returned_at.unwrap_or(now) + CODE_LIFE;
    // A code that has ended costs a request as well, and OwnerRez refuses it like an invented one.
    if now >= code_ends {
        return Next::TooLate;
    }
    let connector = Connector { source: state.settings.source_of(request).address(), user };
    let waits = match state.sessions.turn_to_connect(place(&[secret, browser]), connector).await {
        Ok(Turn::Admitted(admitted)) => return Next::Go(admitted),
        Ok(Turn::Wait(waits)) => Ok(waits),
        // Another process takes over, or the database is away for a moment: that passes.
        Err(refusal) => Err(refusal),
    };
    if state.clock.now() + LAST_RELOAD >= code_ends {
        return Next::TooLate;
    }
    let first = returned_at.is_none().then(|| FirstReturn { at: now, keep_until: code_ends.max(expires_at) });
    Next::Wait(waiting::page(waits), first)
}

/// The key of a place.
pub(super) fn place(parts: &[&str]) -> PlaceKey {
    crypto::digest(parts.join("\n").as_bytes())
}

fn is_code(code: &str) -> bool {
    code.len() <= LONGEST_CODE && code.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
