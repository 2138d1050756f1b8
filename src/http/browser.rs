//! Requests from browsers: cookies, forms and sessions.

pub(super) mod browser_session;
pub(super) mod cookies;
pub(super) mod csrf;
pub(super) mod navigation;
