//! Calls every operation of the catalogue through the gateway, with the examples of a table: each succeeds, and the
//! matching read sees the effect of each write.

use std::collections::{BTreeMap, BTreeSet};

use ownerrez_gateway::catalog::Catalog;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    outputs::Promised,
    world::{Gateway, Person, on_each_database, rpc},
};

/// One call of the table, in order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    call: String,
    /// Arguments. A text such as `$guest` refers to a value that an earlier example kept.
    #[serde(default)]
    with: Map<String, Value>,
    /// Expected parts of the response, by JSON pointer; null means "absent".
    #[serde(default)]
    shows: Map<String, Value>,
    /// Names for parts of the response, by JSON pointer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// The read that proves a write.
    #[serde(default)]
    then: Option<Then>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Then {
    call: String,
    with: Map<String, Value>,
    #[serde(default)]
    shows: Map<String, Value>,
    /// OwnerRez no longer has the record.
    #[serde(default)]
    gone: bool,
}

fn examples() -> Vec<Example> {
    serde_json::from_str(include_str!("catalogue/examples.json")).unwrap()
}

/// Replaces names with the kept values.
fn filled(value: &Value, kept: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => kept.get(name).unwrap_or_else(|| panic!("nobody kept {name}")).clone(),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, kept)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), filled(member, kept))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn check(call: &str, answer: &Value, shows: &Map<String, Value>, kept: &BTreeMap<String, Value>) {
    for (pointer, expected) in shows {
        let found = answer.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, filled(expected, kept), "{call} {pointer}: {answer}");
    }
}

async fn follow(person: &Person, example: &Example, promised: &Promised, kept: &mut BTreeMap<String, Value>) {
    let with = filled(&Value::Object(example.with.clone()), kept);
    let two_steps = example.call.starts_with("delete_") || example.call == "create_message";
    let answer = if two_steps {
        person.call_confirmed(&example.call, with).await
    } else {
        person.call(&example.call, with).await
    }
    .ok();
    promised.kept_by(&example.call, &answer);
    for (name, pointer) in &example.keep {
        let part = answer.pointer(pointer).unwrap_or_else(|| panic!("{}: no {pointer} in {answer}", example.call));
        kept.insert(name.clone(), part.clone());
    }
    check(&example.call, &answer, &example.shows, kept);
    assert!(!answer.to_string().contains("\"_"), "the simulator keeps what is its own: {answer}");
    let Some(then) = &example.then else { return };
    let with = filled(&Value::Object(then.with.clone()), kept);
    let read = person.call(&then.call, with).await;
    if then.gone {
        assert!(read.refused().contains("status 404"), "after {}", example.call);
    } else {
        check(&format!("{}, then {}", example.call, then.call), &read.ok(), &then.shows, kept);
    }
}

#[test]
fn the_examples_call_everything_and_prove_every_write() {
    let catalog = Catalog::embedded().unwrap();
    let examples = examples();
    let called: BTreeSet<&str> = examples.iter().map(|example| example.call.as_str()).collect();
    let all: BTreeSet<&str> = catalog.operations().map(|operation| operation.name()).collect();
    assert_eq!(called, all);
    for example in &examples {
        let reads = |call: &str| catalog.get(call).unwrap().is_read_only();
        let proof = example.then.as_ref();
        assert!(
            reads(&example.call) || proof.is_some_and(|then| then.gone == then.shows.is_empty()),
            "{}",
            example.call
        );
        assert!(proof.is_none_or(|then| reads(&then.call)), "{}", example.call);
    }
}

#[actix_web::test]
async fn every_operation_works_and_every_write_is_seen() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        // The first demo account has records of every kind.
        let account = gateway.ownerrez().accounts()[0].id;
        let alice = gateway.user("Alice").await.connect(&gateway, account).await;
        let mut kept = BTreeMap::new();
        let promised = Promised::to(&alice).await;
        for example in examples() {
            follow(&alice, &example, &promised, &mut kept).await;
        }
        // Each change was recorded, and so was its outcome. A price quote changes nothing.
        let catalog = Catalog::embedded().unwrap();
        let changes = |example: &&Example| {
            !catalog.get(&example.call).unwrap().is_read_only() && example.with.get("test") != Some(&json!(true))
        };
        let changes = examples().iter().filter(changes).count() as i64;
        assert_eq!(database.number("SELECT count(*) FROM writes WHERE outcome = 'done'").await, changes);
        assert_eq!(database.number("SELECT count(*) FROM writes").await, changes);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_not_listed_can_be_called() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let list = alice.mcp(&rpc(1, "tools/list", json!({}))).await;
        let listed: Vec<&Value> =
            list.body["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert!(!listed.contains(&&json!("list_surcharges")));
        let surcharges = alice.call("list_surcharges", json!({})).await.ok();
        assert_eq!(surcharges["items"][0]["name"], json!("Cleaning"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn messages_without_an_agreement_are_refused_with_the_reason() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().change(|switches| switches.messaging = false);
        let listed = alice.call("list_messages", json!({"threadId": 1})).await;
        let sent = alice.call_confirmed("create_message", json!({"thread_id": 1, "body": "Hello"})).await;
        for answer in [listed, sent] {
            let text = answer.refused();
            assert!(text.contains("messaging_not_enabled") && text.contains("agreement"), "{text}");
        }
        gateway.stop().await;
    })
    .await;
}

/// The only tool of the TypeScript server that was not an operation of OwnerRez.
#[actix_web::test]
async fn the_predecessors_tool_for_connecting_still_answers() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let told = alice.call("get_oauth_url", json!({"state": "x"})).await;
        let text = told.0.body["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.contains(&format!("{}/", gateway.url)), "{text}");
        let account = gateway.ownerrez().add_account("Alice").id;
        let alice = alice.connect(&gateway, account).await;
        let told = alice.call("get_oauth_url", json!({})).await;
        assert!(told.is_ok() && told.0.body.to_string().contains("connected already"), "{}", told.0.body);
        gateway.stop().await;
    })
    .await;
}
