//! The settings of a connection: their names as people and clients write them, and the words of a switch.
//!
//! A setting that is misspelt and ignored leaves open what it was to close. So other spellings of a name are understood, and a
//! name that is only similar is refused.

/// A setting of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConnectionSetting {
    /// The toolsets to list.
    Toolsets,
    /// Single tools to list.
    Tools,
    /// Tools to leave out.
    ExcludeTools,
    /// Whether only tools that read are listed and called.
    ReadOnly,
    /// Whether the list shows what answers look like.
    OutputSchemas,
    /// Whether what needs consent takes two steps.
    TwoSteps,
}

/// Each setting with its name in an address, and with other names of it, without case, dashes and underscores.
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
/// A shorter name that another begins with says too little.
const BEGINNING: usize = 4;

impl ConnectionSetting {
    /// Returns the setting that a name means; `None` for one that has nothing to do with a setting.
    ///
    /// # Errors
    /// The name of the setting that a misspelt name probably means.
    pub fn meant(name: &str) -> Result<Option<ConnectionSetting>, &'static str> {
        let written = plain(name);
        let is_same = |known: &str, others: &[&str]| plain(known) == written || others.contains(&&*written);
        if let Some((setting, _, _)) = NAMES.into_iter().find(|(_, known, others)| is_same(known, others)) {
            return Ok(Some(setting));
        }
        let begins_alike = |known: &&str| {
            let known = plain(known);
            written.len() >= BEGINNING && (known.starts_with(&written) || written.starts_with(&known))
        };
        let known = NAMES.map(|(_, known, _)| known);
        // The longer one, since `toolsets` begins with `tool`.
        let begun = known.into_iter().filter(begins_alike).max_by_key(|known| known.len());
        match misspelt(&written, known).or(begun) {
            Some(near) => Err(near),
            None => Ok(None),
        }
    }

    /// Returns its name in an address.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(setting, _, _)| *setting == self).map_or("", |(_, name, _)| name)
    }

    /// Returns its name as a header.
    pub fn header(self) -> String {
        let words = self.name().split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        });
        format!("X-MCP-{}", words.collect::<Vec<_>>().join("-"))
    }

    /// Returns the names of all settings in an address.
    pub fn names() -> String {
        NAMES.map(|(_, name, _)| name).join(", ")
    }
}

/// Returns what the word of a switch says; `None` for another word.
pub fn switched(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "on" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// Returns the name that is only a few letters away.
fn misspelt(written: &str, known: [&'static str; 6]) -> Option<&'static str> {
    let distance = |known: &'static str| (strsim::levenshtein(written, &plain(known)), known);
    let (mistakes, near) = known.into_iter().map(distance).min()?;
    (mistakes <= written.len() / 4).then_some(near)
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
            assert_eq!(ConnectionSetting::meant(name), understood, "{name}");
        }
    }

    #[test]
    fn only_the_words_of_a_switch_say_something() {
        for word in ["true", "1", "YES", "on", " y ", "t"] {
            assert_eq!(switched(word), Some(true), "{word}");
        }
        for word in ["false", "0", "No", "off", "n", "f"] {
            assert_eq!(switched(word), Some(false), "{word}");
        }
        for word in ["", "maybe", "fals", "true,false", "2"] {
            assert_eq!(switched(word), None, "{word}");
        }
    }

    #[test]
    fn a_header_has_the_same_name() {
        assert_eq!(ConnectionSetting::ReadOnly.header(), "X-MCP-Readonly");
        assert_eq!(ConnectionSetting::ExcludeTools.header(), "X-MCP-Exclude-Tools");
    }
}
