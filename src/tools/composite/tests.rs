//! The table of composite tools as a whole.

use serde_json::json;

use super::*;
use crate::catalog::Catalog;

fn composite_tools() -> CompositeTools {
    CompositeTools::embedded().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_question_is_in_the_table() {
    for handler in [
        Handler::WhoIsStaying,
        Handler::FindAvailability,
        Handler::BookingDossier,
        Handler::CalendarOverview,
        Handler::TodaysBriefing,
        Handler::RevenueSummary,
        Handler::GuestHistory,
        Handler::Search,
        Handler::Fetch,
    ] {
        assert!(composite_tools().0.values().any(|(_, known)| *known == handler), "{handler:?}");
    }
}

#[test]
fn schemas_are_what_clients_can_read() {
    let catalog = Catalog::embedded().unwrap();
    for tool in composite_tools().tools() {
        assert!(catalog.get(&tool.name).is_none(), "{} is an operation as well", tool.name);
        let tool = serde_json::to_value(tool).unwrap();
        let schema = &tool["inputSchema"];
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
        assert!(schema["anyOf"].is_null() && schema["oneOf"].is_null());
        jsonschema::meta::validate(schema).unwrap();
        // Tools that ChatGPT requires have exactly the arguments that it specifies.
        let selects = tool["name"] != "search" && tool["name"] != "fetch";
        assert_eq!(schema["properties"]["fields"]["type"] == "array", selects, "{}", tool["name"]);
        let output = composite_tools().get(tool["name"].as_str().unwrap()).unwrap().output_schema().unwrap().clone();
        jsonschema::meta::validate(&Value::Object(output.as_ref().clone())).unwrap();
        assert!(output["properties"].as_object().unwrap().values().all(|member| member["required"].is_null()));
        assert_eq!(tool["annotations"]["readOnlyHint"], json!(true), "{}", tool["name"]);
        assert_eq!(tool["annotations"]["destructiveHint"], json!(false), "{}", tool["name"]);
    }
}
