//! Conversion of validated arguments into the path, query and body of an upstream request.

use serde_json::{Map, Value};
use url::form_urlencoded::{Serializer, byte_serialize, parse};

use super::{
    argument_names::CLEAR,
    json_schema,
    problem::ArgumentProblem,
    spec::{OperationSpec, ParameterLocation, ParameterSpec, Segment, Style, segments},
};
use crate::domain::{Method, UpstreamRequest};

/// Builds the request. The arguments have been validated against the schema; this checks rules that no schema
/// expresses.
pub(super) fn build(
    spec: &OperationSpec,
    arguments: &Map<String, Value>,
) -> Result<(String, Option<Value>), ArgumentProblem> {
    let mut path_and_query = path(spec, arguments)?;
    let query = query(spec, arguments);
    if !query.is_empty() {
        path_and_query.push('?');
        path_and_query.push_str(&query);
    }
    Ok((path_and_query, body(spec, arguments)?))
}

fn path(spec: &OperationSpec, arguments: &Map<String, Value>) -> Result<String, ArgumentProblem> {
    let mut path = String::new();
    for segment in segments(&spec.path) {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Placeholder(name) => path.push_str(&path_value(name, arguments.get(name))?),
        }
    }
    Ok(path)
}

/// Encodes a value as exactly one path segment. Dots alone would leave the path even when they are encoded.
fn path_value(name: &str, value: Option<&Value>) -> Result<String, ArgumentProblem> {
    let text = value.map(plain).unwrap_or_default();
    if matches!(text.as_str(), "" | "." | "..") {
        return Err(ArgumentProblem::new(name, format!("`{name}` cannot be empty and cannot be dots alone")));
    }
    // Form encoding writes a space as "+", which is a literal plus in a path.
    Ok(byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20"))
}

/// Builds the query in the order of the table, so that equal calls are equal requests.
fn query(spec: &OperationSpec, arguments: &Map<String, Value>) -> String {
    let mut query = Serializer::new(String::new());
    for parameter in spec.parameters.iter().filter(|parameter| parameter.location == ParameterLocation::Query) {
        let name = parameter.wire_name();
        match arguments.get(&parameter.name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if parameter.style == Some(Style::Indexed) => {
                for (index, item) in items.iter().enumerate() {
                    query.append_pair(&format!("{name}[{index}]"), &plain(item));
                }
            }
            Some(Value::Array(items)) => {
                let joined: Vec<String> = items.iter().map(plain).collect();
                query.append_pair(name, &joined.join(","));
            }
            Some(value) => {
                query.append_pair(name, &plain(value));
            }
        }
    }
    query.finish()
}

fn body(spec: &OperationSpec, arguments: &Map<String, Value>) -> Result<Option<Value>, ArgumentProblem> {
    let Some(schema) = &spec.body else { return Ok(None) };
    if let Some(name) = &spec.body_argument {
        let Some(Value::Array(entries)) = arguments.get(name) else { return Ok(arguments.get(name).cloned()) };
        let emptied = entries.iter().enumerate().map(|(index, entry)| match entry.clone() {
            Value::Object(mut entry) => {
                clear(spec, &mut entry, &format!("{name}[{index}]."))?;
                Ok(Value::Object(entry))
            }
            other => Ok(other),
        });
        return Ok(Some(emptied.collect::<Result<_, ArgumentProblem>>()?));
    }
    let names: Vec<&String> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let given = names.iter().filter_map(|name| Some(((*name).clone(), arguments.get(*name)?.clone())));
    let mut body: Map<String, Value> = given.collect();
    if let Some(Value::Object(more)) = arguments.get("data").filter(|_| spec.open_body) {
        body.extend(more.clone());
    }
    if let Some(names) = arguments.get(CLEAR) {
        body.insert(CLEAR.to_owned(), names.clone());
        clear(spec, &mut body, "")?;
    }
    if body.is_empty() {
        let list = |between: &str| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(between);
        let what = if spec.method == Method::Patch { "change" } else { "create" };
        let or_clear = if spec.clears.is_empty() { "" } else { ", or name in `clear` what to empty" };
        let message = format!("there is nothing to {what}: give at least one of `{}`{or_clear}", list("`, `"));
        return Err(ArgumentProblem::new(list("|"), message));
    }
    Ok(Some(Value::Object(body)))
}

/// Replaces the names in `clear` by members with the value that clears them.
fn clear(spec: &OperationSpec, members: &mut Map<String, Value>, prefix: &str) -> Result<(), ArgumentProblem> {
    if spec.clears.is_empty() {
        return Ok(());
    }
    let Some(Value::Array(names)) = members.remove(CLEAR) else { return Ok(()) };
    for name in names.iter().filter_map(Value::as_str) {
        if members.insert(name.to_owned(), cleared_value(spec, name)).is_some_and(|given| !given.is_null()) {
            let argument = format!("{prefix}{name}");
            let message = format!("`{argument}` has a value and is named in `clear`: give one of the two");
            return Err(ArgumentProblem::new(argument, message));
        }
    }
    Ok(())
}

/// Returns the value with which OwnerRez clears a member: empty text if the member takes any text, otherwise null.
fn cleared_value(spec: &OperationSpec, name: &str) -> Value {
    let body = spec.body.as_ref().unwrap_or(&Value::Null);
    let members = if spec.body_argument.is_some() { &body["items"]["properties"] } else { &body["properties"] };
    let member = &members[name];
    let is_text =
        json_schema::kind(member) == "string" && ["format", "pattern"].iter().all(|word| member[word].is_null());
    if is_text { Value::from("") } else { Value::Null }
}

/// Converts members of a body to arguments: the inverse of `clear`.
pub(super) fn as_arguments(spec: &OperationSpec, members: &Map<String, Value>) -> Map<String, Value> {
    let is_cleared = |name: &str, value: &Value| {
        spec.clears.iter().any(|clears| clears == name) && *value == cleared_value(spec, name)
    };
    let mut given = members.clone();
    given.retain(|name, value| !is_cleared(name, value));
    let cleared = members.iter().filter(|(name, value)| is_cleared(name, value));
    let cleared: Vec<Value> = cleared.map(|(name, _)| Value::from(name.as_str())).collect();
    if !cleared.is_empty() {
        given.insert(CLEAR.to_owned(), Value::Array(cleared));
    }
    if spec.open_body {
        let known = spec.body.as_ref().and_then(|body| body["properties"].as_object());
        let (named, open): (Map<_, _>, Map<_, _>) =
            given.into_iter().partition(|(name, _)| known.is_some_and(|known| known.contains_key(name)));
        given = named;
        if !open.is_empty() {
            given.insert("data".to_owned(), Value::Object(open));
        }
    }
    given
}

/// Returns a scalar as it is written in a path or query.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the path parameters of a request by name, numbers as numbers.
pub(super) fn path_values(spec: &OperationSpec, request: &UpstreamRequest) -> Map<String, Value> {
    let path = request.path_and_query.split('?').next().unwrap_or_default();
    segments(&spec.path)
        .zip(path.split('/').skip(1))
        .filter_map(|(segment, value)| match segment {
            Segment::Placeholder(name) => {
                // Parsed as a form's only key, which uses the same encoding as `path_value`.
                let text = parse(value.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default();
                let parameter = spec.parameters.iter().find(|parameter| parameter.name == name);
                Some((name.to_owned(), typed(parameter, text)))
            }
            Segment::Literal(_) => None,
        })
        .collect()
}

/// Returns the query parameters of a request, by the names of their arguments.
pub(super) fn query_values(spec: &OperationSpec, request: &UpstreamRequest) -> Map<String, Value> {
    let Some((_, query)) = request.path_and_query.split_once('?') else { return Map::new() };
    let named = parse(query.as_bytes()).map(|(name, text)| {
        let parameter = spec.parameters.iter().find(|parameter| parameter.wire_name() == name);
        let name = parameter.map_or(name.into_owned(), |parameter| parameter.name.clone());
        (name, typed(parameter, text.into_owned()))
    });
    named.collect()
}

/// Converts a parameter from text: to a number or boolean only if the parameter has that type, because a tag may be
/// called "007".
fn typed(parameter: Option<&ParameterSpec>, text: String) -> Value {
    let kind = parameter.and_then(|parameter| parameter.schema.get("type")?.as_str()).unwrap_or_default();
    let read = match kind {
        "integer" => text.parse().ok().map(|whole: i64| Value::from(whole)),
        "number" => serde_json::from_str(&text).ok().filter(Value::is_number),
        "boolean" => text.parse().ok().map(Value::Bool),
        _ => None,
    };
    read.unwrap_or(Value::String(text))
}

/// Returns an integer in a request's query.
pub(super) fn query_number(request: &UpstreamRequest, name: &str) -> Option<u64> {
    let (_, query) = request.path_and_query.split_once('?')?;
    parse(query.as_bytes()).find(|(known, _)| known == name)?.1.parse().ok()
}
