//! Validation of a record of the table. The checks run when the program starts, and before that in the tests, so the
//! rest of the catalogue may rely on them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    argument_names::{CLEAR, FIELDS, FORMAT},
    effect,
    options::WriteOptions,
    spec::{GuestVisible, OperationSpec, ParameterLocation, ParameterSpec, Segment, Style, SynonymSpec, segments},
    tool_definition::ToolSpec,
};
use crate::domain::Method;

/// The JSON Schema keywords that the table uses. A closed list, because a misspelt keyword would silently check
/// nothing, and because clients fail on the rarer ones.
const SCHEMA_WORDS: [&str; 15] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const FORMATS: [&str; 5] = ["csv-int", "date", "date-time", "email", "uri"];

/// Returns all mistakes in one record.
pub(super) fn lint_operation(spec: &OperationSpec) -> Vec<String> {
    let mut found = Vec::new();
    names_and_words(spec, &mut found);
    method_and_hints(spec, &mut found);
    path(spec, &mut found);
    parameters(spec, &mut found);
    body(spec, &mut found);
    rules(spec, &mut found);
    writes(spec, &mut found);
    found
}

/// Returns all mistakes in the record of one of the gateway's own tools.
pub(super) fn lint_tool(spec: &ToolSpec) -> Vec<String> {
    let mut found = Vec::new();
    tool_words(&spec.tool, &spec.title, &spec.description, &mut found);
    for (name, schema) in &spec.arguments {
        schema_words(name, schema, &mut found);
    }
    let ranges = spec.ranges.iter().flat_map(|range| [&range.from, &range.to]);
    let checks = spec.checks.iter().map(|check| &check.argument);
    for name in spec.required.iter().chain(spec.one_of_required.iter().flatten()).chain(ranges).chain(checks) {
        if !spec.arguments.contains_key(name) {
            found.push(format!("the rules name `{name}`, which is no argument"));
        }
    }
    synonyms(&spec.synonyms, |name| spec.arguments.contains_key(name), &mut found);
    found
}

fn names_and_words(spec: &OperationSpec, found: &mut Vec<String>) {
    tool_words(&spec.tool, &spec.title, &spec.description, found);
    if !is_snake_case(&spec.group) {
        found.push("`group` is snake_case".into());
    }
}

fn tool_words(tool: &str, title: &str, description: &str, found: &mut Vec<String>) {
    if !is_snake_case(tool) || tool.len() > 64 {
        found.push("`tool` is snake_case of at most 64 characters".into());
    }
    if !(4..=40).contains(&title.chars().count()) {
        found.push("`title` has 4 to 40 characters".into());
    }
    if !(20..=200).contains(&description.chars().count()) {
        found.push("`description` has 20 to 200 characters".into());
    }
}

fn method_and_hints(spec: &OperationSpec, found: &mut Vec<String>) {
    if spec.read_only != (spec.method == Method::Get) {
        found.push("`read_only` must be true for GET and for no other method".into());
    }
    if spec.fresh_seconds.is_some() && !spec.read_only {
        found.push("only a `read_only` operation has `fresh_seconds`".into());
    }
    if spec.fresh_seconds.is_none() && !spec.fresh_unless.is_empty() {
        found.push("`fresh_unless` goes with `fresh_seconds`".into());
    }
    for name in &spec.fresh_unless {
        if !spec.parameters.iter().any(|parameter| parameter.name == *name) {
            found.push(format!("`fresh_unless` names {name}, which is no parameter"));
        }
    }
    if spec.read_only && (spec.destructive || !spec.idempotent) {
        found.push("a `read_only` operation is not `destructive`, and is `idempotent`".into());
    }
    if spec.method == Method::Delete && !spec.destructive {
        found.push("a DELETE is `destructive`".into());
    }
    if spec.answer.is_page() && !spec.read_only {
        found.push("only a read answers with a page".into());
    }
    if !spec.page_members.is_empty() && !spec.answer.is_page() {
        found.push("`page_members` goes with a page".into());
    }
}

fn path(spec: &OperationSpec, found: &mut Vec<String>) {
    let mut named = BTreeSet::new();
    if !spec.path.starts_with("/v2/") {
        found.push("`path` begins with /v2/".into());
    }
    for segment in segments(&spec.path) {
        match segment {
            Segment::Placeholder(name) => {
                if !named.insert(name) {
                    found.push(format!("`path` names {{{name}}} twice"));
                }
                let declared = spec
                    .parameters
                    .iter()
                    .any(|p| p.name == name && p.location == ParameterLocation::Path && p.required);
                if !declared {
                    found.push(format!("`path` names {{{name}}}, which is no required path parameter"));
                }
            }
            Segment::Literal(text) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if text.is_empty() || !text.chars().all(plain) {
                    found
                        .push(format!("`path` has the segment \"{text}\", which is neither a plain word nor {{name}}"));
                }
            }
        }
    }
    for parameter in spec.parameters.iter().filter(|p| p.location == ParameterLocation::Path) {
        if !named.contains(parameter.name.as_str()) {
            found.push(format!("the path parameter `{}` is not in `path`", parameter.name));
        }
    }
}

fn parameters(spec: &OperationSpec, found: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    let body_names = spec.body_argument.iter().map(String::as_str).chain(body_members(spec));
    for name in spec.parameters.iter().map(|p| p.name.as_str()).chain(body_names) {
        if !names.insert(name) {
            found.push(format!("the argument `{name}` is declared twice"));
        }
    }
    for parameter in &spec.parameters {
        let name = &parameter.name;
        let kind = parameter.schema.get("type").and_then(Value::as_str).unwrap_or_default();
        let sendable = match (parameter.location, kind) {
            (ParameterLocation::Path, "integer" | "string") => parameter.style.is_none() && !parameter.is_csv(),
            (ParameterLocation::Query, "array") => parameter.style == Some(Style::Indexed),
            (ParameterLocation::Query, "boolean" | "integer" | "number" | "string") => parameter.style.is_none(),
            _ => false,
        };
        if !sendable {
            found.push(format!("the parameter `{name}` cannot be sent in the {:?} as \"{kind}\"", parameter.location));
        }
        schema_words(name, &Value::Object(parameter.schema.clone()), found);
    }
    if spec.answer.is_page() {
        for name in ["limit", "offset"] {
            let integer = |p: &ParameterSpec| p.schema.get("type").is_some_and(|kind| kind == "integer");
            if !spec.parameters.iter().any(|p| p.location == ParameterLocation::Query && p.name == name && integer(p)) {
                found.push(format!("a list takes the integer `{name}` in its query"));
            }
        }
    }
}

fn body(spec: &OperationSpec, found: &mut Vec<String>) {
    let takes_body = matches!(spec.method, Method::Post | Method::Patch);
    match &spec.body {
        Some(_) if !takes_body => found.push("GET and DELETE have no `body`".into()),
        None if spec.method == Method::Patch => found.push("a PATCH has a `body`".into()),
        None if spec.open_body => found.push("`open_body` needs a `body`".into()),
        None if spec.body_argument.is_some() => found.push("`body_argument` needs a `body`".into()),
        Some(body) => {
            if spec.body_argument.is_none() && (body["type"] != "object" || body_members(spec).next().is_none()) {
                found.push("a `body` without `body_argument` is an object with `properties`".into());
            }
            if spec.open_body && (spec.body_argument.is_some() || body_members(spec).any(|member| member == "data")) {
                found.push("`open_body` reserves the argument `data`".into());
            }
            schema_words("body", body, found);
        }
        None => {}
    }
}

fn rules(spec: &OperationSpec, found: &mut Vec<String>) {
    let known = |name: &str| {
        let mut body_names = spec.body_argument.iter().map(String::as_str).chain(body_members(spec));
        spec.parameters.iter().any(|p| p.name == name) || body_names.any(|member| member == name)
    };
    if spec.read_only {
        for name in [FIELDS, FORMAT].into_iter().filter(|name| known(name)) {
            found.push(format!("the argument `{name}` is reserved in reading operations"));
        }
    }
    for name in spec.one_of_required.iter().flatten() {
        if !known(name) {
            found.push(format!("`one_of_required` names `{name}`, which is no argument"));
        }
        if !spec.description.contains(&format!("`{name}`")) {
            found.push(format!("`description` has to name `{name}`, because the schema cannot state the rule"));
        }
    }
    if spec.one_of_required.iter().any(|group| group.len() < 2) {
        found.push("a group of `one_of_required` has two names or more".into());
    }
    if spec.one_of_required.is_empty() != spec.one_of_reason.is_none() {
        found.push("`one_of_required` and `one_of_why` belong together".into());
    }
    for name in spec.ranges.iter().flat_map(|range| [&range.from, &range.to]) {
        if !known(name) {
            found.push(format!("`ranges` names `{name}`, which is no argument"));
        }
    }
    synonyms(&spec.synonyms, known, found);
    if !spec.clears.is_empty() {
        for name in spec.clears.iter().filter(|name| !body_or_entry_members(spec).any(|member| member == **name)) {
            found.push(format!("`clears` names `{name}`, which is no member of the body"));
        }
        if known(CLEAR) || body_or_entry_members(spec).any(|member| member == CLEAR) || spec.method != Method::Patch {
            found.push("`clears` reserves the argument `clear` of a PATCH".into());
        }
    }
    for check in &spec.checks {
        if !known(&check.argument) {
            found.push(format!("`checks` names `{}`, which is no argument", check.argument));
        }
        if check.explain.is_empty() {
            found.push("a check explains itself".into());
        }
    }
}

fn synonyms(synonyms: &[SynonymSpec], known: impl Fn(&str) -> bool, found: &mut Vec<String>) {
    for synonym in synonyms {
        if !known(&synonym.argument) {
            found.push(format!("`synonyms` names `{}`, which is no argument", synonym.argument));
        }
        if known(&synonym.name) && synonym.values.is_none() {
            found.push(format!("`synonyms` gives `{}` another meaning, but it is an argument", synonym.name));
        }
    }
}

/// Checks the statements about the effect of a write.
fn writes(spec: &OperationSpec, found: &mut Vec<String>) {
    let names: BTreeSet<&str> =
        spec.parameters.iter().map(|p| p.name.as_str()).chain(body_or_entry_members(spec)).collect();
    if let Some(draft) = &spec.draft {
        tool_words(&draft.tool, &draft.title, &draft.description, found);
        if spec.guest_visible != GuestVisible::Always(true) || spec.body.is_none() {
            found.push("a `draft` is for an operation that always reaches a guest and has a `body`".into());
        }
    }
    if let GuestVisible::If(name) = &spec.guest_visible
        && !names.contains(name.as_str())
    {
        found.push(format!("`guest_visible` names `{name}`, which is no argument"));
    }
    if let Some(name) = &spec.dry_run
        && !names.contains(name.as_str())
    {
        found.push(format!("`dry_run` names `{name}`, which is no argument"));
    }
    if spec.read_only && (spec.guest_visible != GuestVisible::Always(false) || !spec.touches.is_empty()) {
        found.push("a `read_only` operation neither reaches a guest nor `touches` a record".into());
    }
    for name in spec.touches.iter().flat_map(|template| effect::placeholder_names(template)) {
        if !names.contains(name) {
            found.push(format!("`touches` names `{name}`, which is no argument"));
        }
    }
    if !spec.read_only {
        for name in WriteOptions::NAMES.into_iter().filter(|name| names.contains(name)) {
            found.push(format!("the argument `{name}` is reserved for write options"));
        }
    }
}

/// Returns the members of a body that become separate arguments.
fn body_members(spec: &OperationSpec) -> impl Iterator<Item = &str> {
    let spread = spec.body.as_ref().filter(|_| spec.body_argument.is_none());
    spread.and_then(|body| body["properties"].as_object()).into_iter().flatten().map(|(name, _)| name.as_str())
}

/// Returns the same, and the members of each entry if the body is a list.
fn body_or_entry_members(spec: &OperationSpec) -> impl Iterator<Item = &str> {
    let listed = spec.body.iter().filter(|_| spec.body_argument.is_some());
    let entries = listed.filter_map(|body| body["items"]["properties"].as_object()).flatten().map(|(name, _)| &**name);
    body_members(spec).chain(entries)
}

/// Checks the keywords of a schema and of its nested schemas.
fn schema_words(path: &str, schema: &Value, found: &mut Vec<String>) {
    let Some(words) = schema.as_object() else {
        found.push(format!("the schema of `{path}` is not an object"));
        return;
    };
    let kind = words.get("type").and_then(Value::as_str);
    if !kind.is_some_and(|kind| TYPES.contains(&kind)) {
        found.push(format!("`{path}` has one `type`"));
    }
    for word in words.keys().filter(|word| *word != "type" && !SCHEMA_WORDS.contains(&word.as_str())) {
        found.push(format!("`{path}` uses the unknown keyword \"{word}\""));
    }
    let format = words.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| !FORMATS.contains(&format)) {
        found.push(format!("`{path}` has a format that is not validated"));
    }
    if kind == Some("array") && !words.contains_key("items") {
        found.push(format!("the list `{path}` has no `items`"));
    }
    if let Some(items) = words.get("items") {
        schema_words(&format!("{path}[]"), items, found);
    }
    for (name, member) in words.get("properties").and_then(Value::as_object).into_iter().flatten() {
        schema_words(&format!("{path}.{name}"), member, found);
    }
}

fn is_snake_case(name: &str) -> bool {
    let word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && !word.is_empty();
    name.split('_').all(word) && name.starts_with(|c: char| c.is_ascii_lowercase())
}
