//! Cookies: one for each flow under way, so that several sign-ins and forms in one browser do not interfere. Each is
//! named by a digest of its flow, and the number per kind is bounded.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
};
use chrono::TimeDelta;

use crate::{crypto, http::state::HttpState};

/// Limits the cookies of one kind in a browser. All three kinds fill 3 of the 8 KiB of headers that proxies accept.
const MAX_PER_KIND: usize = 8;
/// The number of hexadecimal digits of the digest that names a flow.
const FLOW_DIGITS: usize = 16;

/// Cookies of one kind. The name of each ends with a digest of its flow.
#[derive(Clone, Copy)]
pub(in crate::http) struct FlowCookies(pub(in crate::http) &'static str);

/// Identifies the browser that a connect link was bound to. A flow is the state of a link.
pub(in crate::http) const CONNECT_COOKIES: FlowCookies = FlowCookies("ownerrez_connect_");
/// Identifies the browser in which the user agreed to a sign-in. A flow is the state of a sign-in.
pub(in crate::http) const SIGN_IN_COOKIES: FlowCookies = FlowCookies("ownerrez_sign_in_");
impl FlowCookies {
    fn name(self, state: &HttpState, flow: &str) -> String {
        let digest = crypto::sha256_hex(flow);
        let id = digest.get(..FLOW_DIGITS).unwrap_or(&digest);
        cookie_name(state, &format!("{}{id}", self.0))
    }

    /// Returns the value of the flow's cookie in this browser.
    pub(in crate::http) fn get(self, state: &HttpState, request: &HttpRequest, flow: &str) -> Option<String> {
        request.cookie(&self.name(state, flow)).map(|cookie| cookie.value().to_owned())
    }

    /// Sets the flow's cookie, and removes the oldest ones of this kind beyond [`MAX_PER_KIND`]. Browsers send cookies
    /// in the order in which they were created (RFC 6265 section 5.4).
    pub(in crate::http) fn set(
        self,
        state: &HttpState,
        request: &HttpRequest,
        response: &mut HttpResponse,
        flow: &str,
        value: String,
    ) {
        let name = self.name(state, flow);
        let beginning = cookie_name(state, self.0);
        let known = request.cookies().map(|cookies| {
            let names = cookies.iter().map(|cookie| cookie.name().to_owned());
            names.filter(|known| known.starts_with(&beginning) && *known != name).collect::<Vec<_>>()
        });
        let known = known.unwrap_or_default();
        let surplus = known.len().saturating_sub(MAX_PER_KIND - 1);
        add(response, &build_cookie(state, name, value, state.settings.link_lifetime));
        for name in known.into_iter().take(surplus) {
            remove(state, response, name);
        }
    }

    /// Removes the flow's cookie.
    pub(in crate::http) fn remove(self, state: &HttpState, response: &mut HttpResponse, flow: &str) {
        remove(state, response, self.name(state, flow));
    }
}

/// Adds the prefix `__Host-` (RFC 6265bis section 4.1.3.2) if TLS is used; browsers reject that prefix on plain http.
pub(in crate::http) fn cookie_name(state: &HttpState, name: &str) -> String {
    if state.settings.secure() { format!("__Host-{name}") } else { name.to_owned() }
}

/// Sets a cookie of which a browser has only one, with this lifetime.
pub(in crate::http) fn set_cookie(
    state: &HttpState,
    response: &mut HttpResponse,
    name: &str,
    value: String,
    lifetime: TimeDelta,
) {
    add(response, &build_cookie(state, cookie_name(state, name), value, lifetime));
}

/// Removes such a cookie.
pub(in crate::http) fn remove_cookie(state: &HttpState, response: &mut HttpResponse, name: &str) {
    remove(state, response, cookie_name(state, name));
}

fn remove(state: &HttpState, response: &mut HttpResponse, full_name: String) {
    let mut gone = build_cookie(state, full_name, String::new(), TimeDelta::zero());
    gone.make_removal();
    add(response, &gone);
}

fn add(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    // Cannot fail: names and values are generated here, from characters that are valid in a header.
    let _ = response.add_cookie(cookie);
}

fn build_cookie(state: &HttpState, full_name: String, value: String, lifetime: TimeDelta) -> Cookie<'static> {
    Cookie::build(full_name, value)
        .path("/")
        .http_only(true)
        .secure(state.settings.secure())
        // Lax, not Strict: the redirect back from OwnerRez is a navigation that another site started.
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(lifetime.num_seconds()))
        .finish()
}
