//! The tool selection of a request: in its path, its query and its headers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, http::header::HeaderMap};
use url::form_urlencoded;

use crate::{
    catalog,
    domain::{ConnectionSetting as Setting, Principal, parse_bool},
    http::error::ApiError,
    tools::{ToolSelection, ToolSelectionRequest, Toolbox, UnknownName},
};

/// The paths of the MCP endpoint: the plain one, and those of github-mcp-server, for clients that cannot send headers.
pub(in crate::http) const PATHS: [&str; 4] = ["/mcp", "/mcp/readonly", "/mcp/x/{toolset}", "/mcp/x/{toolset}/readonly"];

/// The prefix of the headers that select tools.
const HEADERS: &str = "x-mcp-";

/// Returns the tools that this request of this caller may use.
pub(in crate::http) fn tool_selection(
    toolbox: &Toolbox,
    caller: &Principal,
    request: &HttpRequest,
) -> Result<ToolSelection, ApiError> {
    toolbox.select_tools(caller, &requested_tools(request)?).map_err(ApiError::from)
}

impl From<UnknownName> for ApiError {
    fn from(unknown: UnknownName) -> Self {
        Self::UnknownName(unknown)
    }
}

/// Reads the tool selection. The path takes precedence over the query, and the query over a header. Read-only applies
/// if any of them requests it, and the exclusions of query and headers are combined.
fn requested_tools(request: &HttpRequest) -> Result<ToolSelectionRequest, ApiError> {
    let query = SelectionSettings::in_query(request.query_string())?;
    let headers = SelectionSettings::in_headers(request.headers())?;
    let in_path = request.match_info().get("toolset").map(str::to_owned);
    let path_says_read_only = request.path().ends_with("/readonly");
    let switch = |setting| Ok::<_, ApiError>(query.switch(setting)?.or(headers.switch(setting)?));
    let excluded = [query.list(Setting::ExcludeTools), headers.list(Setting::ExcludeTools)];
    let excluded: Vec<String> = excluded.into_iter().flatten().collect();
    Ok(ToolSelectionRequest {
        toolsets: in_path.or_else(|| query.list(Setting::Toolsets)).or_else(|| headers.list(Setting::Toolsets)),
        tools: query.list(Setting::Tools).or_else(|| headers.list(Setting::Tools)),
        excluded: (!excluded.is_empty()).then(|| excluded.join(",")),
        read_only: path_says_read_only
            | (query.switch(Setting::ReadOnly)? == Some(true))
            | (headers.switch(Setting::ReadOnly)? == Some(true)),
        outputs: switch(Setting::OutputSchemas)?.unwrap_or_default(),
        two_steps: switch(Setting::TwoSteps)?,
    })
}

/// The settings in the query, or those in the headers.
struct SelectionSettings {
    in_headers: bool,
    values: BTreeMap<Setting, Vec<String>>,
}

impl SelectionSettings {
    fn in_query(query: &str) -> Result<Self, ApiError> {
        let mut settings = Self { in_headers: false, values: BTreeMap::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            settings.add(&name, || Ok(value.into_owned()))?;
        }
        Ok(settings)
    }

    /// A header may occur several times, since its value is a list (RFC 9110 section 5.3).
    fn in_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut settings = Self { in_headers: true, values: BTreeMap::new() };
        for (header, value) in headers {
            if let Some(name) = header.as_str().strip_prefix(HEADERS) {
                let unreadable = |_| ApiError::BadRequest(format!("The header {header} is not plain text."));
                settings.add(name, || value.to_str().map(str::to_owned).map_err(unreadable))?;
            }
        }
        Ok(settings)
    }

    fn add(&mut self, name: &str, value: impl FnOnce() -> Result<String, ApiError>) -> Result<(), ApiError> {
        match Setting::from_name(name) {
            Ok(None) => Ok(()),
            Ok(Some(setting)) => {
                self.values.entry(setting).or_default().push(value()?);
                Ok(())
            }
            Err(near) => {
                let prefix = if self.in_headers { HEADERS } else { "" };
                Err(ApiError::BadRequest(format!(
                    "Unknown setting `{prefix}{}`; did you mean `{prefix}{}`? The settings are {}.",
                    catalog::shown_name(name),
                    if self.in_headers { near.replace('_', "-") } else { near.to_owned() },
                    Setting::names(),
                )))
            }
        }
    }

    /// Returns the names that a setting lists; `None` if there are none.
    fn list(&self, setting: Setting) -> Option<String> {
        let joined = self.values.get(&setting)?.join(",");
        joined.contains(|c: char| c != ',' && !c.is_whitespace()).then_some(joined)
    }

    /// Returns the value of a switch. In a query, `readonly` without a value means true, since it only restricts.
    ///
    /// # Errors
    /// If a value is neither yes nor no, or both values occur.
    fn switch(&self, setting: Setting) -> Result<Option<bool>, ApiError> {
        let mut value = None;
        for word in self.values.get(&setting).into_iter().flatten().flat_map(|value| value.split(',')) {
            let on = match parse_bool(word) {
                None if word.trim().is_empty() && self.in_headers => continue,
                None if word.trim().is_empty() && setting == Setting::ReadOnly => Some(true),
                on => on,
            };
            match on {
                Some(on) if value.is_none_or(|value| value == on) => value = Some(on),
                _ => return Err(self.switch_error(setting, word)),
            }
        }
        Ok(value)
    }

    fn switch_error(&self, setting: Setting, word: &str) -> ApiError {
        let name =
            if self.in_headers { format!("The header {}", setting.header()) } else { format!("`{}`", setting.name()) };
        ApiError::BadRequest(match parse_bool(word) {
            Some(_) => format!("{name} is both true and false. Give it once: true or false."),
            None => format!(
                "{name} has the value \"{}\", which is not a boolean. Use true, 1, yes or on, or false, 0, no or off.",
                catalog::shown_name(word)
            ),
        })
    }
}
