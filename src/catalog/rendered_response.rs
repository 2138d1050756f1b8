//! A response as a model gets it: the text of a JSON object, and a table if one was requested.

use serde::Serialize;
use serde_json::Value;

/// The size that most responses fit into, in bytes.
pub(super) const TYPICAL_SIZE: usize = 2 * 1024;

/// A response as a model gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedResponse {
    /// The text of a JSON object; a table is one text in it. Clients with an output schema require this.
    pub json: String,
    /// The text content, if it is a table; otherwise it is the same JSON.
    pub table: Option<String>,
}

impl RenderedResponse {
    /// Returns a response unreduced.
    pub fn unreduced(answer: &impl Serialize) -> Self {
        // Written directly to a buffer; `Display` uses a formatter, which takes several times as long.
        let mut text = Vec::with_capacity(TYPICAL_SIZE);
        // A response can always be serialized.
        let written = serde_json::to_writer(&mut text, answer).ok();
        Self { json: written.and_then(|()| String::from_utf8(text).ok()).unwrap_or_default(), table: None }
    }

    /// Adds a notice as one more member, and as the first line if the text is a table.
    #[must_use]
    pub fn with_notice(mut self, name: &str, notice: &str) -> Self {
        let line = serde_json::json!({ name: notice }).to_string();
        if let (Some(members), Some(member)) = (self.json.trim_end().strip_suffix('}'), line.strip_prefix('{')) {
            let comma = if members.ends_with('{') { "" } else { "," };
            self.json = format!("{members}{comma}{member}");
        }
        self.table = self.table.map(|table| format!("{line}\n{table}"));
        self
    }

    /// Parses the JSON.
    pub fn structured(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}
