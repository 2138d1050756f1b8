//! An agent's day: thirty questions of owners and managers as scripts of tool calls, once with OwnerRez's plain
//! operations and once with the gateway's default tools. `docs/BENCHMARKS.md` has the cost of both.
//!
//! A token is estimated as four characters. The count includes what a model reads (the list of tools once per question,
//! and the results) and what it writes (the arguments).

use std::fmt::Write;

use chrono::TimeDelta;
use ownerrez_gateway::{catalog::Catalog, domain::Scope};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::world::{Gateway, Person, Settings, TestDatabase, on_each_database, rpc};

#[derive(Deserialize)]
struct Question {
    question: String,
    plain: Vec<Step>,
    default: Vec<Step>,
}

/// One call, or one for each of some records.
#[derive(Deserialize)]
struct Step {
    tool: String,
    /// `"$0.items.*.id"` refers to the result of call 0, `"$booking.id"` to the subject of the question.
    arguments: Value,
    each: Option<String>,
    #[serde(default)]
    take: usize,
    /// Read all pages, until there is no `next_offset`.
    #[serde(default)]
    pages: bool,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    calls: usize,
    /// Requests to OwnerRez.
    requests: usize,
    /// Of arguments and results.
    tokens: usize,
}

struct Day<'a> {
    gateway: &'a Gateway,
    person: &'a Person,
    /// The subjects of the questions.
    about: Map<String, Value>,
}

fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// Resolves a reference; `*` matches each member of a list.
fn follow(value: &Value, path: &[&str]) -> Value {
    match path {
        [] => value.clone(),
        ["*", rest @ ..] => value.as_array().unwrap().iter().map(|one| follow(one, rest)).collect(),
        [name, rest @ ..] => match (value, name.parse::<usize>()) {
            (Value::Array(items), Ok(index)) => follow(&items[index], rest),
            _ => follow(&value[*name], rest),
        },
    }
}

fn resolved(value: &Value, known: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) if text.starts_with('$') => {
            let path: Vec<&str> = text[1..].split('.').collect();
            let found = follow(&known[path[0]], &path[1..]);
            assert!(!found.is_null(), "{text}");
            found
        }
        Value::Array(items) => items.iter().map(|item| resolved(item, known)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), resolved(value, known))).collect(),
        other => other.clone(),
    }
}

impl Day<'_> {
    async fn call(&self, tool: &str, arguments: &Value, cost: &mut Cost) -> Value {
        let answer = self.person.call(tool, arguments.clone()).await;
        let text = answer.0.body["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        cost.calls += 1;
        cost.tokens += tokens(&arguments.to_string()) + tokens(&text);
        answer.ok()
    }

    async fn pages(&self, step: &Step, mut arguments: Value, cost: &mut Cost) -> Value {
        let mut items = Vec::new();
        loop {
            let mut page = self.call(&step.tool, &arguments, cost).await;
            match page.get("next_offset").cloned() {
                _ if !step.pages => return page,
                Some(next) => {
                    items.extend(page["items"].as_array().unwrap().iter().cloned());
                    arguments["offset"] = next;
                }
                None => {
                    items.extend(page["items"].as_array().unwrap().iter().cloned());
                    page["items"] = Value::Array(items);
                    return page;
                }
            }
        }
    }

    async fn live(&self, steps: &[Step]) -> Cost {
        let mut cost = Cost::default();
        let mut known = self.about.clone();
        let before = self.gateway.ownerrez().count("* /v2/*");
        for (number, step) in steps.iter().enumerate() {
            let result = match &step.each {
                None => self.pages(step, resolved(&step.arguments, &known), &mut cost).await,
                Some(each) => {
                    let records = resolved(&json!(each), &known);
                    for record in records.as_array().unwrap().iter().take(step.take) {
                        known.insert("each".to_owned(), record.clone());
                        self.pages(step, resolved(&step.arguments, &known), &mut cost).await;
                    }
                    Value::Null
                }
            };
            known.insert(number.to_string(), result);
        }
        cost.requests = self.gateway.ownerrez().count("* /v2/*") - before;
        cost
    }
}

/// Runs a day with one set of scripts: ten sessions an hour apart, three questions each, a minute apart. Responses are
/// cached only within a session, with either set. Returns the cost of each question, all requests that OwnerRez received
/// in the 24 hours (token endpoint and background jobs included), and the tokens of the list of tools.
async fn a_day(database: &TestDatabase, steps: impl Fn(&Question) -> &[Step]) -> (Vec<Cost>, usize, usize) {
    let settings = Settings::default().tune(|config| config.sessions.recent_answers_bytes = 8 << 20);
    let gateway = Gateway::start_with(database, settings).await;
    let account = gateway.ownerrez().accounts()[0].id;
    let person = gateway.user("Host").await.connect(&gateway, account).await;
    let listed = person.mcp(&rpc(1, "tools/list", json!({}))).await.body["result"]["tools"].to_string();

    let everything = json!({"since_utc": "2000-01-01T00:00:00Z", "include_guest": true, "limit": 100});
    let bookings = person.call("list_bookings", everything).await.ok();
    let threaded = |one: &&Value| {
        one["thread_ids"].is_array() && one["guest"]["last_name"].is_string() && one["status"] == json!("active")
    };
    let booking = bookings["items"].as_array().unwrap().iter().find(threaded).unwrap();
    let property = person.call("get_property", json!({"id": booking["property_id"]})).await.ok();
    let about = Map::from_iter([("booking".to_owned(), booking.clone()), ("property".to_owned(), property)]);
    let day = Day { gateway: &gateway, person: &person, about };
    gateway.ownerrez().clear_requests();
    let begin = gateway.now();

    let mut costs = Vec::new();
    for (number, question) in questions().iter().enumerate() {
        // Permits are settled by a message: wait until the allowance has processed it before advancing the clock.
        gateway.app().sessions().observe_allowance().await;
        gateway.advance(TimeDelta::minutes(if number % 3 == 0 { 58 } else { 1 }));
        costs.push(day.live(steps(question)).await);
    }
    let evening = begin + TimeDelta::hours(24) - gateway.now();
    gateway.app().sessions().observe_allowance().await;
    gateway.advance(evening);
    gateway.app().sessions().run_background_jobs().await;
    let all_requests = gateway.ownerrez().count("* *");
    gateway.stop().await;
    (costs, all_requests, tokens(&listed))
}

fn questions() -> Vec<Question> {
    serde_json::from_str(include_str!("agents_day/questions.json")).unwrap()
}

fn sum(costs: &[Cost]) -> Cost {
    costs.iter().fold(Cost::default(), |sum, cost| Cost {
        calls: sum.calls + cost.calls,
        requests: sum.requests + cost.requests,
        tokens: sum.tokens + cost.tokens,
    })
}

#[actix_web::test]
async fn the_default_list_answers_thirty_questions_with_a_third_of_the_tokens_and_fewer_requests() {
    on_each_database(async |database| {
        let (plain, plain_day, _) = a_day(database, |question| &question.plain).await;
        let (default, default_day, default_list) = a_day(database, |question| &question.default).await;
        let every = serde_json::to_string(&Catalog::embedded().unwrap().all_tools(Scope::Full)).unwrap();
        let plain_list = tokens(&every);

        let mut table = String::from("| Question | calls | requests | tokens |\n|---|---:|---:|---:|\n");
        for ((question, one), other) in questions().iter().zip(&plain).zip(&default) {
            let (asked, [calls, requests]) =
                (&question.question, [(one.calls, other.calls), (one.requests, other.requests)]);
            let row = format!("| {} : {} | {} : {} | {} : {} |", calls.0, calls.1, requests.0, requests.1, one.tokens, other.tokens);
            writeln!(table, "| {asked} {row}").unwrap();
        }
        assert_eq!(plain.len(), 30);
        let (plain, default) = (sum(&plain), sum(&default));
        writeln!(
            table,
            "| **all** | {} : {} | {} : {} | {} : {} |\n| the list of tools, 30 times | | | {} : {} |",
            plain.calls,
            default.calls,
            plain.requests,
            default.requests,
            plain.tokens,
            default.tokens,
            30 * plain_list,
            30 * default_list
        )
        .unwrap();
        let with_lists = [plain.tokens + 30 * plain_list, default.tokens + 30 * default_list];
        println!("{table}");
        println!("requests in 24 hours, background included: {plain_day} and {default_day}");
        println!(
            "tokens with lists: {:.2} of plain; without: {:.2}; requests: {:.2}; lists: {plain_list} and {default_list}",
            with_lists[1] as f64 / with_lists[0] as f64,
            default.tokens as f64 / plain.tokens as f64,
            default.requests as f64 / plain.requests as f64
        );
        assert!(with_lists[1] * 2 < with_lists[0], "less than half of the tokens: {with_lists:?}");
        assert!(default.requests < plain.requests, "{} and {} requests", default.requests, plain.requests);
    })
    .await;
}
