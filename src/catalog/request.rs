//! From checked arguments to the path, query and body of an upstream request.

use serde_json::{Map, Value};
use url::form_urlencoded::{Serializer, byte_serialize, parse};

use super::{
    data::{OperationData, Place, Segment, Style, segments},
    problem::Problem,
};
use crate::domain::{Method, UpstreamRequest};

/// Builds the request. The arguments have been checked against the schema; what remains is what no schema says.
pub(super) fn build(data: &OperationData, arguments: &Map<String, Value>) -> Result<(String, Option<Value>), Problem> {
    let mut path_and_query = path(data, arguments)?;
    let query = query(data, arguments);
    if !query.is_empty() {
        path_and_query.push('?');
        path_and_query.push_str(&query);
    }
    Ok((path_and_query, body(data, arguments)?))
}

fn path(data: &OperationData, arguments: &Map<String, Value>) -> Result<String, Problem> {
    let mut path = String::new();
    for segment in segments(&data.path) {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Placeholder(name) => path.push_str(&path_value(name, arguments.get(name))?),
        }
    }
    Ok(path)
}

/// A value as exactly one segment of a path. Dots alone would climb out of it even when they are encoded.
fn path_value(name: &str, value: Option<&Value>) -> Result<String, Problem> {
    let text = value.map(plain).unwrap_or_default();
    if matches!(text.as_str(), "" | "." | "..") {
        return Err(Problem::new(name, format!("`{name}` cannot be empty and cannot be dots alone")));
    }
    // Form encoding writes a space as "+", which in a path is a plus.
    Ok(byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20"))
}

/// The query in the order of the table, so that equal calls are equal requests.
fn query(data: &OperationData, arguments: &Map<String, Value>) -> String {
    let mut query = Serializer::new(String::new());
    for parameter in data.parameters.iter().filter(|parameter| parameter.place == Place::Query) {
        let name = &parameter.name;
        match arguments.get(name) {
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

fn body(data: &OperationData, arguments: &Map<String, Value>) -> Result<Option<Value>, Problem> {
    let Some(schema) = &data.body else { return Ok(None) };
    if let Some(name) = &data.body_argument {
        return Ok(arguments.get(name).cloned());
    }
    let names: Vec<&String> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let given = names.iter().filter_map(|name| Some(((*name).clone(), arguments.get(*name)?.clone())));
    let mut body: Map<String, Value> = given.collect();
    if let Some(Value::Object(more)) = arguments.get("data").filter(|_| data.open_body) {
        body.extend(more.clone());
    }
    if body.is_empty() {
        let list = |between: &str| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(between);
        let what = if data.method == Method::Patch { "change" } else { "create" };
        let message = format!("there is nothing to {what}: give at least one of `{}`", list("`, `"));
        return Err(Problem::new(list("|"), message));
    }
    Ok(Some(Value::Object(body)))
}

/// A scalar as it stands in a path or query.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The path parameters of a request, by name: numbers as numbers.
pub(super) fn path_values(data: &OperationData, request: &UpstreamRequest) -> Map<String, Value> {
    let path = request.path_and_query.split('?').next().unwrap_or_default();
    segments(&data.path)
        .zip(path.split('/').skip(1))
        .filter_map(|(segment, value)| match segment {
            Segment::Placeholder(name) => Some((name.to_owned(), decoded(value))),
            Segment::Literal(_) => None,
        })
        .collect()
}

/// A whole number in a request's query.
pub(super) fn query_number(request: &UpstreamRequest, name: &str) -> Option<u64> {
    let (_, query) = request.path_and_query.split_once('?')?;
    parse(query.as_bytes()).find(|(known, _)| known == name)?.1.parse().ok()
}

fn decoded(segment: &str) -> Value {
    // A lone key of a form: the same encoding that `path_value` used.
    let text = parse(segment.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default();
    text.parse::<i64>().map_or(Value::String(text), Value::from)
}
