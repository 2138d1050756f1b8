//! The schemas that clients can load: each rule names the clients that need it. One tool that breaks a rule makes all
//! tools unavailable there, because those clients give up on the list or on the request to their model.

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::*;

/// A rule for a schema and each nested schema.
struct Rule {
    /// The clients that need it.
    needed_by: &'static str,
    /// Returns the violation in a schema, if there is one.
    broken: fn(&Value) -> Option<String>,
}

/// Rules for the schemas of arguments.
const INPUT_RULES: [Rule; 8] = [
    Rule {
        needed_by: "crewai-tools 1.15 and autogen-ext 0.7 load no tool at all where a format is `email`; Gemini refuses \
                    the request where one is anything but `enum` or `date-time`",
        broken: |schema| Some(schema["format"].as_str().filter(|format| *format != "date-time")?.to_owned()),
    },
    Rule {
        needed_by: "semantic-kernel 1.45, autogen-ext 0.7 and DSPy 3.4 load no tool where `type` is a list; Gemini and \
                    OpenAI need one type for each argument",
        broken: |schema| (!schema["type"].is_string()).then(|| schema["type"].to_string()),
    },
    Rule {
        needed_by: "OpenAI's strict mode and Gemini take a part of JSON Schema; crewai-tools and LangChain make a type of \
                    each alternative",
        broken: |schema| {
            let words = ["$defs", "$ref", "allOf", "anyOf", "const", "if", "not", "oneOf", "patternProperties"];
            words.into_iter().find(|word| !schema[word].is_null()).map(str::to_owned)
        },
    },
    Rule {
        needed_by: "OpenAI and Gemini refuse a list without `items`",
        broken: |schema| (schema["type"] == "array" && !schema["items"].is_object()).then(|| "items".to_owned()),
    },
    Rule {
        needed_by: "Gemini takes choices that are texts, and none that is empty",
        broken: |schema| {
            let choices = schema["enum"].as_array().into_iter().flatten();
            choices.into_iter().find(|choice| choice.as_str().is_none_or(str::is_empty)).map(Value::to_string)
        },
    },
    Rule {
        needed_by: "smolagents, DSPy, semantic-kernel and mcporter make a parameter of each argument: its name has to be \
                    one in Python and TypeScript",
        broken: |schema| {
            let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
            names.into_iter().find(|name| !is_identifier(name)).cloned()
        },
    },
    Rule {
        needed_by: "OpenAI and Gemini refuse a required argument that is no property, and patterns with look-around",
        broken: |schema| {
            let required = schema["required"].as_array().into_iter().flatten();
            let missing = required.into_iter().find(|name| schema["properties"][name.as_str().unwrap_or("")].is_null());
            let pattern = schema["pattern"].as_str().filter(|pattern| pattern.contains("(?"));
            missing.map(Value::to_string).or(pattern.map(str::to_owned))
        },
    },
    Rule {
        needed_by: "mcporter and smolagents write a function from each tool, in the order of `properties`: a required \
                    parameter cannot follow an optional one",
        broken: |schema| {
            let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
            let required = schema["required"].as_array();
            let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
            names.skip_while(|name| is_required(name)).find(|name| is_required(name)).cloned()
        },
    },
];

/// Rules for the schemas of responses. Clients validate responses against them, and generate types from them.
const OUTPUT_RULES: [Rule; 2] = [
    Rule {
        needed_by: "semantic-kernel 1.45 and DSPy 3.4, as for arguments; a member of any type has no `type`",
        broken: |schema| schema["type"].is_array().then(|| schema["type"].to_string()),
    },
    Rule {
        needed_by: "every client that checks answers: what OwnerRez adds tomorrow must not cost the answer",
        broken: |schema| {
            let words = ["additionalProperties", "anyOf", "enum", "format", "oneOf", "pattern", "required", "$ref"];
            words.into_iter().find(|word| !schema[word].is_null()).map(str::to_owned)
        },
    },
];

/// The keywords of Python 3.14, and those of TypeScript that cannot be parameter names.
const KEYWORDS: &str = "and as assert async await break case catch class const continue debugger def default del delete \
    do elif else enum except export extends finally for from function global if import in is lambda match new nonlocal \
    not null or pass raise return super switch this throw try typeof var void while with yield";

fn is_identifier(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    letters && first && name.len() <= 64 && !KEYWORDS.split_whitespace().any(|keyword| keyword == name)
}

/// Collects every violation of a rule in a schema.
fn broken(rules: &[Rule], place: &str, schema: &Value, found: &mut Vec<String>) {
    for Rule { needed_by, broken } in rules {
        found.extend(broken(schema).map(|what| format!("{place}: {what}: {needed_by}")));
    }
    if schema["items"].is_object() {
        broken(rules, &format!("{place}[]"), &schema["items"], found);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        broken(rules, &format!("{place}.{name}"), member, found);
    }
}

/// Returns every tool that a list or `find_operation` can show, with its output schema.
fn every_tool() -> Vec<(Tool, Option<Value>)> {
    let catalog = Catalog::embedded().unwrap();
    let shown = |schema: Option<&Arc<JsonObject>>| schema.map(|schema| Value::Object(schema.as_ref().clone()));
    let mut tools: Vec<_> = catalog.operations().map(|one| (one.tool().clone(), shown(one.output_schema()))).collect();
    tools.extend(catalog.drafts().map(|draft| (draft.clone(), None)));
    let composite_tools = CompositeTools::embedded().unwrap();
    tools.extend(composite_tools.all().map(|answer| (answer.tool().clone(), shown(answer.output_schema()))));
    tools.extend(ToolSearch::embedded(&catalog).unwrap().tools().map(|tool| (tool.clone(), None)));
    tools
}

#[test]
fn every_known_client_can_load_every_tool() {
    let mut found = Vec::new();
    for (tool, output) in every_tool() {
        broken(&INPUT_RULES, &tool.name, &tool.schema_as_json_value(), &mut found);
        if let Some(output) = output {
            broken(&OUTPUT_RULES, &format!("{} answers", tool.name), &output, &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// OpenAI accepts 64 characters, and Cursor 60 for the server's and the tool's name together. Claude Code shows its
/// model 2,048 characters of a description; the limit here is lower, because every model reads the whole list in every
/// conversation.
#[test]
fn names_and_descriptions_are_short_enough_for_every_client() {
    let tools = every_tool();
    let names: BTreeSet<&str> = tools.iter().map(|(tool, _)| tool.name.as_ref()).collect();
    assert_eq!(names.len(), tools.len(), "two tools have one name");
    for (tool, _) in &tools {
        assert!("ownerrez".len() + tool.name.len() < 60 && is_identifier(&tool.name), "{}", tool.name);
        let description = tool.description.as_deref().unwrap_or_default().chars().count();
        assert!((20..=200).contains(&description), "{} has a description of {description} characters", tool.name);
    }
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let argument = |schema: Value| json!({"type": "object", "properties": {"x": {"type": "array", "items": schema}}});
    for (schema, rule) in [
        (argument(json!({"type": "string", "format": "email"})), 0),
        (argument(json!({"type": "string", "format": "date"})), 0),
        (argument(json!({"type": ["string", "null"]})), 1),
        (argument(json!({"description": "anything"})), 1),
        (argument(json!({"type": "string", "anyOf": []})), 2),
        (argument(json!({"type": "array"})), 3),
        (argument(json!({"type": "string", "enum": ["a", ""]})), 4),
        (argument(json!({"type": "object", "properties": {"from": {"type": "string"}}})), 5),
        (argument(json!({"type": "object", "properties": {"a-b": {"type": "string"}}})), 5),
        (argument(json!({"type": "object", "required": ["x"]})), 6),
        (argument(json!({"type": "string", "pattern": "^(?!a)"})), 6),
        (
            argument(json!({"type": "object", "required": ["b"], "properties": {
                "a": {"type": "string"}, "b": {"type": "string"},
            }})),
            7,
        ),
    ] {
        let mut found = Vec::new();
        broken(&INPUT_RULES, "t", &schema, &mut found);
        assert!(found.len() == 1 && found[0].contains(INPUT_RULES[rule].needed_by), "{schema}: {found:?}");
    }
    for (schema, rule) in [
        (argument(json!({"type": ["string", "null"]})), 0),
        (argument(json!({"type": "string", "format": "date-time"})), 1),
        (argument(json!({"type": "object", "required": ["id"]})), 1),
    ] {
        let mut found = Vec::new();
        broken(&OUTPUT_RULES, "t", &schema, &mut found);
        assert!(found.len() == 1 && found[0].contains(OUTPUT_RULES[rule].needed_by), "{schema}: {found:?}");
    }
    let mut found = Vec::new();
    broken(&OUTPUT_RULES, "t", &argument(json!({})), &mut found);
    assert!(found.is_empty(), "a member of any type is fine: {found:?}");
}
