//! The CSRF protection of forms: a secret in a cookie, and a signature over it in the form.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;

use super::cookies::FlowCookies;
use crate::{
    crypto,
    http::{error::ApiError, state::HttpState},
};

/// Contains the secret that a form is signed with. A flow is the subject of the form.
const CSRF_COOKIES: FlowCookies = FlowCookies("ownerrez_csrf_");

/// The CSRF protection of a form: a secret in a cookie, and a signature over it in the form.
pub(in crate::http) struct Csrf {
    flow: String,
    secret: String,
    /// The value of the form's CSRF field.
    pub(in crate::http) signed: String,
}

impl Csrf {
    /// Signs a form. `parts` identify its subject; the same form in the same browser has the same secret.
    pub(in crate::http) fn of(state: &HttpState, request: &HttpRequest, parts: &[&str]) -> Result<Self, ApiError> {
        let flow = flow(parts);
        let secret = match CSRF_COOKIES.get(state, request, &flow) {
            Some(known) => known,
            None => crypto::random_token()?.expose_secret().to_owned(),
        };
        let signed = state.signer.sign(&[parts, &[&secret]].concat());
        Ok(Self { flow, secret, signed })
    }

    /// Adds the cookie to the page that contains the form.
    pub(in crate::http) fn set_cookie(self, state: &HttpState, request: &HttpRequest, response: &mut HttpResponse) {
        CSRF_COOKIES.set(state, request, response, &self.flow, self.secret);
    }
}

/// Returns whether a form came from a page of the gateway in this browser. `parts` are those that the page signed.
pub(in crate::http) fn verify_csrf(state: &HttpState, request: &HttpRequest, parts: &[&str], csrf: &str) -> bool {
    let secret = CSRF_COOKIES.get(state, request, &flow(parts));
    secret.is_some_and(|secret| state.signer.verify(&[parts, &[&secret]].concat(), csrf))
}

fn flow(parts: &[&str]) -> String {
    parts.join("\0")
}
