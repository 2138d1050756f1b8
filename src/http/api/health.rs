//! `GET /health`: reports whether the process is alive.

use actix_web::{Responder, web};
use serde_json::json;

/// Answers whether the process is alive. `/ready` reports whether it can serve.
pub(in crate::http) async fn health() -> impl Responder {
    web::Json(json!({"status": "ok"}))
}
