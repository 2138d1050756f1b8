//! Single-user mode: HTTP without an API key. Active only if configured, and only for programs that reach this process
//! directly. Requests from a proxy or a web page are rejected, since their sender is unknown.
//!
//! A proxy that adds nothing to a request looks like a program on this machine. If such a proxy may run, a token closes
//! this gap (`SINGLE_USER_TOKEN`).

use actix_web::{HttpRequest, http::header};

use super::{bearer::bearer, indirect::check_direct};
use crate::{
    crypto,
    domain::Principal,
    http::{error::ApiError, state::HttpState},
};

/// Returns the single user, unless the mode is off or the request has an API key instead.
pub(in crate::http) fn caller(state: &HttpState, request: &HttpRequest) -> Option<Result<Principal, ApiError>> {
    let single_user = state.single_user.as_ref()?;
    let Some(expected) = &single_user.token_digest else {
        let brings_key = request.headers().contains_key(header::AUTHORIZATION);
        return (!brings_key)
            .then(|| check_direct(request).map_err(ApiError::NotDirect).map(|()| single_user.caller.clone()));
    };
    Some(
        check_direct(request)
            .map_err(ApiError::NotDirect)
            .and_then(|()| check_token(state, request, expected))
            .map(|()| single_user.caller.clone()),
    )
}

fn check_token(state: &HttpState, request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let offered = bearer(request).map_err(|_| ApiError::SingleUserTokenRequired)?;
    let (failures, source, now) = (state.keys.failed_keys(), state.settings.source_of(request), state.clock.now());
    failures.admit(source, None, now)?;
    // Compares digests, so that the timing does not even depend on the token's length.
    if crypto::constant_time_eq(&crypto::sha256_hex(offered), expected) {
        return Ok(());
    }
    failures.record_failure(source, None, now);
    Err(ApiError::SingleUserTokenRequired)
}
