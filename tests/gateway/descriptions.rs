//! Two independent descriptions of OwnerRez: the gateway's catalogue and the simulator's. Where they differ, one of
//! them is wrong, unless `descriptions/differences.json` gives a reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

const CATALOGUE: &str = include_str!("../../config/operations.json");
const RECORDS: &str = include_str!("../../config/records.json");
const SIMULATED: &str = include_str!("../../src/simulator/api.json");
const BEHAVIOUR: &str = include_str!("../../src/simulator/behaviour.json");
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

/// Records that a member of a kind of record is always present in its parent object.
fn insert_always(facts: &mut Facts, kind: &str, path: &str) {
    facts.insert(format!("always {kind} {path}"), "present".to_owned());
}

/// Records the closed vocabulary of a member of a kind of record.
fn insert_words<'a>(facts: &mut Facts, kind: &str, path: &str, names: impl Iterator<Item = &'a Value>) {
    facts.insert(format!("words {kind} {path}"), words(names));
}

/// Records that an operation shows a member that other operations show only on a parameter.
fn insert_shown(facts: &mut Facts, key: &str, member: &str) {
    facts.insert(format!("{key} shows {member}"), "without a parameter".to_owned());
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

/// Adds the members of a request body.
fn simulated_body(api: &Value, shape: &Value, key: &str, prefix: &str, facts: &mut Facts) {
    for (member, text) in members(&shape["members"]) {
        let text = text.as_str().unwrap();
        let path = format!("{prefix}{member}");
        let kind = sent(simulated_type(api, text), text.ends_with('!') && prefix.is_empty());
        facts.insert(format!("{key} body {path}"), kind);
        if let Some(inner) = api["records"].get(element(text)) {
            simulated_body(api, inner, key, &format!("{path}."), facts);
        }
    }
}

/// Adds the members of a kind of record in responses.
fn simulated_record(api: &Value, shape: &Value, kind: &str, prefix: &str, facts: &mut Facts) {
    for (member, text) in members(&shape["members"]) {
        let text = text.as_str().unwrap();
        let path = format!("{prefix}{member}");
        facts.insert(format!("record {kind} {path}"), simulated_answer_type(api, text));
        if text.ends_with('!') {
            insert_always(facts, kind, &path);
        }
        if let Some(values) = api["values"].get(element(text)) {
            insert_words(facts, kind, &path, elements(&values["names"]));
        }
        if let Some(inner) = api["records"].get(element(text)) {
            simulated_record(api, inner, kind, &format!("{path}."), facts);
        }
    }
}

/// Returns the type of a member, or of the elements of a list, without its marks.
fn element(text: &str) -> &str {
    text.trim_end_matches(['!', '~']).trim_end_matches("[]")
}

/// Adds the members that one record shows although a list shows them only on a parameter.
fn simulated_shown(behaviour: &Value, key: &str, facts: &mut Facts) {
    let operation = &behaviour["operations"][key];
    let Some(collection) = operation["collection"].as_str().filter(|_| operation["kind"] == json!("get")) else {
        return;
    };
    for optional in elements(&behaviour["collections"][collection]["optional"]) {
        if optional["lists_only"] == json!(true) {
            insert_shown(facts, key, optional["member"].as_str().unwrap());
        }
    }
}

fn simulated(api: &Value, behaviour: &Value) -> Facts {
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
            simulated_body(api, body, key, "", &mut facts);
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
            simulated_record(api, &api["records"][kind], kind, "", &mut facts);
        }
        simulated_shown(behaviour, key, &mut facts);
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
        for member in elements(&operation["shows"]) {
            insert_shown(&mut facts, &key, member.as_str().unwrap());
        }
        let Some(kind) = operation["record"].as_str() else { continue };
        let record = elements(records).find(|record| record["record"] == json!(kind)).unwrap();
        for path in elements(&record["always"]) {
            insert_always(&mut facts, kind, path.as_str().unwrap());
        }
        // An empty vocabulary in the catalogue means that not all of its words are known.
        for (path, names) in members(&record["words"]).filter(|(_, names)| **names != json!([])) {
            insert_words(&mut facts, kind, path, elements(names));
        }
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

/// Both descriptions as JSON.
struct Descriptions {
    catalogue: Value,
    records: Value,
    simulated: Value,
    behaviour: Value,
}

impl Descriptions {
    fn parsed() -> Self {
        let [catalogue, records, simulated, behaviour] = [CATALOGUE, RECORDS, SIMULATED, BEHAVIOUR].map(parsed);
        Self { catalogue, records, simulated, behaviour }
    }

    fn differences(&self) -> BTreeSet<(String, String, String)> {
        differences(&catalogue(&self.catalogue, &self.records), &simulated(&self.simulated, &self.behaviour))
    }
}

#[test]
fn the_descriptions_agree_or_the_difference_has_a_reason() {
    let found = Descriptions::parsed().differences();
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
    let before = Descriptions::parsed().differences();
    let is_seen = |what: &str, change: &dyn Fn(&mut Descriptions)| {
        let mut changed = Descriptions::parsed();
        change(&mut changed);
        assert_ne!(before, changed.differences(), "{what}");
    };
    for (pointer, value) in [
        ("query/status", json!("string")),
        ("query/from", json!("integer")),
        ("query/since_utc", json!("moment!")),
        ("one_of_required", json!([])),
        ("answer", json!({"counted_page": "booking"})),
    ] {
        is_seen(pointer, &|changed| {
            let mut place = &mut changed.simulated["operations"]["GET /v2/bookings"];
            for part in pointer.split('/') {
                place = &mut place[part];
            }
            *place = value.clone();
        });
    }
    for (record, member, kind) in [
        ("booking", "total_paid", "string"),
        ("charge", "unheard_of", "number"),
        // Always present.
        ("booking", "title", "string!"),
        ("short_property", "name", "string"),
        ("inquiry", "id", "integer"),
        // A closed vocabulary.
        ("calendar_day", "status", "string!"),
        ("message", "body", "from_role!"),
    ] {
        is_seen(member, &|changed| changed.simulated["records"][record]["members"][member] = json!(kind));
    }
    is_seen("a word", &|changed| changed.simulated["values"]["calendar_status"]["names"] = json!(["available"]));
    is_seen("the body", &|changed| {
        changed.simulated["operations"]["POST /v2/guests"]["body"]["members"]["phones"] = json!("guest_address[]");
    });
    is_seen("shown without a parameter", &|changed| {
        let optional = changed.behaviour["collections"]["bookings"]["optional"].as_array_mut().unwrap();
        optional.iter_mut().find(|one| one["member"] == "charges").unwrap()["lists_only"] = json!(false);
    });

    for (record, member, value) in [
        ("booking", "always", json!(["id"])),
        ("inquiry", "always", json!([])),
        ("property", "always", json!(["id", "name", "key"])),
        ("calendar", "words", json!({})),
        ("calendar", "words", json!({"days.status": []})),
        ("calendar", "words", json!({"days.status": ["available"]})),
        ("spot_rate", "words", json!({"currency": ["USD"]})),
    ] {
        is_seen(member, &|changed| {
            let records = changed.records.as_array_mut().unwrap();
            records.iter_mut().find(|one| one["record"] == record).unwrap()[member] = value.clone();
        });
    }
    for (tool, shows) in [("get_booking", json!([])), ("get_quote", json!(["charges", "tags"]))] {
        is_seen(tool, &|changed| {
            let operations = changed.catalogue.as_array_mut().unwrap();
            operations.iter_mut().find(|one| one["tool"] == tool).unwrap()["shows"] = shows.clone();
        });
    }
}
