//! The selection of tools that a connection lists and calls: from the request, otherwise from the key, otherwise the
//! default. The names and rules are those of github-mcp-server, so that its users and clients can reuse them.

use std::{cell::LazyCell, collections::BTreeSet, fmt};

use crate::{
    catalog::{self, Operation, Toolset},
    domain::{Principal, Scope},
};

/// The name of the most commonly needed tools. With it, all other tools can still be found and called.
const DEFAULT: &str = "default";
/// The name of all toolsets together.
const ALL: &str = "all";

/// The tool selection in a request, as it is written there. Empty texts count as absent.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolSelectionRequest {
    /// Toolsets, separated by commas.
    pub toolsets: Option<String>,
    /// Single tools, separated by commas.
    pub tools: Option<String>,
    /// Tools to leave out regardless of the rest, separated by commas.
    pub excluded: Option<String>,
    /// Whether only reading tools are wanted.
    pub read_only: bool,
    /// Whether the list contains output schemas.
    pub outputs: bool,
    /// Whether operations that need consent use the two-step confirmation instead of asking the user: for clients that
    /// answer questions automatically. Never an argument of a tool, because the model writes those. If absent, the key
    /// decides.
    pub two_steps: Option<bool>,
}

/// Toolsets by their names.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Toolsets {
    default: bool,
    all: bool,
    named: BTreeSet<Toolset>,
}

/// The kinds of names in a tool selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameKind {
    /// A toolset.
    Toolset,
    /// A tool.
    Tool,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toolset => "toolset",
            Self::Tool => "tool",
        })
    }
}

/// An unknown name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct UnknownName {
    /// The kind of name.
    pub kind: NameKind,
    /// The name that was given.
    pub name: String,
    /// All known names.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, known } = self;
        // The name may come from a link that an attacker wrote.
        let shown: String = name.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
        write!(f, "Unknown {kind} `{shown}`.")?;
        if let Some(near) = catalog::suggest(name, known.iter().map(String::as_str)) {
            write!(f, " Did you mean `{near}`?")?;
        }
        write!(f, " The {kind}s are: {}.", known.join(", "))
    }
}

impl Toolsets {
    /// Parses a list such as `bookings, guests`.
    ///
    /// # Errors
    /// The first unknown name.
    pub fn parse(text: &str) -> Result<Self, UnknownName> {
        let mut toolsets = Self::default();
        for name in names(text) {
            if !toolsets.add(name) {
                let known = [DEFAULT, ALL].into_iter().chain(Toolset::ALL.map(Toolset::name));
                let known = known.map(str::to_owned).collect();
                return Err(UnknownName { kind: NameKind::Toolset, name: name.to_owned(), known });
            }
        }
        Ok(toolsets)
    }

    /// The same, but ignores unknown names, such as those of another version, where an error could not be corrected.
    fn parse_known(text: &str) -> Self {
        let mut toolsets = Self::default();
        for name in names(text) {
            toolsets.add(name);
        }
        toolsets
    }

    fn add(&mut self, name: &str) -> bool {
        match name {
            DEFAULT => self.default = true,
            ALL => self.all = true,
            name => match Toolset::ALL.into_iter().find(|toolset| toolset.name() == name) {
                Some(toolset) => {
                    self.named.insert(toolset);
                }
                None => return false,
            },
        }
        true
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Toolsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.default, DEFAULT), (self.all, ALL)].into_iter().filter(|(on, _)| *on).map(|(_, word)| word);
        let named = self.named.iter().map(|toolset| toolset.name());
        f.write_str(&words.chain(named).collect::<Vec<_>>().join(","))
    }
}

/// The attributes of a tool that matter for the selection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToolInfo<'a> {
    pub(super) name: &'a str,
    /// `None` for tools that belong to no toolset: they come with the default or by their own name.
    pub(super) toolset: Option<Toolset>,
    pub(super) default: bool,
    pub(super) read_only: bool,
}

impl<'a> ToolInfo<'a> {
    /// Returns the attributes of `find_operation` or `call_operation`: in a read-only selection, calling is limited to
    /// reading.
    pub(super) fn of_tool_search(name: &'a str) -> Self {
        Self { name, toolset: None, default: true, read_only: true }
    }
}

impl<'a> From<&'a Operation> for ToolInfo<'a> {
    fn from(operation: &'a Operation) -> Self {
        Self {
            name: operation.name(),
            toolset: Some(operation.toolset()),
            default: operation.is_default(),
            read_only: operation.is_read_only(),
        }
    }
}

/// The selected tools of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolSelection {
    toolsets: Toolsets,
    tools: BTreeSet<String>,
    excluded: BTreeSet<String>,
    read_only: bool,
    /// Whether tools that are not listed can be called.
    allow_unlisted: bool,
    /// Whether the list contains output schemas.
    outputs: bool,
    /// Whether the user is never asked by elicitation.
    two_steps: bool,
}

impl ToolSelection {
    /// Returns the selection for this request of this caller. `known` returns the names of all tools, which few
    /// requests need; `opens` is the tool whose selection makes all others callable.
    pub(super) fn new<'a>(
        caller: &Principal,
        requested: &ToolSelectionRequest,
        known: impl FnOnce() -> BTreeSet<&'a str>,
        opens: &str,
    ) -> Result<Self, UnknownName> {
        let known = LazyCell::new(known);
        let tools = |text: &Option<String>| {
            let mut found = BTreeSet::new();
            for name in names(text.as_deref().unwrap_or_default()) {
                if !known.contains(name) {
                    let known = known.iter().map(|name| (*name).to_owned()).collect();
                    return Err(UnknownName { kind: NameKind::Tool, name: name.to_owned(), known });
                }
                found.insert(name.to_owned());
            }
            Ok(found)
        };
        let mut toolsets = Toolsets::parse(requested.toolsets.as_deref().unwrap_or_default())?;
        let (tools, excluded) = (tools(&requested.tools)?, tools(&requested.excluded)?);
        if toolsets.is_empty() && tools.is_empty() {
            toolsets = Toolsets::parse_known(caller.view.toolsets.as_deref().unwrap_or_default());
            if toolsets.is_empty() {
                toolsets.default = true;
            }
        }
        let read_only = requested.read_only || caller.view.read_only || caller.scope == Scope::Read;
        let allow_unlisted = toolsets.default || tools.contains(opens);
        let two_steps = requested.two_steps.unwrap_or(caller.view.two_steps);
        Ok(Self { toolsets, tools, excluded, read_only, allow_unlisted, outputs: requested.outputs, two_steps })
    }

    /// Returns whether only reading tools are listed and called.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Returns whether the list contains output schemas.
    pub(super) fn shows_outputs(&self) -> bool {
        self.outputs
    }

    /// Returns whether operations that need consent take two steps, even if the client supports elicitation.
    pub(super) fn takes_two_steps(&self) -> bool {
        self.two_steps
    }

    /// Returns whether tools that are not listed can be found and called.
    pub(super) fn allows_unlisted(&self) -> bool {
        self.allow_unlisted
    }

    /// Returns whether `tools/list` contains the tool.
    pub(super) fn lists(&self, tool: ToolInfo<'_>) -> bool {
        self.selects(tool) && self.permits(tool)
    }

    /// Returns whether the tool was selected, listed or not; a write may still be rejected.
    pub(super) fn contains(&self, tool: ToolInfo<'_>) -> bool {
        (self.allow_unlisted || self.selects(tool)) && !self.excluded.contains(tool.name)
    }

    /// Returns whether the tool may be called.
    pub(super) fn can_call(&self, tool: ToolInfo<'_>) -> bool {
        self.contains(tool) && self.permits(tool)
    }

    fn selects(&self, tool: ToolInfo<'_>) -> bool {
        let in_set = tool.toolset.is_some_and(|toolset| self.toolsets.all || self.toolsets.named.contains(&toolset));
        in_set || (self.toolsets.default && tool.default) || self.tools.contains(tool.name)
    }

    fn permits(&self, tool: ToolInfo<'_>) -> bool {
        !self.excluded.contains(tool.name) && (tool.read_only || !self.read_only)
    }
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Credential, KeyId, ToolDefaults, UserId};

    const READ: ToolInfo<'_> =
        ToolInfo { name: "list_tags", toolset: Some(Toolset::Content), default: false, read_only: true };
    const WRITE: ToolInfo<'_> =
        ToolInfo { name: "create_guest", toolset: Some(Toolset::Guests), default: true, read_only: false };
    const OPENS: ToolInfo<'_> = ToolInfo { name: "call", toolset: None, default: true, read_only: true };

    fn caller(scope: Scope, toolsets: Option<&str>, read_only: bool) -> Principal {
        Principal {
            user: UserId(Uuid::nil()),
            credential: Credential::Key(KeyId(Uuid::nil())),
            label: "p".into(),
            scope,
            expires_at: None,
            view: ToolDefaults { toolsets: toolsets.map(Into::into), read_only, two_steps: false },
        }
    }

    /// Returns which of the three tools above a request with these toolsets, tools, exclusions and this read-only flag
    /// lists.
    fn listed(caller: &Principal, toolsets: &str, tools: &str, excluded: &str, read_only: bool) -> Vec<&'static str> {
        let text = |text: &str| Some(text.to_owned());
        let requested = ToolSelectionRequest {
            toolsets: text(toolsets),
            tools: text(tools),
            excluded: text(excluded),
            read_only,
            ..ToolSelectionRequest::default()
        };
        let known = BTreeSet::from([READ.name, WRITE.name, OPENS.name]);
        let selection = ToolSelection::new(caller, &requested, || known, OPENS.name).unwrap();
        [READ, WRITE, OPENS].into_iter().filter(|tool| selection.lists(*tool)).map(|tool| tool.name).collect()
    }

    #[test]
    fn what_a_request_says_decides_then_the_key_then_the_default() {
        let plain = caller(Scope::Full, None, false);
        let (read, write, opens) = (READ.name, WRITE.name, OPENS.name);
        assert_eq!(listed(&plain, "", "", "", false), [write, opens]);
        assert_eq!(listed(&plain, "all", "", "", false), [read, write]);
        assert_eq!(listed(&plain, " content , default ", "", "", false), [read, write, opens]);
        assert_eq!(listed(&plain, "content", "", "", false), [read]);
        assert_eq!(listed(&plain, "content", write, "", false), [read, write]);
        assert_eq!(listed(&plain, "", write, "", false), [write], "tools alone are all there is");
        assert_eq!(listed(&plain, "all", write, write, false), [read], "an exclusion wins");

        let narrow = caller(Scope::Full, Some("content,gone_since"), false);
        assert_eq!(listed(&narrow, "", "", "", false), [read]);
        assert_eq!(listed(&narrow, "guests", "", "", false), [write]);
        assert_eq!(listed(&narrow, "", opens, "", false), [opens]);
        assert_eq!(listed(&caller(Scope::Full, Some("gone_since"), false), "", "", "", false), [write, opens]);
    }

    #[test]
    fn reading_only_wins_wherever_it_is_said() {
        for (caller, read_only_requested) in [
            (caller(Scope::Full, None, false), true),
            (caller(Scope::Full, None, true), false),
            (caller(Scope::Read, None, false), false),
        ] {
            assert_eq!(listed(&caller, "all", WRITE.name, "", read_only_requested), [READ.name]);
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = Toolsets::parse("bookings,booking").unwrap_err().to_string();
        assert!(error.contains("Unknown toolset `booking`. Did you mean `bookings`?"), "{error}");
        for name in ["default", "all", "webhooks", "research"] {
            assert!(error.contains(name), "{error}");
        }
        assert_eq!(Toolsets::parse("guests, all,guests").unwrap().to_string(), "all,guests");
    }
}
