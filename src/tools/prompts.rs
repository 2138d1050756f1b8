//! Prompts for daily tasks, which clients show as commands. The table is `config/prompts.json`.

use rmcp::model::{GetPromptResult, Prompt, PromptArgument, PromptMessage, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::resources::Resources;
use crate::catalog::{self, CatalogError};

/// The longest argument, in characters: arguments are names, ids and short requests.
const LONGEST_ARGUMENT: usize = 1000;

/// The table, validated and ready.
pub struct Prompts(Vec<PromptData>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptData {
    name: String,
    title: String,
    description: String,
    arguments: Vec<ArgumentData>,
    /// The task for the model; `{name}` is replaced by an argument.
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArgumentData {
    name: String,
    title: String,
    description: String,
    #[serde(default)]
    required: bool,
    /// The text to use if the argument is absent.
    default: Option<String>,
    /// The kind of record whose id this is, among the resources.
    names_of: Option<String>,
}

impl Prompts {
    /// Returns the prompts that are compiled into the program.
    pub fn embedded(resources: &Resources) -> Result<Self, CatalogError> {
        let prompts: Vec<PromptData> = serde_json::from_str(include_str!("../../config/prompts.json"))
            .map_err(|error| CatalogError { errors: vec![format!("prompts: {error}")] })?;
        let mut errors = Vec::new();
        for prompt in &prompts {
            for argument in &prompt.arguments {
                let place = format!("{} of the prompt {}", argument.name, prompt.name);
                if argument.required == argument.default.is_some() {
                    errors.push(format!("{place}: either it is required or it has a default"));
                }
                if !prompt.text.contains(&format!("{{{}}}", argument.name)) {
                    errors.push(format!("{place}: the text does not use it"));
                }
                if argument.names_of.as_ref().is_some_and(|kind| !resources.has_names(kind)) {
                    errors.push(format!("{place}: there are no names of that kind"));
                }
            }
        }
        if errors.is_empty() { Ok(Self(prompts)) } else { Err(CatalogError { errors }) }
    }

    /// Returns all prompts, as `prompts/list` shows them.
    pub fn list(&self) -> Vec<Prompt> {
        self.0
            .iter()
            .map(|prompt| {
                let arguments = prompt.arguments.iter().map(|argument| {
                    PromptArgument::new(&argument.name)
                        .with_title(&argument.title)
                        .with_description(&argument.description)
                        .with_required(argument.required)
                });
                let arguments: Vec<PromptArgument> = arguments.collect();
                Prompt::new(&prompt.name, Some(&prompt.description), (!arguments.is_empty()).then_some(arguments))
                    .with_title(&prompt.title)
            })
            .collect()
    }

    /// Returns the prompt with its arguments filled in, or a message that says what is wrong.
    pub fn get(&self, name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, String> {
        let Some(prompt) = self.0.iter().find(|prompt| prompt.name == name) else {
            let near = catalog::suggest(name, self.0.iter().map(|prompt| prompt.name.as_str()));
            let near = near.map_or(String::new(), |name| format!(" Did you mean `{name}`?"));
            let known: Vec<&str> = self.0.iter().map(|prompt| prompt.name.as_str()).collect();
            let asked = catalog::shown_name(name);
            return Err(format!("Unknown prompt `{asked}`.{near} The prompts are {}.", known.join(", ")));
        };
        let known = |name: &str| prompt.arguments.iter().any(|argument| argument.name == name);
        if let Some(unknown) = arguments.keys().find(|name| !known(name)) {
            return Err(format!("{name} has no argument `{unknown}`. prompts/list shows its arguments."));
        }
        let mut values = Vec::new();
        for argument in &prompt.arguments {
            let given = match arguments.get(&argument.name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) if text.trim().is_empty() => None,
                Some(Value::String(text)) if text.chars().count() > LONGEST_ARGUMENT => {
                    return Err(format!("`{}` is longer than {LONGEST_ARGUMENT} characters.", argument.name));
                }
                Some(Value::String(text)) => Some(text.trim().to_owned()),
                Some(_) => return Err(format!("`{}` has to be a string.", argument.name)),
            };
            let value = given.or_else(|| argument.default.clone());
            let value = value.ok_or_else(|| format!("{name} needs `{}`: {}.", argument.name, argument.description))?;
            values.push((argument.name.as_str(), value));
        }
        let message = PromptMessage::new_text(Role::User, filled(&prompt.text, &values));
        Ok(GetPromptResult::new(vec![message]).with_description(&prompt.description))
    }

    /// Returns the kind of record whose id an argument of a prompt is.
    pub fn kind(&self, prompt: &str, argument: &str) -> Option<&str> {
        let prompt = self.0.iter().find(|known| known.name == prompt)?;
        prompt.arguments.iter().find(|known| known.name == argument)?.names_of.as_deref()
    }
}

/// Replaces the placeholders in one pass, so that no text in a value is taken for a placeholder.
fn filled(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = after.split_once('}');
        let value = place.and_then(|(name, _)| values.iter().find(|(known, _)| *known == name));
        match (place, value) {
            (Some((_, behind)), Some((_, value))) => {
                filled.push_str(value);
                rest = behind;
            }
            _ => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::Catalog, tools::CompositeTools};

    #[test]
    fn prompts_name_only_tools_that_there_are() -> Result<(), CatalogError> {
        let (catalog, composite_tools) = (Catalog::embedded()?, CompositeTools::embedded()?);
        for prompt in Prompts::embedded(&Resources::embedded(&catalog)?)?.0 {
            let named: Vec<&str> = prompt.text.split('`').skip(1).step_by(2).collect();
            assert!(!named.is_empty(), "{} names a tool", prompt.name);
            for tool in named {
                assert!(catalog.get(tool).is_some() || composite_tools.get(tool).is_some(), "{}: {tool}", prompt.name);
            }
        }
        Ok(())
    }

    #[test]
    fn a_value_is_never_taken_for_a_place() {
        let values = [("a", "{b}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(filled("1 {a} 2 {b} 3 {c} {", &values), "1 {b} 2 x 3 {c} {");
    }
}
