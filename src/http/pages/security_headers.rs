//! The headers that protect pages, and the style that they allow.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use url::Url;

/// The style of all pages. A button is the main action of its page, unless it has the class `second` or `ending`.
pub(super) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff;overflow-wrap:anywhere}h1{font-size:1.4rem}code{background:#eee;padding:.1rem .3rem}\
label{display:block;font-weight:600;margin:1rem 0 .3rem}input,select{font:inherit;width:100%;box-sizing:border-box;\
padding:.6rem;border:1px solid #555;border-radius:.3rem}button,.button{font:inherit;margin:1rem .6rem 0 0;padding:.6rem 1.2rem;\
border:0;border-radius:.3rem;background:#0b5394;color:#fff;max-width:100%}.button{display:inline-block;\
text-decoration:none}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem}\
button.second,button.ending{background:#fff;color:#0b5394;box-shadow:inset 0 0 0 1px}button.ending{color:#b00020}\
pre{background:#eee;padding:.6rem;white-space:pre-wrap;font-size:.85rem}.problem{border-left:.3rem solid #b00020;padding:.2rem .8rem}";

/// The SHA-256 of [`STYLE`], with which the policy allows this style and no other.
const STYLE_HASH: &str = "'sha256-+Fjg54LLeIK7ieXbxbUzedkoDE8mgp7IjMU9AdOizKA='";

/// The target of forms that are submitted only to the gateway.
pub(super) const SELF: &str = "'self'";

/// Returns a response with the headers that protect a page against framing, scripts and leaks of its URL. A form may be
/// submitted to the gateway and redirected to `form_targets`, which are sources of a Content-Security-Policy: browsers
/// apply `form-action` to redirects as well. Without targets the page has no form.
pub(crate) fn response_with_security_headers(status: StatusCode, form_targets: &[String]) -> HttpResponseBuilder {
    let forms = match form_targets {
        [] => "'none'".to_owned(),
        [only] if only == SELF => SELF.to_owned(),
        targets => format!("{SELF} {}", targets.join(" ")),
    };
    let policy = format!(
        "default-src 'none'; style-src {STYLE_HASH}; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

/// Returns the origin of a URL, for a Content-Security-Policy.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ring::digest;

    use super::*;

    #[test]
    fn the_policy_allows_the_style_that_the_pages_have() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        assert_eq!(STYLE_HASH, format!("'sha256-{hash}'"));
    }
}
