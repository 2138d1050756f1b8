//! A protected resource (RFC 8707), and the paths that lie within it.

/// The common path prefix of all resources.
pub const RESOURCE_PATH: &str = "/mcp";

/// A protected resource as requested by a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// The URL without a query.
    pub url: String,
    /// Whether `readonly` is set in the query. A token for this resource is read-only, on whatever path it is used.
    pub read_only: bool,
}

/// Returns whether a path is `above` or is below it.
pub(super) fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
