//! Pages without a form.

use std::borrow::Cow;

use actix_web::{HttpResponse, http::StatusCode};
use maud::html;

use super::parts::page;

/// The headline and text of a page without a form.
pub(crate) struct Notice {
    title: &'static str,
    text: Cow<'static, str>,
}

impl Notice {
    pub(crate) const fn fixed(title: &'static str, text: &'static str) -> Self {
        Self { title, text: Cow::Borrowed(text) }
    }

    pub(crate) fn new(title: &'static str, text: String) -> Self {
        Self { title, text: Cow::Owned(text) }
    }
}

/// Returns a page without a form.
pub(crate) fn notice(status: StatusCode, notice: Notice) -> HttpResponse {
    page(status, &[], notice.title, &html! { p { (notice.text) } })
}
