//! Validates the gateway's messages in each revision of the protocol against that revision's published schema: every
//! member has the right type, and none is from a newer revision.

mod schema;

use serde_json::{Value, json};

use self::schema::Schema;
use crate::world::{Gateway, Person, on_each_database, rpc};

const NEWEST: &str = "2026-07-28";
const OLDER: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A client of one revision.
struct Client<'a> {
    person: &'a Person,
    revision: &'static str,
    schema: Schema,
}

impl Client<'_> {
    async fn ask(&self, path: &str, method: &str, mut params: Value) -> Value {
        let mut headers = vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let name = params.get("name").or(params.get("uri")).and_then(Value::as_str).map(str::to_owned);
        if method != "initialize" {
            headers.push(("mcp-protocol-version", self.revision));
        }
        if self.revision == NEWEST {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": NEWEST,
                "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            });
            headers.push(("mcp-method", method));
            headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
        }
        let reply = self.person.send("POST", path, &headers, Some(rpc(7, method, params).to_string())).await;
        assert_eq!(reply.header("content-type"), Some("application/json"), "{method}: {}", reply.body);
        reply.body
    }

    fn check(&self, what: &str, kind: &str, value: &Value) {
        let mistakes = self.schema.mistakes(kind, value);
        assert!(mistakes.is_empty(), "{}, {what}: no {kind}: {mistakes:#?}\n{value:#}", self.revision);
    }

    /// Sends a request and validates the result against this type.
    async fn result(&self, path: &str, method: &str, params: Value, kind: &str) -> Value {
        let answer = self.ask(path, method, params).await;
        let mut members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["id", "jsonrpc", "result"], "{}, {method}: {answer}", self.revision);
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
        self.check(method, kind, &answer["result"]);
        answer["result"].clone()
    }

    async fn error(&self, method: &str, params: Value, code: i64) -> String {
        let answer = self.ask("/mcp", method, params).await;
        let kind = if self.schema.has("JSONRPCError") { "JSONRPCError" } else { "JSONRPCErrorResponse" };
        self.check(method, kind, &answer);
        assert_eq!(answer["error"]["code"], json!(code), "{}, {method}: {answer}", self.revision);
        answer["error"]["message"].as_str().unwrap().to_owned()
    }

    /// Calls a tool on both paths, the fast one and rmcp's.
    async fn call(&self, path: &str, tool: &str, arguments: Value) -> Value {
        let usual = json!({"name": tool, "arguments": arguments});
        let mut unusual = usual.clone();
        unusual["_meta"] = json!({"example.com/unusual": true});
        let long = self.result(path, "tools/call", unusual, "CallToolResult").await;
        let short = self.result(path, "tools/call", usual, "CallToolResult").await;
        assert_eq!(short["structuredContent"], long["structuredContent"], "{}, {tool}", self.revision);
        short
    }

    /// Requests every kind of result.
    async fn walk(&self, connected: bool) {
        let structured = self.revision >= "2025-06-18";
        let lists = [
            ("/mcp", "tools/list", "ListToolsResult", "tools"),
            ("/mcp?output_schemas=true", "tools/list", "ListToolsResult", "tools"),
            ("/mcp/x/all?output_schemas=true", "tools/list", "ListToolsResult", "tools"),
            ("/mcp", "resources/list", "ListResourcesResult", "resources"),
            ("/mcp", "resources/templates/list", "ListResourceTemplatesResult", "resourceTemplates"),
            ("/mcp", "prompts/list", "ListPromptsResult", "prompts"),
        ];
        for (path, method, kind, member) in lists {
            let list = self.result(path, method, json!({}), kind).await;
            let items = list[member].as_array().unwrap();
            assert!(!items.is_empty(), "{}, {method}", self.revision);
            assert!(items.iter().all(|item| item["title"].is_string() == structured), "{}, {method}", self.revision);
            let pictured = member != "tools" && self.revision >= "2025-11-25";
            assert!(items.iter().all(|item| item["icons"].is_array() == pictured), "{}, {method}", self.revision);
            self.error(method, json!({"cursor": "invented"}), -32602).await;
        }
        let tools = self.result("/mcp?output_schemas=true", "tools/list", json!({}), "ListToolsResult").await;
        let shown = tools["tools"].as_array().unwrap().iter().any(|tool| tool["outputSchema"].is_object());
        assert_eq!(shown, structured, "{}", self.revision);

        let prompts = self.result("/mcp", "prompts/list", json!({}), "ListPromptsResult").await;
        let prompt = &prompts["prompts"][0];
        let wanted = prompt["arguments"].as_array().into_iter().flatten();
        let given: serde_json::Map<String, Value> =
            wanted.map(|argument| (argument["name"].as_str().unwrap().to_owned(), json!("1"))).collect();
        let named = json!({"name": prompt["name"], "arguments": given});
        self.result("/mcp", "prompts/get", named, "GetPromptResult").await;
        self.error("prompts/get", json!({"name": "no such prompt"}), -32602).await;

        let answer = self.call("/mcp", "list_properties", json!({"limit": 1})).await;
        assert_eq!(answer["isError"], json!(!connected), "{answer}");
        assert_eq!(answer["structuredContent"].is_object(), structured && connected, "{answer}");
        assert!(answer["content"][0]["text"].is_string(), "{answer}");
        self.call("/mcp", "list_properties", json!({"limit": "many"})).await;
        self.call("/mcp", "find_operation", json!({"query": "owners"})).await;
        self.error("tools/call", json!({"name": "no_such_tool"}), -32602).await;
        let told = self.error("no/such/method", json!({}), -32601).await;
        assert!(told.contains("Unknown method `no/such/method`") && told.contains("tools/call"), "{told}");
        let unknown = if self.revision == NEWEST { -32602 } else { -32002 };
        self.error("resources/read", json!({"uri": "ownerrez://nothing/5"}), unknown).await;
        let reference = json!({"type": "ref/resource", "uri": "ownerrez://properties/{id}"});
        let typed = json!({"ref": reference, "argument": {"name": "id", "value": "a"}});
        self.result("/mcp", "completion/complete", typed, "CompleteResult").await;
        if !connected {
            return;
        }
        let id = self.person.call("list_properties", json!({"limit": 1})).await.ok()["items"][0]["id"].clone();
        let uri = json!({"uri": format!("ownerrez://properties/{id}")});
        self.result("/mcp", "resources/read", uri, "ReadResourceResult").await;
        self.call("/mcp", "list_properties", json!({"format": "table"})).await;
        let made = self.person.call("create_guest", json!({"first_name": "Ada", "last_name": "Story"})).await.ok();
        let removal = json!({"name": "delete_guest", "arguments": {"id": made["id"]}});
        let kind = if self.revision == NEWEST { "InputRequiredResult" } else { "CallToolResult" };
        self.result("/mcp", "tools/call", removal, kind).await;
    }
}

#[actix_web::test]
async fn sessions_of_older_revisions_get_no_member_of_a_newer_one() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.user("Bob").await);
        for revision in OLDER {
            for (person, connected) in [(&alice, true), (&bob, false)] {
                let client = Client { person, revision, schema: Schema::of(revision) };
                let hello = json!({
                    "protocolVersion": revision,
                    "capabilities": {"sampling": {}, "roots": {"listChanged": true}},
                    "clientInfo": {"name": "story", "version": "1"},
                });
                let greeting = client.result("/mcp", "initialize", hello, "InitializeResult").await;
                assert_eq!(greeting["protocolVersion"], json!(revision));
                assert_eq!(greeting["serverInfo"]["icons"].is_array(), revision >= "2025-11-25", "{greeting}");
                assert_eq!(greeting["serverInfo"]["title"].is_string(), revision >= "2025-06-18", "{greeting}");
                assert_eq!(client.result("/mcp", "ping", json!({}), "EmptyResult").await, json!({}));
                client.walk(connected).await;
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn requests_of_the_newest_revision_get_its_types() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.user("Bob").await);
        for (person, connected) in [(&alice, true), (&bob, false)] {
            let client = Client { person, revision: NEWEST, schema: Schema::of(NEWEST) };
            let found = client.result("/mcp", "server/discover", json!({}), "DiscoverResult").await;
            let list = client.result("/mcp", "tools/list", json!({}), "ListToolsResult").await;
            assert_eq!((&found["ttlMs"], &found["cacheScope"]), (&list["ttlMs"], &list["cacheScope"]), "{found}");
            assert!(list["ttlMs"].as_u64().is_some_and(|ms| ms >= 60_000), "{}", list["ttlMs"]);
            client.walk(connected).await;
        }
        gateway.stop().await;
    })
    .await;
}

/// A client that requests an unknown revision gets the newest one with a handshake, and only its members.
#[actix_web::test]
async fn an_unknown_revision_is_answered_in_the_one_that_is_agreed_on() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for asked in ["2023-01-01", "2025-07-01", "2099-01-01", NEWEST, "draft"] {
            let client = Client { person: &alice, revision: "2025-11-25", schema: Schema::of("2025-11-25") };
            let hello =
                json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "story", "version": "1"}});
            let greeting = client.result("/mcp", "initialize", hello, "InitializeResult").await;
            assert_eq!(greeting["protocolVersion"], json!("2025-11-25"), "{asked}");
            assert!(greeting["serverInfo"]["icons"].is_array(), "{asked}");
        }
        gateway.stop().await;
    })
    .await;
}

/// The revision with batches: every entry of the response has the right type.
#[actix_web::test]
async fn the_entries_of_a_batch_are_of_the_revision_with_batches() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let schema = Schema::of("2025-03-26");
        let batch = json!([
            rpc(1, "tools/list", json!({})),
            rpc(2, "tools/call", json!({"name": "list_properties", "arguments": {}})),
            rpc(3, "ping", json!({})),
            rpc(4, "tools/call", json!({"name": "no_such_tool"})),
            rpc(5, "tools/call", json!({"arguments": 5})),
        ]);
        let headers = [("content-type", "application/json"), ("mcp-protocol-version", "2025-03-26")];
        let reply = alice.send("POST", "/mcp", &headers, Some(batch.to_string())).await;
        for (answer, kind) in
            reply.body.as_array().unwrap().iter().zip(["ListToolsResult", "CallToolResult", "EmptyResult", "", ""])
        {
            let (kind, value) = if kind.is_empty() { ("JSONRPCError", answer) } else { (kind, &answer["result"]) };
            let mistakes = schema.mistakes(kind, value);
            assert!(mistakes.is_empty(), "no {kind}: {mistakes:#?}\n{value:#}");
        }
        assert_eq!(reply.body.as_array().unwrap().len(), 5, "{}", reply.body);
        gateway.stop().await;
    })
    .await;
}
