//! The settings of a connection: the accepted spellings of their names, and the values of boolean settings.
//!
//! A misspelt setting that is silently ignored would leave open what it was meant to restrict. So known alternative
//! spellings are accepted, and a name that is only similar to a setting is rejected.

/// A setting of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConnectionSetting {
    /// The toolsets to list.
    Toolsets,
    /// Individual tools to list.
    Tools,
    /// Tools to exclude.
    ExcludeTools,
    /// Whether only read-only tools are listed and callable.
    ReadOnly,
    /// Whether the tool list includes output schemas.
    OutputSchemas,
    /// Whether tools that need consent use two steps.
    TwoSteps,
}

/// Each setting with its query-parameter name, and its alternative names without case, dashes and underscores.
const NAMES: [(ConnectionSetting, &str, &[&str]); 6] = [
    (ConnectionSetting::Toolsets, "toolsets", &["toolset"]),
    (ConnectionSetting::Tools, "tools", &["tool"]),
    (
        ConnectionSetting::ExcludeTools,
        "exclude_tools",
        &["exclude", "excluded", "excludetool", "excludedtool", "excludedtools"],
    ),
    (ConnectionSetting::ReadOnly, "readonly", &[]),
    (ConnectionSetting::OutputSchemas, "output_schemas", &["outputschema"]),
    (ConnectionSetting::TwoSteps, "two_steps", &["twostep"]),
];
/// The shortest name that is compared by prefix. A shorter prefix is ambiguous.
const BEGINNING: usize = 4;

impl ConnectionSetting {
    /// Returns the setting with this name; `None` if the name does not resemble any setting.
    ///
    /// # Errors
    /// The name of the setting that a misspelt name probably means.
    pub fn from_name(name: &str) -> Result<Option<ConnectionSetting>, &'static str> {
        let input = plain(name);
        let is_same = |known: &str, others: &[&str]| plain(known) == input || others.contains(&&*input);
        if let Some((setting, _, _)) = NAMES.into_iter().find(|(_, known, others)| is_same(known, others)) {
            return Ok(Some(setting));
        }
        let begins_alike = |known: &&str| {
            let known = plain(known);
            input.len() >= BEGINNING && (known.starts_with(&input) || input.starts_with(&known))
        };
        let known = NAMES.map(|(_, known, _)| known);
        // The longest match, because `toolsets` begins with `tool`.
        let begun = known.into_iter().filter(begins_alike).max_by_key(|known| known.len());
        match misspelt(&input, known).or(begun) {
            Some(near) => Err(near),
            None => Ok(None),
        }
    }

    /// Returns the setting's query-parameter name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(setting, _, _)| *setting == self).map_or("", |(_, name, _)| name)
    }

    /// Returns the setting's header name.
    pub fn header(self) -> String {
        let words = self.name().split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        });
        format!("X-MCP-{}", words.collect::<Vec<_>>().join("-"))
    }

    /// Returns the query-parameter names of all settings, separated by commas.
    pub fn names() -> String {
        NAMES.map(|(_, name, _)| name).join(", ")
    }
}

/// Parses a boolean value; `None` for an unknown word.
pub fn parse_bool(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "on" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// Returns the name with the smallest edit distance, if that is at most a quarter of the length of the input.
fn misspelt(input: &str, known: [&'static str; 6]) -> Option<&'static str> {
    let distance = |known: &'static str| (strsim::levenshtein(input, &plain(known)), known);
    let (mistakes, near) = known.into_iter().map(distance).min()?;
    (mistakes <= input.len() / 4).then_some(near)
}

fn plain(name: &str) -> String {
    name.chars().take(100).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_understood_and_similar_names_are_refused() {
        for (name, understood) in [
            ("readonly", Ok(Some(ConnectionSetting::ReadOnly))),
            ("readOnly", Ok(Some(ConnectionSetting::ReadOnly))),
            ("READONLY", Ok(Some(ConnectionSetting::ReadOnly))),
            ("read_only", Ok(Some(ConnectionSetting::ReadOnly))),
            ("read-only", Ok(Some(ConnectionSetting::ReadOnly))),
            ("toolset", Ok(Some(ConnectionSetting::Toolsets))),
            ("Tools", Ok(Some(ConnectionSetting::Tools))),
            ("exclude", Ok(Some(ConnectionSetting::ExcludeTools))),
            ("excluded-tools", Ok(Some(ConnectionSetting::ExcludeTools))),
            ("two-steps", Ok(Some(ConnectionSetting::TwoSteps))),
            ("outputSchemas", Ok(Some(ConnectionSetting::OutputSchemas))),
            ("readonyl", Err("readonly")),
            ("read", Err("readonly")),
            ("readonly_mode", Err("readonly")),
            ("exclude_toolsets", Err("exclude_tools")),
            ("exlcude_tools", Err("exclude_tools")),
            ("toolsest", Err("toolsets")),
            ("toolsetss", Err("toolsets")),
            ("two_stepz", Err("two_steps")),
            ("utm_source", Ok(None)),
            ("token", Ok(None)),
            ("key", Ok(None)),
            ("session_id", Ok(None)),
            ("insiders", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(ConnectionSetting::from_name(name), understood, "{name}");
        }
    }

    #[test]
    fn only_the_words_of_a_switch_say_something() {
        for word in ["true", "1", "YES", "on", " y ", "t"] {
            assert_eq!(parse_bool(word), Some(true), "{word}");
        }
        for word in ["false", "0", "No", "off", "n", "f"] {
            assert_eq!(parse_bool(word), Some(false), "{word}");
        }
        for word in ["", "maybe", "fals", "true,false", "2"] {
            assert_eq!(parse_bool(word), None, "{word}");
        }
    }

    #[test]
    fn a_header_has_the_same_name() {
        assert_eq!(ConnectionSetting::ReadOnly.header(), "X-MCP-Readonly");
        assert_eq!(ConnectionSetting::ExcludeTools.header(), "X-MCP-Exclude-Tools");
    }
}
