//! Tests over the whole table; the modules below test single rules.

mod arguments;
mod normalize;
mod properties;
mod table;
mod view;
mod writes;
mod wrong_arguments;

use std::collections::{BTreeMap, BTreeSet};

use rmcp::model::Tool;
use serde_json::{Value, json};

use super::*;
use crate::domain::Scope;

/// Returns the embedded catalogue.
fn catalog() -> Catalog {
    Catalog::embedded().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns every tool as JSON, as `tools/list` would contain it.
fn tools() -> Vec<Value> {
    catalog().all_tools(Scope::Full).iter().map(|tool| serde_json::to_value(tool).unwrap()).collect()
}

/// Schemas are compiled when a tool is first called, so nothing else would detect an error.
#[test]
fn every_schema_can_be_checked_by() {
    let of_operations = catalog().operations().flat_map(Operation::schema_errors).collect::<Vec<_>>();
    assert_eq!(of_operations, [""; 0]);
    let answers = tool_definitions(include_str!("../../config/answers.json")).unwrap();
    assert_eq!(answers.iter().flat_map(ToolDefinition::schema_errors).collect::<Vec<_>>(), [""; 0]);
    let compiled = compiled_schema::CompiledSchema::new(json!({"type": 7}));
    assert!(compiled.validator().is_err_and(|mistake| mistake.contains("invalid")), "the check itself");
}

#[test]
fn the_catalogue_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Catalog>();
}

#[test]
fn tools_come_in_a_stable_order_under_the_names_of_their_operations() {
    let catalog = catalog();
    let names: Vec<&str> = catalog.operations().map(Operation::name).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(catalog.all_tools(Scope::Full).iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>(), names);
    for name in names {
        assert_eq!(catalog.get(name).map(Operation::name), Some(name));
    }
}

#[test]
fn names_titles_and_descriptions_fit_their_bounds() {
    for tool in tools() {
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!((4..=40).contains(&tool["title"].as_str().unwrap().len()), "{name}");
        let description = tool["description"].as_str().unwrap();
        assert!((20..=202).contains(&description.len()) && description.ends_with('.'), "{name}: {description}");
    }
}

#[test]
fn every_hint_is_explicit_and_agrees_with_the_method() {
    let catalog = catalog();
    for tool in tools() {
        let operation = catalog.get(tool["name"].as_str().unwrap()).unwrap();
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{}: {hint}", operation.name());
        }
        assert_eq!(tool["annotations"]["readOnlyHint"], operation.is_read_only(), "{}", operation.name());
        assert_eq!(tool["annotations"]["destructiveHint"], operation.is_destructive(), "{}", operation.name());
    }
}

#[test]
fn input_schemas_are_what_clients_can_read() {
    for tool in tools() {
        let (name, schema) = (&tool["name"], &tool["inputSchema"]);
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for word in ["anyOf", "oneOf", "allOf", "not", "if", "$ref", "$defs", "enum"] {
            assert!(schema[word].is_null(), "{name}: {word}");
        }
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"][required.as_str().unwrap()].is_object(), "{name}: {required}");
        }
    }
}

#[test]
fn lists_take_limit_and_offset() {
    for operation in catalog().operations().filter(|operation| operation.name().starts_with("list_")) {
        let properties = &operation.tool().schema_as_json_value()["properties"];
        assert_eq!(properties["limit"]["maximum"], 100, "{}", operation.name());
        assert_eq!(properties["limit"]["default"], 20, "{}", operation.name());
        assert_eq!(properties["offset"]["minimum"], 0, "{}", operation.name());
    }
}

/// Responses are reduced, so no member is required; and shapes that are not confirmed are not promised.
#[test]
fn answers_of_a_confirmed_shape_have_an_output_schema() {
    let catalog = catalog();
    let mut without = Vec::new();
    for operation in catalog.operations() {
        let Some(schema) = operation.output_schema() else {
            without.push(operation.name());
            continue;
        };
        let schema = Value::Object(schema.as_ref().clone());
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{}: {error}", operation.name()));
        assert_eq!(schema["type"], "object", "{}", operation.name());
        let text = schema.to_string();
        for word in ["\"required\":[", "additionalProperties", "\"enum\":", "\"format\":\"", "$ref"] {
            assert!(!text.contains(word), "{}: {word}", operation.name());
        }
        let is_list = operation.name().starts_with("list_");
        assert_eq!(
            schema["properties"]["items"]["type"] == "array",
            is_list || operation.name() == "update_spot_rates"
        );
        assert_eq!(schema["properties"]["next_offset"]["type"] == "integer", is_list, "{}", operation.name());
        let takes_format = operation.schema()["properties"]["format"].is_object();
        assert_eq!(schema["properties"]["table"]["type"] == "string", takes_format, "{}", operation.name());
    }
    let subjects: BTreeSet<&str> =
        without.iter().filter_map(|name| name.split_once('_')).map(|(_, what)| what).collect();
    assert_eq!(
        subjects.into_iter().collect::<Vec<_>>(),
        [
            "current_user",
            "discount",
            "discounts",
            "inquiries",
            "inquiry",
            "listing",
            "listing_site",
            "listing_sites",
            "listings",
            "owner",
            "owners",
            "properties",
            "spot_rates",
            "surcharge",
            "surcharges",
            "webhook_categories"
        ],
        "{without:?}"
    );
    assert_eq!(without.len(), 81 - 61, "{without:?}");
}

/// Every connected model reads all of the default list. A token is about four characters of the compact JSON.
#[test]
fn the_default_list_takes_less_than_8000_tokens() {
    let catalog = catalog();
    let tokens = |tools: &[Tool]| serde_json::to_string(tools).unwrap().chars().count() / 4;
    let mut listed = catalog.tools(Scope::Full);
    listed.extend(catalog.drafts().cloned());
    assert!(tokens(&listed) < 8_000, "{} tools take {} tokens", listed.len(), tokens(&listed));
    let each = tokens(&catalog.all_tools(Scope::Full)) / catalog.operations().count();
    assert!(each < 300, "{each} tokens per tool");
}

#[test]
fn the_default_list_is_part_of_all_tools_and_holds_what_a_scope_may_use() {
    let catalog = catalog();
    for scope in [Scope::Full, Scope::Read] {
        let names = |tools: Vec<Tool>| tools.into_iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
        let (listed, all) = (names(catalog.tools(scope)), names(catalog.all_tools(scope)));
        assert!(listed.is_sorted() && all.is_sorted() && listed.len() < all.len());
        for name in &all {
            let operation = catalog.get(name).unwrap();
            assert!(operation.is_allowed_for(scope), "{name}");
            assert_eq!(listed.contains(name), operation.is_default(), "{name}");
        }
    }
    for name in ["list_properties", "list_bookings", "list_quotes", "list_inquiries", "list_reviews", "list_messages"] {
        assert!(catalog.get(name).unwrap().is_default(), "{name}");
    }
}

#[test]
fn every_group_is_in_one_toolset_and_every_toolset_holds_some() {
    let catalog = catalog();
    let mut toolsets = BTreeMap::new();
    for operation in catalog.operations() {
        let known = toolsets.insert(operation.group(), operation.toolset());
        assert!(known.is_none_or(|known| known == operation.toolset()), "{}", operation.name());
    }
    for toolset in Toolset::ALL {
        // That toolset contains composite tools only.
        let holds = toolset == Toolset::Research || toolsets.values().any(|known| *known == toolset);
        assert!(holds, "{}", toolset.name());
        assert_eq!(serde_json::from_value::<Toolset>(toolset.name().into()).unwrap(), toolset);
    }
    for (group, toolset) in [
        ("bookings", Toolset::Bookings),
        ("quotes", Toolset::Bookings),
        ("inquiries", Toolset::Bookings),
        ("calendar", Toolset::Properties),
        ("propertysearch", Toolset::Properties),
        ("spotrates", Toolset::Properties),
        ("messages", Toolset::Messaging),
        ("surcharges", Toolset::Money),
        ("tags", Toolset::Content),
        ("tagdefinitions", Toolset::Settings),
        ("webhooksubscriptions", Toolset::Webhooks),
    ] {
        assert_eq!(toolsets[group], toolset, "{group}");
    }
}

/// Responses of these operations contain text written by third parties.
#[test]
fn reads_of_guests_words_mark_them_as_data() {
    let catalog = catalog();
    for group in ["bookings", "quotes", "inquiries", "guests", "messages", "reviews"] {
        for operation in catalog.operations().filter(|one| one.group() == group && one.is_read_only()) {
            assert!(operation.has_untrusted_text(), "{}", operation.name());
        }
    }
}

/// Operations that fail without an agreement, a paid feature or the right kind of access mention that in their
/// description.
#[test]
fn what_not_every_account_has_says_what_it_needs() {
    let catalog = catalog();
    for (group, words) in
        [("messages", "messaging agreement"), ("listings", "Integrated Websites"), ("reviews", "Integrated Websites")]
    {
        for operation in catalog.operations().filter(|one| one.group() == group) {
            let description = operation.tool().description.clone().unwrap_or_default();
            assert!(description.contains(words), "{}", operation.name());
        }
    }
}

#[test]
fn an_unknown_tool_has_a_suggestion() {
    let catalog = catalog();
    assert!(catalog.get("list_booking").is_none());
    assert_eq!(catalog.suggest("list_booking"), Some("list_bookings"));
    assert_eq!(catalog.suggest("launch_rocket"), None);
}

/// What clients see changes only deliberately.
#[test]
fn tools_are_as_in_the_snapshot() {
    let drafts = catalog().drafts().map(|tool| serde_json::to_value(tool).unwrap()).collect::<Vec<_>>();
    insta::assert_json_snapshot!("tools", [tools(), drafts].concat());
}
