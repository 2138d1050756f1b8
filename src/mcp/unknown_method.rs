//! Rewords rmcp's error for an unknown method, whose message is only the name of the method.

use rmcp::model::ErrorCode;
use serde_json::Value;

use super::params;

/// `ErrorCode::METHOD_NOT_FOUND` as JSON writes it.
const CODE: &[u8] = b"-32601";

/// Returns a METHOD_NOT_FOUND answer of rmcp with a message that names the unknown method and the served ones; `None`
/// for any other answer.
pub fn reword_unknown_method(answer: &[u8]) -> Option<Value> {
    // Searching for the code is faster than parsing, and most answers do not contain it.
    if !answer.windows(CODE.len()).any(|bytes| bytes == CODE) {
        return None;
    }
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    let error = answer.get_mut("error").filter(|error| error["code"] == ErrorCode::METHOD_NOT_FOUND.0)?;
    let asked: String = error["message"].as_str()?.chars().take(60).flat_map(char::escape_debug).collect();
    error["message"] = Value::from(format!(
        "Unknown method `{asked}` in this protocol revision. This server supports {}.",
        params::supported_methods()
    ));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_refusal_of_a_method_names_it_and_what_is_served() {
        let refusal = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "tasks/get\n"}});
        let told = reword_unknown_method(refusal.to_string().as_bytes()).unwrap();
        assert_eq!((&told["id"], &told["error"]["code"]), (&json!(7), &json!(-32601)));
        let message = told["error"]["message"].as_str().unwrap();
        for named in ["`tasks/get\\n`", "tools/call", "initialize and ping (before 2026-07-28)"] {
            assert!(message.contains(named), "{message}");
        }
        for other in [json!({"error": {"code": -32602, "message": "x"}}), json!({"result": {}}), json!([])] {
            assert_eq!(reword_unknown_method(other.to_string().as_bytes()), None);
        }
        assert_eq!(reword_unknown_method(b"{"), None);
    }
}
