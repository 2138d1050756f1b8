//! `docs/TOOLS.md`: every tool with its purpose, scope, cost in tokens, and its OwnerRez requests. The page is
//! generated from the gateway's list, the table of operations and, for composite tools, the requests that the simulated
//! OwnerRez received when they were called.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use chrono::Days;
use ownerrez_gateway::{catalog::Catalog, domain::Scope};
use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::{
    outputs::Promised,
    world::{Gateway, Person, on_each_database, rpc},
};

const PAGE: &str = include_str!("../../docs/TOOLS.md");

/// Estimates a token as four characters of the compact JSON.
fn tokens(tools: &[&Tool]) -> usize {
    tools.iter().map(|tool| serde_json::to_string(tool).unwrap().chars().count()).sum::<usize>() / 4
}

/// Returns calls that make each tool that is not an operation send all of its possible requests.
async fn examples(gateway: &Gateway, person: &Person) -> BTreeMap<&'static str, Vec<Value>> {
    let today = gateway.now().date_naive();
    let month = json!({"from": today, "to": today + Days::new(27)});
    let bookings = json!({"since_utc": "2000-01-01T00:00:00Z", "include_guest": true, "limit": 100});
    let bookings = person.call("list_bookings", bookings).await.ok();
    let threaded = |one: &&Value| one["thread_ids"].is_array() && one["guest"]["last_name"].is_string();
    let bookings = bookings["items"].as_array().unwrap();
    let booking = bookings.iter().find(threaded).unwrap();
    let dossiers = bookings.iter().take(20).map(|one| json!({"booking_id": one["id"]})).collect();
    let free = (1..8).map(|weeks| {
        let arrival = today + Days::new(7 * weeks);
        json!({"arrival": arrival, "departure": arrival + Days::new(3), "flexible_days": 2, "prices": true})
    });
    let mut fetched = Vec::new();
    for (kind, list, with) in [
        ("property", "list_properties", json!({})),
        ("booking", "list_bookings", json!({"since_utc": "2000-01-01T00:00:00Z"})),
        ("guest", "list_guests", json!({"created_since_utc": "2000-01-01T00:00:00Z"})),
        ("quote", "list_quotes", json!({})),
        ("inquiry", "list_inquiries", json!({})),
    ] {
        let records = person.call(list, with).await.ok();
        fetched.push(json!({"id": format!("{kind}:{}", records["items"][0]["id"])}));
    }
    BTreeMap::from([
        ("booking_dossier", dossiers),
        // It sends the requests of the operation that it calls.
        ("call_operation", vec![]),
        ("calendar_overview", vec![month.clone()]),
        ("draft_message", vec![json!({"thread_id": booking["thread_ids"][0], "body": "Welcome!"})]),
        ("fetch", fetched),
        ("find_availability", free.collect()),
        ("find_operation", vec![json!({"query": "payouts"})]),
        ("guest_history", vec![json!({"guest_id": booking["guest_id"]})]),
        ("revenue_summary", vec![month]),
        ("search", vec![json!({"query": booking["guest"]["last_name"]})]),
        ("todays_briefing", vec![json!({})]),
        ("who_is_staying", vec![json!({})]),
    ])
}

/// Returns the requests to OwnerRez, in the notation of the table of operations.
async fn asked(
    gateway: &Gateway,
    person: &Person,
    tool: &str,
    examples: &[Value],
    operations: &BTreeMap<String, String>,
    promised: &Promised,
) -> Vec<String> {
    gateway.ownerrez().clear_requests();
    for arguments in examples {
        promised.kept_by(tool, &person.call(tool, arguments.clone()).await.ok());
    }
    let seen = operations.values().filter(|pattern| gateway.ownerrez().count(pattern) > 0);
    let seen: BTreeSet<String> = seen.cloned().collect();
    // Each request matches one operation.
    let counted: usize = seen.iter().map(|pattern| gateway.ownerrez().count(pattern)).sum();
    assert_eq!(counted, gateway.ownerrez().count("* /v2/*"), "{tool}: {seen:?}");
    seen.into_iter().collect()
}

fn row(page: &mut String, tool: &Tool, asks: &[String]) {
    let reads = tool.annotations.as_ref().and_then(|hints| hints.read_only_hint) == Some(true);
    let purpose = tool.description.as_deref().unwrap_or_default().replace('|', "\\|");
    let asks: Vec<String> = asks.iter().map(|pattern| format!("`{pattern}`")).collect();
    writeln!(
        page,
        "| `{}` | {purpose} | {} | {} | {} |",
        tool.name,
        if reads { "read" } else { "full" },
        match (asks.is_empty(), tool.name == "call_operation") {
            (true, true) => "those of the called operation".to_owned(),
            (true, false) => "none".to_owned(),
            (false, _) => asks.join(", "),
        },
        tokens(&[tool]),
    )
    .unwrap();
}

#[actix_web::test]
async fn the_page_of_tools_says_what_the_gateway_does() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().accounts()[0].id;
        let person = gateway.user("Host").await.connect(&gateway, account).await;
        let listed = person.mcp(&rpc(1, "tools/list", json!({}))).await;
        let listed: Vec<Tool> = serde_json::from_value(listed.body["result"]["tools"].clone()).unwrap();
        let catalog = Catalog::embedded().unwrap();
        let table: Vec<Value> = serde_json::from_str(include_str!("../../config/operations.json")).unwrap();
        let text = |record: &Value, member: &str| record[member].as_str().unwrap().to_owned();
        let operations: BTreeMap<String, String> = table
            .iter()
            .map(|record| (text(record, "tool"), format!("{} {}", text(record, "method"), text(record, "path"))))
            .collect();
        let examples = examples(&gateway, &person).await;
        let promised = Promised::to(&person).await;

        let head = "| Tool | Purpose | Scope | Requests to OwnerRez | Tokens |\n|---|---|---|---|---:|\n";
        let (mut answers, mut plain, mut others) = (head.to_owned(), head.to_owned(), head.to_owned());
        for tool in &listed {
            if let Some(operation) = operations.get(tool.name.as_ref()) {
                row(&mut plain, tool, std::slice::from_ref(operation));
                continue;
            }
            let examples = examples.get(tool.name.as_ref());
            let examples = examples.unwrap_or_else(|| panic!("give an example of {} in this file", tool.name));
            row(&mut answers, tool, &asked(&gateway, &person, &tool.name, examples, &operations, &promised).await);
        }
        let every = catalog.all_tools(Scope::Full);
        let unlisted: Vec<&Tool> = every.iter().filter(|one| listed.iter().all(|tool| tool.name != one.name)).collect();
        for tool in &unlisted {
            row(&mut others, tool, &[operations[tool.name.as_ref()].clone()]);
        }
        let (listed, unlisted) = (listed.iter().collect::<Vec<_>>(), unlisted);
        let page = format!(
            "# The tools

Generated by `tests/gateway/tools_page.rs`, which fails if this page is out of date.

Tools of scope *read* work with every key, tools of scope *full* only with keys that may write. The tokens of a tool are
estimated as a quarter of the characters of its entry in `tools/list` (compact JSON), which a model reads in every
conversation.

## Composite tools

Listed by default. Most call several operations, some of them more than once, and cache data that rarely changes. The
table shows the requests that the simulated OwnerRez received.

{answers}
## Listed operations

Together with the tools above, the default list has {} tools and {} tokens.

{plain}
## Other operations

Not listed by default. `find_operation` finds them, and they can be called through `call_operation` or by name. Listing
them would take another {} tokens.

{others}",
            listed.len(),
            tokens(&listed),
            tokens(&unlisted),
        );
        if page != PAGE {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp");
            fs::create_dir_all(folder).and_then(|()| fs::write(format!("{folder}/TOOLS.md"), page)).unwrap();
            panic!("docs/TOOLS.md is out of date. If the change is intended: cp target/tmp/TOOLS.md docs/TOOLS.md");
        }
    })
    .await;
}
