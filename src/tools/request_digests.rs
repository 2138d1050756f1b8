//! Digests that identify a write in records and tokens.

use serde_json::Value;

use super::tool_deps::ToolDeps;
use crate::domain::{UpstreamRequest, UserId};

/// Returns digests that identify a user's request in records and tokens, that of the current key first. They reveal
/// nothing of its content.
pub(super) fn request_digests(deps: &ToolDeps, user: UserId, request: &UpstreamRequest) -> Vec<String> {
    // The order of members does not change the request.
    let canonical = |body: &Value| {
        let mut body = body.clone();
        body.sort_all_objects();
        body.to_string()
    };
    let (user, body) = (user.to_string(), request.body.as_ref().map(canonical).unwrap_or_default());
    let fields = [&user, &*request.operation, request.method.as_str(), &request.path_and_query, &body];
    deps.ring.write_mac_key().digests(&fields)
}
