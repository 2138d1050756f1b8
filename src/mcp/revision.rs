//! The revisions of the protocol, and the members of a result that each of them defines.
//!
//! Some clients refuse a whole answer because of one member that their revision does not define, or defines with
//! another type: npm `@modelcontextprotocol/sdk` 1.18 and PyPI `mcp` 1.15 do not connect to a server whose `icons` have
//! the form of 2025-11-25. So a session receives only the members of its own revision. The published schemas are in
//! `tests/gateway/schemas/`, and an integration test validates every answer against them.

use rmcp::{
    RoleServer,
    model::{
        CacheScope, CallToolResult, Implementation, Prompt, ProtocolVersion, Resource, ResourceTemplate,
        ServerCapabilities, Tool,
    },
    service::RequestContext,
};

/// A published revision. Newer ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revision {
    /// `2024-11-05`
    V2024_11_05,
    /// `2025-03-26`: annotations of tools, completions, batches.
    V2025_03_26,
    /// `2025-06-18`: titles, structured content, `_meta` of what is listed.
    V2025_06_18,
    /// `2025-11-25`: icons.
    V2025_11_25,
    /// `2026-07-28`: no handshake; cache lifetimes of answers, `resultType`.
    V2026_07_28,
}

/// The revisions by name, oldest first.
const NAMES: [(&str, Revision); 5] = [
    ("2024-11-05", Revision::V2024_11_05),
    ("2025-03-26", Revision::V2025_03_26),
    ("2025-06-18", Revision::V2025_06_18),
    ("2025-11-25", Revision::V2025_11_25),
    ("2026-07-28", Revision::V2026_07_28),
];

impl Revision {
    /// Returns the revision that the header `MCP-Protocol-Version` names; `None` if there is no such revision.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, revision)| *revision)
    }

    /// Returns the names of all revisions, separated by commas.
    pub fn names() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }

    /// Returns the revision of a request. rmcp has refused versions that it does not know.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        context.protocol_version().map_or(Self::V2025_03_26, |version| Self::negotiated(&version))
    }

    /// Returns the revision that was negotiated.
    pub(super) fn negotiated(version: &ProtocolVersion) -> Self {
        Self::named(version.as_str()).unwrap_or(Self::V2025_03_26)
    }

    /// Returns whether results of tools may have `structuredContent`.
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }

    fn has_titles(self) -> bool {
        self >= Self::V2025_06_18
    }

    pub(super) fn has_icons(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// Returns `ttlMs` and `cacheScope` for an answer that its client may cache for `ms` milliseconds.
    pub(super) fn lifetime(self, ms: u64) -> (Option<u64>, Option<CacheScope>) {
        if self >= Self::V2026_07_28 { (Some(ms), Some(CacheScope::Private)) } else { (None, None) }
    }

    pub(super) fn fit_implementation(self, implementation: &mut Implementation) {
        if !self.has_icons() {
            implementation.icons = None;
            implementation.website_url = None;
            implementation.description = None;
        }
        if !self.has_titles() {
            implementation.title = None;
        }
    }

    pub(super) fn fit_capabilities(self, capabilities: &mut ServerCapabilities) {
        if self < Self::V2025_03_26 {
            capabilities.completions = None;
        }
    }

    pub(super) fn fit_tool(self, tool: &mut Tool) {
        if !self.has_icons() {
            tool.icons = None;
        }
        if !self.has_titles() {
            tool.output_schema = None;
            tool.meta = None;
            // 2025-03-26 has the title among the annotations.
            let title = tool.title.take();
            if let Some(annotations) = &mut tool.annotations {
                annotations.title = annotations.title.take().or(title);
            }
        }
        if self < Self::V2025_03_26 {
            tool.annotations = None;
        }
    }

    pub(super) fn fit_result(self, result: &mut CallToolResult) {
        if !self.has_structured_content() {
            result.structured_content = None;
        }
    }

    pub(super) fn fit_resource(self, resource: &mut Resource) {
        if !self.has_icons() {
            resource.icons = None;
        }
        if !self.has_titles() {
            resource.title = None;
            resource.meta = None;
        }
    }

    pub(super) fn fit_template(self, template: &mut ResourceTemplate) {
        if !self.has_icons() {
            template.icons = None;
        }
        if !self.has_titles() {
            template.title = None;
            template.meta = None;
        }
    }

    pub(super) fn fit_prompt(self, prompt: &mut Prompt) {
        if !self.has_icons() {
            prompt.icons = None;
        }
        if !self.has_titles() {
            prompt.title = None;
            prompt.meta = None;
            prompt.arguments.iter_mut().flatten().for_each(|argument| argument.title = None);
        }
    }
}
