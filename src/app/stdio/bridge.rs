//! Forwards each message of a client to a gateway's `/mcp` and returns the answers: for clients that can start a
//! program but not send a key, such as Claude Desktop.

use std::{cell::RefCell, collections::HashMap, io, rc::Rc, time::Duration};

use awc::{Client, Connector, http::header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{io::BufReader, task::JoinHandle};
use url::Url;

use super::lines::{Output, next_line};
use crate::{config::ToolSettings, mcp::Incoming};

/// The largest answer that is forwarded.
const ANSWER_LIMIT: usize = 16 << 20;
/// The request timeout. Longer than a gateway's limit for any call.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The JSON-RPC code for failures that the message did not cause.
const SERVER_ERROR: i64 = -32000;

struct Bridge {
    http: Client,
    endpoint: String,
    authorization: SecretString,
    /// The tool selection, as headers.
    selection_headers: Vec<(&'static str, String)>,
    /// The negotiated protocol version, in the revisions with a handshake.
    protocol_version: RefCell<Option<String>>,
    out: Output,
}

/// Runs until standard input ends and the last answer is written.
pub(super) async fn run(gateway: &Url, api_key: &SecretString, tools: &ToolSettings) -> io::Result<()> {
    let (out, writer) = Output::start();
    let connector = Connector::new().timeout(Duration::from_secs(10));
    let bridge = Rc::new(Bridge {
        http: Client::builder().connector(connector).timeout(TIMEOUT).disable_redirects().finish(),
        endpoint: format!("{}/mcp", gateway.as_str().trim_end_matches('/')),
        authorization: format!("Bearer {}", api_key.expose_secret()).into(),
        selection_headers: selection_headers(tools),
        protocol_version: RefCell::new(None),
        out,
    });
    let mut under_way: HashMap<String, JoinHandle<()>> = HashMap::new();
    let mut input = BufReader::new(tokio::io::stdin());
    while let Some(line) = next_line(&mut input).await? {
        under_way.retain(|_, task| !task.is_finished());
        // Checked here as well, since the gateway may be older than this program. The gateway checks the parameters.
        let message = match Incoming::parse(&line) {
            Ok(Incoming::Message(message)) => message.into_value(),
            Ok(Incoming::Batch(messages)) => Value::Array(messages),
            Err(malformed) => {
                bridge.out.send(&malformed.to_json());
                continue;
            }
        };
        if message["method"] == "notifications/cancelled" {
            // A gateway without sessions learns of a cancellation from the closed connection.
            if let Some(task) = under_way.remove(&message["params"]["requestId"].to_string()) {
                task.abort();
            }
            continue;
        }
        if message.is_object() && message.get("method").is_none() {
            // A gateway sends no requests over HTTP. None waits for this answer, and its id is that of another request.
            log::debug!("dropped a response of the client to a request that was never sent");
            continue;
        }
        let id = message["id"].to_string();
        let first = message["method"] == "initialize";
        let task = actix_rt::spawn(bridge.clone().forward(message));
        if first {
            // The messages after it depend on the negotiated version.
            let _ = task.await;
        } else {
            under_way.insert(id, task);
        }
    }
    for (_, task) in under_way {
        let _ = task.await;
    }
    drop(bridge);
    writer.await.map_err(io::Error::other)?
}

fn selection_headers(tools: &ToolSettings) -> Vec<(&'static str, String)> {
    let lists = [
        ("x-mcp-toolsets", tools.toolsets.join(",")),
        ("x-mcp-tools", tools.tools.join(",")),
        ("x-mcp-exclude-tools", tools.excluded.join(",")),
        ("x-mcp-readonly", tools.read_only.to_string()),
        // Sent only if it is set, because it overrides the setting of the key.
        ("x-mcp-two-steps", tools.two_steps.map_or(String::new(), |on| on.to_string())),
    ];
    lists.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

impl Bridge {
    async fn forward(self: Rc<Self>, message: Value) {
        let id = message.get("id").cloned();
        match self.exchange(&message).await {
            Ok(answers) => {
                for answer in answers {
                    if message["method"] == "initialize"
                        && let Some(version) = answer["result"]["protocolVersion"].as_str()
                    {
                        *self.protocol_version.borrow_mut() = Some(version.to_owned());
                    }
                    self.out.send(&answer);
                }
            }
            // A batch has no id.
            Err(why) => match id.or_else(|| message.is_array().then_some(Value::Null)) {
                Some(id) => self.refuse(&id, SERVER_ERROR, &why),
                None => log::warn!("cannot forward a notification: {why}"),
            },
        }
    }

    fn refuse(&self, id: &Value, code: i64, why: &str) {
        let refusal = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": why}});
        self.out.send(&refusal);
    }

    async fn exchange(&self, message: &Value) -> Result<Vec<Value>, String> {
        let mut request = self
            .http
            .post(&self.endpoint)
            .insert_header((header::AUTHORIZATION, self.authorization.expose_secret()))
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((header::ACCEPT, "application/json, text/event-stream"))
            .insert_header((header::USER_AGENT, concat!("ownerrez-gateway-bridge/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &self.selection_headers {
            request = request.insert_header((*name, value.as_str()));
        }
        // Since 2026-07-28 each message contains its version, and headers repeat it with the method and name.
        let own = message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
        if let Some(version) = own.map(str::to_owned).or_else(|| self.protocol_version.borrow().clone()) {
            request = request.insert_header(("mcp-protocol-version", version));
        }
        if own.is_some() {
            let params = &message["params"];
            let name = params["name"].as_str().or_else(|| params["uri"].as_str());
            for (header, value) in [("mcp-method", message["method"].as_str()), ("mcp-name", name)] {
                if let Some(value) = value {
                    request = request.insert_header((header, value));
                }
            }
        }
        let unreachable =
            |_| format!("The gateway at {} cannot be reached. Check OWNERREZ_GATEWAY_URL.", self.endpoint);
        let mut response = request.send_body(message.to_string()).await.map_err(unreachable)?;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.starts_with("text/event-stream");
        let body = response.body().limit(ANSWER_LIMIT).await;
        let body = body.map_err(|error| format!("The gateway's response cannot be read: {error}"))?;
        if is_stream {
            let text = String::from_utf8_lossy(&body).into_owned();
            let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            return Ok(data.filter_map(|data| serde_json::from_str(data).ok()).collect());
        }
        if body.is_empty() && status.is_success() {
            return Ok(Vec::new());
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if answer["jsonrpc"].is_string() || answer.is_array() {
            return Ok(vec![answer]);
        }
        // An error of the gateway from before the MCP layer.
        let field = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
        match field("message") {
            message if message.is_empty() => Err(format!("The gateway returned status {}.", status.as_u16())),
            message => Err(format!("{message} {}", field("hint"))),
        }
    }
}
