//! Resources that answer unsupported methods as RFC 9110 requires.

use actix_web::{
    HttpRequest, HttpResponse, Resource,
    http::{Method, header},
    web,
};

use super::error::ApiError;

/// Returns a resource that answers any other method with 405 and the allowed ones (RFC 9110 section 15.5.6).
pub(super) fn resource_at(path: &str, allow: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move |request: HttpRequest| async move { method_not_allowed(&request, allow) }))
}

/// Answers a method that a resource does not support.
pub(super) fn method_not_allowed(request: &HttpRequest, allow: &'static str) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let mut refusal = HttpResponse::from_error(ApiError::MethodNotAllowed(allow));
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    refusal
}
