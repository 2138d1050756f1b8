//! PATCH accepts an object of the changed members, or a list of changes in the style of JSON Patch (RFC 6902).

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Add,
    Replace,
    Remove,
}

#[derive(Deserialize)]
struct Step {
    op: Change,
    path: String,
    #[serde(default)]
    value: Value,
}

/// Converts a list of changes to the equivalent object; any other value stays unchanged.
pub(super) fn as_object(sent: Value) -> Result<Value, Vec<String>> {
    if !sent.is_array() {
        return Ok(sent);
    }
    let steps: Vec<Step> =
        serde_json::from_value(sent).map_err(|error| vec![format!("The list of changes cannot be read: {error}.")])?;
    let mut members = Map::new();
    for Step { op, path, value } in steps {
        let name = path.strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/'));
        let name = name.ok_or_else(|| vec![format!("The path '{path}' names no member of the record.")])?;
        let value = match op {
            Change::Add | Change::Replace => value,
            Change::Remove => Value::Null,
        };
        members.insert(name.to_owned(), value);
    }
    Ok(members.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_changes_becomes_an_object() {
        let list = json!([
            {"op": "replace", "path": "/title", "value": "Painting"},
            {"op": "remove", "path": "/notes"},
        ]);
        assert_eq!(as_object(list), Ok(json!({"title": "Painting", "notes": null})));
        assert_eq!(as_object(json!({"title": "x"})), Ok(json!({"title": "x"})));
        for bad in [json!([{"op": "move", "path": "/a"}]), json!([{"op": "add", "path": "/a/b"}]), json!([1])] {
            assert!(as_object(bad.clone()).is_err(), "{bad}");
        }
    }
}
