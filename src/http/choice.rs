//! What a request says about the tools it wants: in its path, its query and its headers.

use std::collections::HashMap;

use actix_web::{HttpRequest, http::header::HeaderName, web};

use super::error::ApiError;
use crate::{
    domain::{Caller, is_yes},
    tools::{Choice, Toolbox, UnknownName, Wishes},
};

/// Where the protocol is spoken: the plain path, and those of github-mcp-server for clients that cannot send headers.
pub(super) const PATHS: [&str; 4] = ["/mcp", "/mcp/readonly", "/mcp/x/{toolset}", "/mcp/x/{toolset}/readonly"];

// As texts they would be read and allocated anew at each request.
static TOOLSETS: HeaderName = HeaderName::from_static("x-mcp-toolsets");
static TOOLS: HeaderName = HeaderName::from_static("x-mcp-tools");
static EXCLUDED: HeaderName = HeaderName::from_static("x-mcp-exclude-tools");
static READ_ONLY: HeaderName = HeaderName::from_static("x-mcp-readonly");
static OUTPUTS: HeaderName = HeaderName::from_static("x-mcp-output-schemas");
static TWO_STEPS: HeaderName = HeaderName::from_static("x-mcp-two-steps");

/// The tools that this request of this caller gets.
pub(super) fn choice(toolbox: &Toolbox, caller: &Caller, request: &HttpRequest) -> Result<Choice, ApiError> {
    toolbox.choose(caller, &wishes(request)?).map_err(ApiError::from)
}

impl From<UnknownName> for ApiError {
    fn from(unknown: UnknownName) -> Self {
        Self::UnknownName(unknown)
    }
}

/// The path is the most deliberate, then the query, then a header. Where any of them asks for reading only, or for
/// two steps, it is so.
fn wishes(request: &HttpRequest) -> Result<Wishes, ApiError> {
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
    let asked = |name: &str| query.get(name).filter(|text| !text.trim().is_empty()).cloned();
    let in_path = request.match_info().get("toolset").map(str::to_owned);
    let path_says_read_only = request.path().ends_with("/readonly");
    Ok(Wishes {
        toolsets: in_path.or_else(|| asked("toolsets")).or(header(request, &TOOLSETS)?),
        tools: asked("tools").or(header(request, &TOOLS)?),
        excluded: asked("exclude_tools").or(header(request, &EXCLUDED)?),
        read_only: path_says_read_only
            || query.get("readonly").is_some_and(|word| is_yes(word))
            || header(request, &READ_ONLY)?.is_some_and(|word| is_yes(&word)),
        outputs: asked("output_schemas").or(header(request, &OUTPUTS)?).is_some_and(|word| is_yes(&word)),
        two_steps: query.get("two_steps").is_some_and(|word| is_yes(word))
            || header(request, &TWO_STEPS)?.is_some_and(|word| is_yes(&word)),
    })
}

/// A header that may stand there several times, as lists may (RFC 9110 section 5.3).
fn header(request: &HttpRequest, name: &HeaderName) -> Result<Option<String>, ApiError> {
    let mut values = Vec::new();
    for value in request.headers().get_all(name) {
        let text = value.to_str();
        values.push(text.map_err(|_| ApiError::BadRequest(format!("The header {name} is no plain text.")))?);
    }
    let joined = values.join(",");
    Ok((!joined.trim().is_empty()).then_some(joined))
}
