//! Client input that is not an argument of the tool: names that they add to every call, and empty filters.

use serde_json::{Map, Value};

use super::argument_names::FIELDS;

/// Names that clients add to the arguments of every call: n8n's agent adds the first three, Cline the last.
const CLIENT_ADDED: [&str; 4] = ["toolCallId", "chatInput", "sessionId", "task_progress"];
/// n8n adds this name too. It could be intended, so it is ignored only together with a name of `N8N_MARKERS`, and never
/// in a write.
const ACTION: &str = "action";
const N8N_MARKERS: [&str; 2] = ["toolCallId", "chatInput"];

/// Removes the arguments to be ignored for a tool with this schema, and returns one notice for each. `reads` means that
/// the tool changes nothing; an empty list then counts as a filter without effect.
pub(super) fn remove_ignored(schema: &Value, arguments: &mut Map<String, Value>, reads: bool) -> Vec<String> {
    let is_defined = |name: &str| !schema["properties"][name].is_null();
    let by_n8n = N8N_MARKERS.iter().any(|name| arguments.contains_key(*name) && !is_defined(name));
    let action = Some(ACTION).filter(|_| reads && by_n8n);
    let mut notices = Vec::new();
    for name in CLIENT_ADDED.into_iter().chain(action).filter(|name| !is_defined(name)) {
        if arguments.remove(name).is_some() {
            notices.push(format!("`{name}` is not an argument of this tool"));
        }
    }
    if reads {
        let required = schema["required"].as_array();
        let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
        arguments.retain(|name, value| {
            let is_empty = is_empty_list(value) && schema["properties"][name.as_str()]["type"] == "array";
            if !is_empty || is_required(name) {
                return true;
            }
            if name != FIELDS {
                notices.push(format!("`{name}` is an empty list, so it limits nothing and the answer covers all"));
            }
            false
        });
    }
    notices
}

/// Returns whether a value is an empty list, also as text or with only null in it.
fn is_empty_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(Value::is_null),
        Value::String(text) => text.bytes().all(|byte| byte.is_ascii_whitespace() || byte == b'[' || byte == b']'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn left(schema: &Value, given: Value, reads: bool) -> (Value, usize) {
        let mut arguments = given.as_object().unwrap().clone();
        let notices = remove_ignored(schema, &mut arguments, reads);
        (Value::Object(arguments), notices.len())
    }

    #[test]
    fn only_what_clients_are_known_to_add_is_ignored() {
        let plain = json!({"properties": {"id": {"type": "integer"}}});
        let defined = json!({"properties": {"sessionId": {}, "action": {}}});
        for (schema, given, reads, stays, ignored) in [
            (
                &plain,
                json!({"id": 1, "toolCallId": "c", "chatInput": "x", "sessionId": "s", "action": "a"}),
                true,
                json!({"id": 1}),
                4,
            ),
            (&plain, json!({"id": 1, "toolCallId": "c", "action": "a"}), false, json!({"id": 1, "action": "a"}), 1),
            (
                &plain,
                json!({"id": 1, "task_progress": "- [x] one", "action": "a"}),
                true,
                json!({"id": 1, "action": "a"}),
                1,
            ),
            (&plain, json!({"id": 1, "sessionId": "s", "action": "a"}), true, json!({"id": 1, "action": "a"}), 1),
            (&plain, json!({"id": 1, "tool_call_id": "c"}), true, json!({"id": 1, "tool_call_id": "c"}), 0),
            (
                &defined,
                json!({"sessionId": "s", "action": "a", "toolCallId": 1}),
                true,
                json!({"sessionId": "s", "action": "a"}),
                1,
            ),
        ] {
            assert_eq!(left(schema, given.clone(), reads), (stays, ignored), "{given}");
        }
    }

    #[test]
    fn an_empty_filter_of_a_read_is_ignored_and_any_other_empty_list_is_not() {
        let list = json!({"type": "array", "items": {"type": "integer"}});
        let schema = json!({"required": ["must"], "properties": {"ids": list, "must": list, "fields": list, "text": {"type": "string"}}});
        for empty in [json!([]), json!([null]), json!("[]"), json!("")] {
            let given = json!({"ids": empty, "must": empty, "fields": empty, "text": "", "other": empty});
            let stays = json!({"must": empty, "text": "", "other": empty});
            assert_eq!(left(&schema, given.clone(), true), (stays, 1), "{given}");
            assert_eq!(left(&schema, given.clone(), false), (given, 0));
        }
        assert_eq!(left(&schema, json!({"ids": [1]}), true), (json!({"ids": [1]}), 0));
    }
}
