//! Limits that no arguments can exceed, and the promises of the published schemas.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    catalog::spec::{Segment, segments},
    domain::{Method, UpstreamRequest},
};

/// Generates random arguments, and arguments that are nearly valid.
fn any_arguments() -> impl Strategy<Value = Map<String, Value>> {
    let catalog = catalog();
    let names: BTreeSet<String> = catalog
        .operations()
        .flat_map(|operation| {
            let schema = operation.schema();
            schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        })
        .chain(["data".to_owned()])
        .collect();
    let name = prop_oneof![9 => proptest::sample::select(names.into_iter().collect::<Vec<_>>()), 1 => any::<String>()];
    let likely = [
        "2027-01-01",
        "2027-01-02",
        "2027-01-01T00:00:00+14:00",
        "true",
        "1,2",
        "..",
        "/",
        "{id}",
        "active",
        "10:00",
        "{}",
        "[[]]",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (1..200_i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(likely.to_vec()).prop_map(Value::from),
    ];
    let key = name.clone();
    let value = leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let ids = proptest::collection::btree_map(
        proptest::sample::select(vec!["id", "phone_id", "address_id", "email_address_id", "property_id"]),
        (1..200_i64).prop_map(Value::from),
        0..5,
    );
    (proptest::collection::btree_map(name, value, 0..6), ids).prop_map(|(wild, ids)| {
        let ids = ids.into_iter().map(|(name, id)| (name.to_owned(), id));
        wild.into_iter().chain(ids).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each operation gets the arguments that it knows, and then all of them.
    #[test]
    fn no_arguments_leave_the_path_of_their_operation(arguments in any_arguments()) {
        let catalog = shared();
        for operation in catalog.operations() {
            let schema = operation.schema();
            let known = arguments.iter().filter(|(name, _)| schema["properties"][name.as_str()].is_object());
            let known: Map<String, Value> = known.map(|(name, value)| (name.clone(), value.clone())).collect();
            for arguments in [&known, &arguments] {
                match operation.request(arguments) {
                    Ok(request) => stays_inside(operation, &request),
                    Err(error) => prop_assert!(!error.problems.is_empty() && !error.to_string().is_empty()),
                }
            }
        }
    }
}

/// Arguments that fit the schema are accepted, except for the rules between arguments. Every operation is reached, so
/// that the properties above do not cover errors only.
#[test]
fn what_fits_the_schema_is_accepted() {
    for operation in shared().operations() {
        let mut runner = TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() });
        let accepted = std::cell::Cell::new(0);
        let done = runner.run(&fitting(operation.schema()), |arguments| {
            // Null for a missing member has no effect, at any depth.
            let nulls = with_nulls(operation.schema(), &arguments);
            prop_assert_eq!(
                operation.request(nulls.as_object().unwrap()),
                operation.request(arguments.as_object().unwrap()),
                "{}",
                nulls
            );
            match operation.request(arguments.as_object().unwrap()) {
                Ok(request) => {
                    stays_inside(operation, &request);
                    accepted.set(accepted.get() + 1);
                }
                Err(error) => {
                    let between = |text: &str| {
                        ["later than", "less than", "later:", "nothing to", "one of the two"]
                            .iter()
                            .any(|w| text.contains(w))
                    };
                    let explained = |p: &ArgumentProblem| {
                        between(&p.message) || p.message.starts_with("give ") || p.message.starts_with("a block has")
                            // Members are known for confirmed shapes; the schema does not list them.
                            || p.argument == "fields"
                    };
                    prop_assert!(error.problems.iter().all(explained), "{arguments} {error}");
                }
            }
            Ok(())
        });
        done.unwrap_or_else(|error| panic!("{}: {error}", operation.name()));
        assert!(accepted.get() > 0, "{} was never reached", operation.name());
    }
}

/// Generates values that fit a schema.
fn fitting(schema: &Value) -> BoxedStrategy<Value> {
    let least = schema["minimum"].as_i64().unwrap_or(-5);
    let most = schema["maximum"].as_i64().unwrap_or(least + 100);
    let pick =
        |words: &[&str]| proptest::sample::select(words.iter().map(|word| json!(word)).collect::<Vec<_>>()).boxed();
    if let Some(choices) = schema["enum"].as_array() {
        return proptest::sample::select(choices.clone()).boxed();
    }
    match json_schema::kind(schema) {
        "integer" | "number" => (least..=most).prop_map(Value::from).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "string" => match (schema["format"].as_str(), schema["pattern"].is_string()) {
            (Some("date"), _) => pick(&["2027-01-01", "2027-03-01", "2028-02-29"]),
            (Some("date-time"), _) => pick(&["2027-01-01T00:00:00Z", "2027-01-01T00:00:00.5+02:00"]),
            (Some("email"), _) => pick(&["guest@example.com"]),
            (Some("uri"), _) => pick(&["https://hooks.example/ownerrez"]),
            (_, true) if schema["pattern"] == "^[A-Za-z_]+$" => pick(&["booking", "Guest"]),
            (_, true) if schema["pattern"] == "^[A-Z]{3}$" => pick(&["USD", "EUR"]),
            (_, true) => pick(&["00:00", "16:30"]),
            _ => "[^\\x00]{1,20}".prop_map(Value::from).boxed(),
        },
        "array" => proptest::collection::vec(fitting(&schema["items"]), 1..4).prop_map(Value::from).boxed(),
        _ => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let members = schema["properties"].as_object().cloned().unwrap_or_default();
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, member)| {
                    let value = fitting(&member).prop_map(Some);
                    let none = u32::from(!required.contains(&json!(name)));
                    let value = prop_oneof![2 => value, none => Just(None)];
                    value.prop_map(move |value| (name.clone(), value))
                })
                .collect();
            let present = |(name, value): (String, Option<Value>)| Some((name, value?));
            members.prop_map(move |members| Value::Object(members.into_iter().filter_map(present).collect())).boxed()
        }
    }
}

/// Returns the same value with null for every missing member.
fn with_nulls(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let known = schema["properties"].as_object().into_iter().flatten();
            let mut filled: Map<String, Value> = known.map(|(name, _)| (name.clone(), Value::Null)).collect();
            filled.insert("unheard_of".to_owned(), Value::Null);
            let given = members.iter();
            filled.extend(given.map(|(name, value)| (name.clone(), with_nulls(&schema["properties"][name], value))));
            Value::Object(filled)
        }
        Value::Array(items) => items.iter().map(|item| with_nulls(&schema["items"], item)).collect(),
        other => other.clone(),
    }
}

/// Shares one catalogue: building it for each of many cases would take most of the test's time.
fn shared() -> &'static Catalog {
    static SHARED: std::sync::LazyLock<Catalog> = std::sync::LazyLock::new(catalog);
    &SHARED
}

fn stays_inside(operation: &Operation, request: &UpstreamRequest) {
    let whole = &request.path_and_query;
    assert!(whole.starts_with("/v2/") && whole.is_ascii() && !whole.contains(['{', '}', '#', ' ']), "{whole}");
    let path = whole.split('?').next().unwrap();
    let template: Vec<Segment<'_>> = segments(operation.path()).collect();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    assert_eq!(template.len(), parts.len(), "{whole}");
    for (segment, part) in template.iter().zip(parts) {
        match segment {
            Segment::Literal(text) => assert_eq!(*text, part, "{whole}"),
            // Every placeholder of this table is an id.
            Segment::Placeholder(_) => assert!(part.parse::<u64>().is_ok_and(|id| id > 0), "{whole}"),
        }
    }
    assert_eq!(request.body.is_some(), matches!(request.method, Method::Post | Method::Patch));
    let holds_something = |body: &Value| match body {
        Value::Object(members) => !members.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => false,
    };
    assert!(request.body.as_ref().is_none_or(holds_something), "{whole}");
    let address = url::Url::parse(&format!("https://host{whole}")).unwrap();
    assert_eq!(address.path(), path, "a client that tidies addresses must not change it");
}
