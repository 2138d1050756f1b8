//! Two independent descriptions of OwnerRez: the gateway's catalogue and the simulator's. Where they differ, one of
//! them is wrong, unless `descriptions/differences.json` gives a reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

const CATALOGUE: &str = include_str!("../../config/operations.json");
const RECORDS: &str = include_str!("../../config/records.json");
const SIMULATED: &str = include_str!("../../src/simulator/api.json");
const DIFFERENCES: &str = include_str!("descriptions/differences.json");

/// The statements of a description, each under a unique name.
type Facts = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    about: String,
    catalogue: String,
    simulator: String,
    reason: String,
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words<'a>(names: impl Iterator<Item = &'a Value>) -> String {
    let names: BTreeSet<&str> = names.filter_map(Value::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join("|")
}

/// Appends to a type whether it is required.
fn sent(kind: String, required: bool) -> String {
    if required { format!("{kind}, required") } else { kind }
}

// The simulator's description.

/// Returns the type of a parameter or of a member of a request body.
fn simulated_type(api: &Value, text: &str) -> String {
    let bare = text.trim_end_matches(['!', '~']);
    if let Some(one) = bare.strip_suffix("[]") {
        return format!("list of {}", simulated_type(api, one));
    }
    let named = match bare {
        "day" => "date",
        "moment" => "date-time",
        "day_or_moment" => "date or date-time",
        "indexed_ids" => "indexed integers",
        "time" | "currency" | "guid" => "string",
        other if api["records"].get(other).is_some() => "object",
        other => match api["values"].get(other) {
            Some(values) => return words(elements(&values["names"])),
            None => other,
        },
    };
    named.to_owned()
}

/// Returns the type of a response member, as coarsely as the catalogue describes it.
fn simulated_answer_type(api: &Value, text: &str) -> String {
    let bare = text.trim_end_matches(['!', '~']);
    if let Some(one) = bare.strip_suffix("[]") {
        return format!("list of {}", simulated_answer_type(api, one));
    }
    match bare {
        "integer" | "number" | "boolean" | "object" | "any" => bare.to_owned(),
        other if api["records"].get(other).is_some() => "object".to_owned(),
        _ => "string".to_owned(),
    }
}

fn simulated_members(
    api: &Value,
    shape: &Value,
    prefix: &str,
    name: &impl Fn(&str) -> String,
    facts: &mut Facts,
    answer: bool,
) {
    for (member, text) in members(&shape["members"]) {
        let text = text.as_str().unwrap();
        let path = format!("{prefix}{member}");
        let kind = if answer {
            simulated_answer_type(api, text)
        } else {
            sent(simulated_type(api, text), text.ends_with('!') && prefix.is_empty())
        };
        facts.insert(name(&path), kind);
        let inner = text.trim_end_matches(['!', '~']).trim_end_matches("[]");
        if let Some(inner) = api["records"].get(inner) {
            simulated_members(api, inner, &format!("{path}."), name, facts, answer);
        }
    }
}

fn simulated(api: &Value) -> Facts {
    let mut facts = Facts::new();
    for (key, operation) in members(&api["operations"]) {
        for place in ["path", "query"] {
            for (name, text) in members(&operation[place]) {
                let text = text.as_str().unwrap();
                let kind = sent(simulated_type(api, text), place == "path" || text.ends_with('!'));
                facts.insert(format!("{key} {place} {name}"), kind);
            }
        }
        for group in elements(&operation["one_of_required"]) {
            facts.insert(format!("{key} one of"), words(elements(group)));
        }
        if let Some(body) = operation.get("body") {
            let list = body["list"] == json!(true);
            facts.insert(format!("{key} body"), if list { "list of objects" } else { "object" }.to_owned());
            simulated_members(api, body, "", &|path| format!("{key} body {path}"), &mut facts, false);
        }
        let (envelope, kind) = match &operation["answer"] {
            Value::Object(answer) => {
                let (envelope, kind) = answer.iter().next().unwrap();
                (envelope.replace('_', " "), kind.as_str())
            }
            plain => (plain.as_str().unwrap().replace("nothing", "none"), None),
        };
        facts.insert(format!("{key} answer"), envelope);
        if let Some(kind) = kind {
            facts.insert(format!("record {kind}"), "described".to_owned());
            let name = |path: &str| format!("record {kind} {path}");
            simulated_members(api, &api["records"][kind], "", &name, &mut facts, true);
        }
    }
    facts
}

// The catalogue's description.

fn catalogue_type(schema: &Value) -> String {
    if let Some(names) = schema.get("enum") {
        return words(elements(names));
    }
    match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
        ("array", _) if schema["style"] == json!("indexed") => "indexed integers".to_owned(),
        ("array", _) => format!("list of {}", catalogue_type(&schema["items"])),
        ("string", Some("csv-int")) => "ids".to_owned(),
        ("string", Some(format)) => format.to_owned(),
        (plain, _) => plain.to_owned(),
    }
}

fn catalogue_members(schema: &Value, key: &str, prefix: &str, facts: &mut Facts) {
    for (member, inner) in members(&schema["properties"]) {
        let path = format!("{prefix}{member}");
        let required = elements(&schema["required"]).any(|name| name == member) && prefix.is_empty();
        facts.insert(format!("{key} body {path}"), sent(catalogue_type(inner), required));
        let inner = if inner["type"] == json!("array") { &inner["items"] } else { inner };
        catalogue_members(inner, key, &format!("{path}."), facts);
    }
}

fn catalogue(operations: &Value, records: &Value) -> Facts {
    let mut facts = Facts::new();
    for operation in elements(operations) {
        let key = format!("{} {}", operation["method"].as_str().unwrap(), operation["path"].as_str().unwrap());
        for parameter in elements(&operation["parameters"]) {
            let name = parameter.get("wire").unwrap_or(&parameter["name"]).as_str().unwrap();
            let kind = sent(catalogue_type(parameter), parameter["required"] == json!(true));
            facts.insert(format!("{key} {} {name}", parameter["in"].as_str().unwrap()), kind);
        }
        for group in elements(&operation["one_of_required"]) {
            facts.insert(format!("{key} one of"), words(elements(group)));
        }
        if let Some(body) = operation.get("body") {
            facts.insert(format!("{key} body"), catalogue_type(body).replace("list of object", "list of objects"));
            let object = if body["type"] == json!("array") { &body["items"] } else { body };
            catalogue_members(object, &key, "", &mut facts);
        }
        facts.insert(format!("{key} answer"), operation["answer"].as_str().unwrap().replace('_', " "));
        let Some(kind) = operation["record"].as_str() else { continue };
        let record = elements(records).find(|record| record["record"] == json!(kind)).unwrap();
        if record.get("members").is_none() {
            continue;
        }
        facts.insert(format!("record {kind}"), "described".to_owned());
        for member in elements(&record["members"]) {
            let (path, kind_of_member) =
                member.as_str().unwrap().split_once(':').unwrap_or((member.as_str().unwrap(), "string"));
            let told = kind_of_member.strip_suffix("[]").map(|one| format!("list of {one}"));
            facts.insert(format!("record {kind} {path}"), told.unwrap_or_else(|| kind_of_member.to_owned()));
        }
    }
    facts
}

/// Returns the points on which they differ, and the statement of each. A record that only one describes is one point.
fn differences(catalogue: &Facts, simulated: &Facts) -> BTreeSet<(String, String, String)> {
    let whole = |facts: &Facts, about: &str| match about.strip_prefix("record ").and_then(|rest| rest.split_once(' ')) {
        Some((kind, _)) => facts.contains_key(&format!("record {kind}")),
        None => true,
    };
    let all: BTreeSet<&String> = catalogue.keys().chain(simulated.keys()).collect();
    let said = |facts: &Facts, about: &str| facts.get(about).cloned().unwrap_or_else(|| "nothing".to_owned());
    all.into_iter()
        .filter(|about| whole(catalogue, about) && whole(simulated, about))
        .map(|about| (about.clone(), said(catalogue, about), said(simulated, about)))
        .filter(|(_, one, other)| one != other)
        .collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_descriptions_agree_or_the_difference_has_a_reason() {
    let found = differences(&catalogue(&parsed(CATALOGUE), &parsed(RECORDS)), &simulated(&parsed(SIMULATED)));
    let known: Vec<Difference> = serde_json::from_str(DIFFERENCES).unwrap();
    assert!(known.iter().all(|one| one.reason.len() > 20), "a reason is a sentence");
    let known: BTreeSet<(String, String, String)> =
        known.into_iter().map(|one| (one.about, one.catalogue, one.simulator)).collect();
    let line = |(about, catalogue, simulator): &(String, String, String)| {
        json!({"about": about, "catalogue": catalogue, "simulator": simulator}).to_string()
    };
    let new: Vec<String> = found.difference(&known).map(line).collect();
    let stale: Vec<String> = known.difference(&found).map(line).collect();
    assert!(new.is_empty() && stale.is_empty(), "without a reason: {new:#?}\nno longer so: {stale:#?}");
}

/// Tests the comparison itself: it detects a change on one side.
#[test]
fn a_change_on_one_side_is_seen() {
    let (operations, records, api) = (parsed(CATALOGUE), parsed(RECORDS), parsed(SIMULATED));
    let before = differences(&catalogue(&operations, &records), &simulated(&api));
    let key = "GET /v2/bookings";
    for (pointer, value) in [
        ("query/status", json!("string")),
        ("query/from", json!("integer")),
        ("query/since_utc", json!("moment!")),
        ("one_of_required", json!([])),
        ("answer", json!({"counted_page": "booking"})),
    ] {
        let mut changed = api.clone();
        let mut place = &mut changed["operations"][key];
        for part in pointer.split('/') {
            place = &mut place[part];
        }
        *place = value;
        let after = differences(&catalogue(&operations, &records), &simulated(&changed));
        assert_ne!(before, after, "{pointer}");
    }
    for (record, member, kind) in [("booking", "total_paid", "string"), ("charge", "unheard_of", "number")] {
        let mut changed = api.clone();
        changed["records"][record]["members"][member] = json!(kind);
        assert_ne!(before, differences(&catalogue(&operations, &records), &simulated(&changed)), "{member}");
    }
    let mut changed = api.clone();
    changed["operations"]["POST /v2/guests"]["body"]["members"]["phones"] = json!("guest_address[]");
    assert_ne!(before, differences(&catalogue(&operations, &records), &simulated(&changed)));
}
