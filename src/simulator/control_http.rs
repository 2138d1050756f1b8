//! `/_control`: [`Controls`] as JSON over HTTP, for test drivers in other languages. It adds no logic.
//!
//! | Route below `/_control` | Does |
//! |---|---|
//! | `GET /` | time, client, accounts, switches, number of requests |
//! | `GET`, `POST /accounts` | lists; creates one, `{"name", "properties"?, "bookings"?}` |
//! | `GET /accounts/{id}` | one account with its personal access token |
//! | `POST /accounts/{id}/grant`, `…/revoke`, `…/expire` | issues tokens; revokes all grants; expires access tokens |
//! | `GET`, `PATCH /accounts/{id}/variations` | the names of the active ones; changes some, `{"thread_only": true}` |
//! | `GET`, `POST /accounts/{id}/records/{collection}` | all in full; changes or creates one, returns `{"id"}` |
//! | `DELETE /accounts/{id}/records/{collection}/{record}` | removes it |
//! | `GET`, `DELETE /webhooks` | the log of deliveries, `?settled=true` once nothing is due; empties it |
//! | `PUT /webhooks/app` | the app's own address and the credentials, `{"url"?, "user", "password"}` |
//! | `POST /webhooks/test` | does what the test button of the app's page does |
//! | `POST /webhooks/rules` | adds a [`WebhookRule`](super::WebhookRule), `{"type": "booking", "trouble": "miss"}` |
//! | `GET`, `DELETE /requests` | the log, or a part of it with `?pattern=GET%20/v2/owners`; empties it |
//! | `POST`, `DELETE /rules` | adds a [`Rule`], `{"pattern": "GET /v2/owners", "answer": {"reply": {"status": 503}}}`; removes all, including those of webhooks |
//! | `POST /holds` | holds requests, `{"pattern", "account"?}`, returns `{"id"}` of the hold |
//! | `GET`, `DELETE /holds/{id}` | with `?arrived=n` responds once so many wait; releases them |
//! | `GET`, `PATCH /switches` | [`Switches`]; changes the members sent |
//! | `POST /advance` | `{"seconds"}` for the simulator's clock |
//! | `DELETE /allowance` | resets the count of requests of the last five minutes |
//! | `POST /reset` | restores the state after start |

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    call::Call,
    control::Controls,
    demo_account::DemoAccount,
    reply::Reply,
    script::{Gate, Pattern, Rule, seconds},
    seed::Portfolio,
    switches::Switches,
    variations::Variation,
    webhooks::WebhookApp,
};
use crate::domain::AccountId;

#[derive(Deserialize)]
struct NewAccount {
    name: String,
    #[serde(default)]
    properties: Option<usize>,
    #[serde(default)]
    bookings: Option<usize>,
}

#[derive(Deserialize)]
struct Hold {
    pattern: Pattern,
    #[serde(default)]
    account: Option<i64>,
}

#[derive(Deserialize)]
struct Advance {
    seconds: f64,
}

#[derive(Deserialize)]
struct App {
    #[serde(default)]
    url: Option<String>,
    user: String,
    password: String,
}

/// Responds to a request below `/_control`.
pub(super) async fn answer(controls: &Controls, call: &Call) -> Reply {
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').skip(1).collect();
    let answered = match segments.as_slice() {
        ["accounts", below @ ..] => accounts(controls, call, below),
        ["webhooks", below @ ..] => webhooks(controls, call, below).await,
        ["holds", below @ ..] => holds(controls, call, below).await,
        [] => server(controls, call),
        [name] => setting(controls, call, name),
        _ => Err(not_found()),
    };
    answered.map_or_else(|refusal| refusal, |body| Reply::json(200, &body))
}

/// The JSON text of a response, or the response of a refusal.
type Answered = Result<Value, Reply>;

fn done() -> Answered {
    Ok(json!({"done": true}))
}

fn server(controls: &Controls, call: &Call) -> Answered {
    match call.method.as_str() {
        "GET" => Ok(json!({
            "now": controls.now(),
            "client_id": controls.0.client_id,
            "accounts": controls.accounts(),
            "switches": controls.switches(),
            "requests": controls.requests().len(),
        })),
        _ => Err(not_found()),
    }
}

fn accounts(controls: &Controls, call: &Call, below: &[&str]) -> Answered {
    match (call.method.as_str(), below) {
        ("GET", []) => Ok(json!(controls.accounts())),
        ("POST", []) => body(call).map(|asked| json!(open(controls, &asked))),
        (_, [account, below @ ..]) => known(controls, account).and_then(|id| one_account(controls, call, id, below)),
        _ => Err(not_found()),
    }
}

fn one_account(controls: &Controls, call: &Call, id: AccountId, below: &[&str]) -> Answered {
    match (call.method.as_str(), below) {
        ("GET", []) => Ok(json!(controls.accounts().into_iter().find(|account| account.id == id))),
        ("POST", ["grant"]) => Ok(controls.grant(id)),
        ("POST", ["revoke"]) => {
            controls.revoke_account_grants(id);
            done()
        }
        ("POST", ["expire"]) => {
            controls.expire_access_tokens(id);
            done()
        }
        ("GET", ["variations"]) => Ok(json!(controls.variations(id))),
        ("PATCH", ["variations"]) => {
            let changes: BTreeMap<Variation, bool> = body(call)?;
            controls.vary(id, |variations| changes.into_iter().for_each(|(name, on)| variations.set(name, on)));
            Ok(json!(controls.variations(id)))
        }
        ("GET", ["records", collection]) => Ok(json!(controls.records(id, collection))),
        ("POST", ["records", collection]) => {
            let record = controls.put_record(id, collection, body(call)?);
            record.map(|record| json!({"id": record})).ok_or_else(not_found)
        }
        ("DELETE", ["records", collection, record]) => {
            let removed = record.parse().is_ok_and(|record| controls.remove_record(id, collection, record));
            if removed { done() } else { Err(not_found()) }
        }
        _ => Err(not_found()),
    }
}

async fn webhooks(controls: &Controls, call: &Call, below: &[&str]) -> Answered {
    match (call.method.as_str(), below) {
        ("GET", []) => {
            if call.query_value("settled").is_some() {
                controls.webhooks_settled().await;
            }
            Ok(json!(controls.deliveries()))
        }
        ("DELETE", []) => {
            controls.clear_deliveries();
            done()
        }
        ("PUT", ["app"]) => {
            let App { url, user, password } = body(call)?;
            controls.set_webhook_app(WebhookApp { url, user, password: password.into() });
            done()
        }
        ("POST", ["test"]) => {
            controls.send_test_webhook();
            done()
        }
        ("POST", ["rules"]) => {
            controls.script_webhooks(body(call)?);
            done()
        }
        _ => Err(not_found()),
    }
}

async fn holds(controls: &Controls, call: &Call, below: &[&str]) -> Answered {
    match (call.method.as_str(), below) {
        ("POST", []) => body(call).map(|hold: Hold| json!({"id": open_hold(controls, hold)})),
        ("GET", [id]) => {
            let gate = held(controls, id).ok_or_else(not_found)?;
            if let Some(count) = call.query_value("arrived").and_then(|count| count.parse().ok()) {
                gate.wait_arrived(count).await;
            }
            Ok(json!({"arrived": gate.arrived()}))
        }
        ("DELETE", [id]) => {
            held(controls, id).ok_or_else(not_found)?.open();
            id.parse().ok().and_then(|id: u64| controls.0.lock().numbered_gates.remove(&id));
            done()
        }
        _ => Err(not_found()),
    }
}

/// Responds to the routes without segments below them.
fn setting(controls: &Controls, call: &Call, name: &str) -> Answered {
    match (call.method.as_str(), name) {
        ("GET", "requests") => Ok(json!(
            call.query_value("pattern").map_or_else(|| controls.requests(), |text| controls.requests_to(text))
        )),
        ("DELETE", "requests") => {
            controls.clear_requests();
            done()
        }
        ("POST", "rules") => {
            controls.script(body::<Rule>(call)?);
            done()
        }
        ("DELETE", "rules") => {
            controls.clear_rules();
            done()
        }
        ("GET", "switches") => Ok(json!(controls.switches())),
        ("PATCH", "switches") => body(call).and_then(|changes| change(controls, changes)),
        ("POST", "advance") => {
            let Advance { seconds: by } = body(call)?;
            controls.advance(seconds(by));
            Ok(json!({"now": controls.now()}))
        }
        ("DELETE", "allowance") => {
            controls.forget_allowance();
            done()
        }
        ("POST", "reset") => {
            controls.reset();
            done()
        }
        _ => Err(not_found()),
    }
}

fn open(controls: &Controls, asked: &NewAccount) -> DemoAccount {
    match Portfolio::asked(asked.properties, asked.bookings) {
        Some(portfolio) => controls.add_account_of_size(&asked.name, portfolio),
        None => controls.add_account(&asked.name),
    }
}

fn not_found() -> Reply {
    Reply::json(404, &json!({"error": "no such control"}))
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Reply> {
    serde_json::from_slice(&call.body).map_err(|error| Reply::json(400, &json!({"error": error.to_string()})))
}

fn known(controls: &Controls, id: &str) -> Result<AccountId, Reply> {
    let id = id.parse().ok().map(AccountId);
    id.filter(|id| controls.0.lock().account(*id).is_some()).ok_or_else(not_found)
}

/// Sets the members that were sent and keeps the others.
fn change(controls: &Controls, changes: serde_json::Map<String, Value>) -> Result<Value, Reply> {
    let mut settings = json!(controls.switches());
    if let Value::Object(settings) = &mut settings {
        settings.extend(changes);
    }
    let changed: Switches =
        serde_json::from_value(settings).map_err(|error| Reply::json(400, &json!({"error": error.to_string()})))?;
    controls.change(|switches| *switches = changed);
    Ok(json!(controls.switches()))
}

fn open_hold(controls: &Controls, hold: Hold) -> u64 {
    let gate = Gate::new(hold.pattern, hold.account.map(AccountId));
    let mut state = controls.0.lock();
    let id = state.numbered_gates.keys().max().map_or(1, |last| last + 1);
    state.gates.push(gate.clone());
    state.numbered_gates.insert(id, gate);
    id
}

fn held(controls: &Controls, id: &str) -> Option<std::sync::Arc<Gate>> {
    controls.0.lock().numbered_gates.get(&id.parse().ok()?).cloned()
}
