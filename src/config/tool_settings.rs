//! The tools that the one client of `stdio` sees.

use super::{errors::Problem, layers::Layers};

/// The tools that one client sees, by name. This module does not check that the names exist.
#[derive(Clone, Debug, Default)]
pub struct ToolSettings {
    /// Toolsets.
    pub toolsets: Vec<String>,
    /// Single tools.
    pub tools: Vec<String>,
    /// Tools to leave out.
    pub excluded: Vec<String>,
    /// Whether only reading tools are wanted.
    pub read_only: bool,
    /// Whether operations that need consent use the two-step confirmation instead of asking the user. If not set, the
    /// API key decides.
    pub two_steps: Option<bool>,
}

pub(super) fn tools(layers: &mut Layers) -> ToolSettings {
    // The value may be forwarded as a header, so it must be valid in one.
    let name = |text: &str| {
        let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let remedy = "use names such as bookings or list_guests, separated by commas";
        if good { Ok(text.to_owned()) } else { Err(Problem::new("an entry is not a valid name", remedy)) }
    };
    ToolSettings {
        toolsets: layers.list("tools.toolsets", name).unwrap_or_default(),
        tools: layers.list("tools.tools", name).unwrap_or_default(),
        excluded: layers.list("tools.exclude", name).unwrap_or_default(),
        read_only: layers.flag("tools.read_only"),
        two_steps: layers.choice("tools.two_steps"),
    }
}

/// Nothing reads these settings over HTTP. An operator who set them would expect them to limit every client.
pub(super) fn refuse_tools(layers: &mut Layers, tools: &ToolSettings) {
    for (key, is_set) in [
        ("tools.toolsets", !tools.toolsets.is_empty()),
        ("tools.tools", !tools.tools.is_empty()),
        ("tools.exclude", !tools.excluded.is_empty()),
        ("tools.read_only", tools.read_only),
        ("tools.two_steps", tools.two_steps == Some(true)),
    ] {
        if is_set {
            layers.refuse(
                key,
                "it is for stdio only, but server.transport (TRANSPORT_MODE) is http",
                "remove it; over HTTP each client selects tools by its URL, such as /mcp/readonly, or by its key",
            );
        }
    }
}
