//! Endpoints of the TypeScript server that are elsewhere now.

/// Endpoints that were elsewhere in the TypeScript server that this gateway replaces.
#[derive(Debug)]
pub(crate) enum Moved {
    /// The old OAuth callback; contains the current redirect URI.
    Callback(String),
    /// The old SSE transport; contains the current MCP endpoint.
    Transport(String),
}
