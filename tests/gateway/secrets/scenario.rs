//! The complete use of a gateway, from registration to deletion. Records every response and every secret.

use ownerrez_gateway::{
    crypto::ApiKey,
    domain::AccountId,
    simulator::{Controls, Rule},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{METRICS_TOKEN, REGISTRATION_TOKEN, scanner::SecretScanner};
use crate::world::{Browser, Page, Person, Reply, rpc};

const TOKEN: &str = "POST /oauth/access_token";
const REVOKE: &str = "DELETE /oauth/access_token/{token}";
const JSON: (&str, &str) = ("content-type", "application/json");

/// The lifecycle of a gateway.
pub(super) struct Scenario<'a> {
    pub(super) url: String,
    pub(super) ownerrez: &'a Controls,
    pub(super) scanner: &'a SecretScanner,
}

/// A user on the way to OwnerRez.
struct Connecting {
    browser: Browser,
    account: AccountId,
    /// The URL of OwnerRez's consent page.
    consent: String,
}

impl Scenario<'_> {
    /// Runs everything but the end. Afterwards Alice and Bob are connected, and Carol's connection is in progress.
    pub(super) async fn run(&self) {
        let alice = self.registers("Alice").await;
        self.nobody_gets_in(&alice).await;
        self.reads_a_record_before_connecting(&alice).await;
        let account = self.connects_by_a_link_from_a_tool(&alice).await;
        self.works(&alice).await;
        self.sends_hostile_messages(&alice).await;
        self.refreshes(&alice, account).await;
        self.manages_keys(&alice).await;

        let bob = self.registers("Bob").await;
        self.connects_by_token(&bob).await;

        self.loses_the_connection(&alice, account).await;
        self.connects(&alice, "Alice again").await;
        self.disconnects_while_ownerrez_has_a_problem(&alice).await;
        self.connects(&alice, "Alice once more").await;

        let erin = self.registers("Erin").await;
        self.refreshes_in_vain(&erin).await;

        let carol = self.registers("Carol").await;
        self.fails_to_connect(&carol).await;
        self.starts(&carol, "Carol on her way").await;
        self.metrics("metrics", METRICS_TOKEN).await;
        self.ask("health", &carol, "GET", "/health", None, &[]).await;
    }

    /// Deletes a user; returns a text that the log must have about it.
    pub(super) async fn finish(&self) -> String {
        let dave = self.registers("Dave").await;
        self.connects(&dave, "Dave").await;
        self.ask("end of Dave", &dave, "DELETE", "/api/users/me", None, &[]).await;
        self.ownerrez.wait_for(REVOKE, 2).await;
        format!("user {} deleted their account", dave.id)
    }

    async fn registers(&self, name: &str) -> Person {
        let wrong = format!("{REGISTRATION_TOKEN}x");
        let path = "/api/users/register";
        let body = || Some(json!({"name": name}));
        let visitor = Person::visitor(&self.url);
        self.ask(&format!("{name} without a token"), &visitor, "POST", path, body(), &[]).await;
        let refused =
            self.ask(&format!("{name} guesses"), &visitor.with_key(&wrong, ""), "POST", path, body(), &[]).await;
        assert_eq!(refused.status, 401, "{}", refused.body);
        let (holder, key) = (visitor.with_key(REGISTRATION_TOKEN, ""), format!("key of {name}"));
        let reply = self.ask(&format!("{name} registers"), &holder, "POST", path, body(), &[&key]).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let text = |name: &str| reply.body[name].as_str().unwrap();
        self.scanner.key(&key, text("api_key"));
        visitor.with_key(text("api_key"), text("user_id"))
    }

    /// Wrong keys, and a valid one where none is allowed.
    async fn nobody_gets_in(&self, alice: &Person) {
        let invented = ApiKey::generate().unwrap().expose().expose_secret().to_owned();
        self.scanner.key("invented key", &invented);
        let (short, long) = (&alice.key[..61], format!("{}x", alice.key));
        for (what, key) in [("an invented key", &*invented), ("a short key", short), ("a long key", &long)] {
            for (method, path) in [("GET", "/api/connect/ownerrez/status"), ("POST", "/mcp")] {
                let reply =
                    self.ask(&format!("{path} with {what}"), &alice.with_key(key, ""), method, path, None, &[]).await;
                assert_eq!(reply.status, 401, "{}", reply.body);
            }
        }
        let (nobody, key) = (Person::visitor(&self.url), &alice.key);
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("user:{key}"));
        let as_password = [("authorization", format!("Basic {basic}")), ("x-api-key", key.clone())];
        for (name, value) in as_password {
            let reply = nobody.send("GET", "/api/keys", &[(name, &value)], None).await;
            assert_eq!(reply.status, 401);
            self.scanner.reply(&format!("key in {name}"), &reply, &[]);
        }
        for path in [format!("/mcp?api_key={key}"), format!("/{key}"), format!("/api/keys/{key}")] {
            let reply = nobody.send("GET", &path, &[], None).await;
            self.scanner.reply(&format!("key in the path {}", path.len()), &reply, &[]);
        }
        let body = Some(format!("{{\"name\": \"Mallory\", \"key\": \"{key}\""));
        let reply = alice.send("POST", "/api/keys", &[JSON], body.clone()).await;
        self.scanner.reply("key in a broken body", &reply, &[]);
        let reply = alice.send("POST", "/mcp", &[JSON, ("accept", "*/*")], body).await;
        self.scanner.reply("key in a broken message", &reply, &[]);
        self.metrics("metrics with a key", key).await;
        self.metrics("metrics with a guess", &format!("{METRICS_TOKEN}x")).await;
    }

    async fn metrics(&self, what: &str, token: &str) {
        let reader = Person::visitor(&self.url).with_key(token, "");
        let reply = self.ask(what, &reader, "GET", "/metrics", None, &[]).await;
        assert_eq!(reply.status, if token == METRICS_TOKEN { 200 } else { 401 });
    }

    async fn connects_by_a_link_from_a_tool(&self, alice: &Person) -> AccountId {
        let link = self.told_to_connect("Alice has a link", alice).await;
        let mut on_the_way = self.follows("Alice", alice, &link, "link of Alice has a link").await;
        self.comes_back("Alice", &mut on_the_way).await;
        on_the_way.account
    }

    /// Gets a JSON-RPC error that contains a valid connect link.
    async fn reads_a_record_before_connecting(&self, alice: &Person) {
        let what = "a record before connecting";
        let message = rpc(1, "resources/read", json!({"uri": "ownerrez://bookings/1"}));
        let reply = alice.mcp(&message).await;
        let text = reply.body["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", reply.body));
        let link = text[text.find("http://").unwrap()..].split_whitespace().next().unwrap();
        let state = format!("link of {what}");
        self.scanner.secret(&state, query(link, "state"));
        self.scanner.reply(what, &reply, &[&state]);
    }

    /// Sends failing messages with ids and names that contain a secret and terminal control characters; and gets an
    /// OwnerRez error that mentions a guest.
    async fn sends_hostile_messages(&self, alice: &Person) {
        let evil =
            format!("\n[2026-01-01T00:00:00Z ERROR forged] \u{1b}[2J\u{202e}\u{2028}\u{9b}{}", &alice.key[24..56]);
        let key = "key of Alice";
        for (what, method, params) in [
            ("a hostile id", "resources/read", json!({"uri": "ownerrez://nothing/1"})),
            ("a hostile method", evil.as_str(), json!({})),
            ("a hostile tool", "tools/call", json!({"name": evil, "arguments": {}})),
            ("a hostile address", "resources/read", json!({"uri": evil})),
            ("a hostile prompt", "prompts/get", json!({"name": evil})),
            ("hostile parameters", "tools/call", json!({"name": ["x"], "arguments": evil})),
        ] {
            let message = json!({"jsonrpc": "2.0", "id": evil, "method": method, "params": params});
            let reply = alice.mcp(&message).await;
            // The response repeats the id, and with it the key that the client put there.
            let expected: &[&str] = if reply.body.to_string().contains(&alice.key[24..56]) { &[key] } else { &[] };
            self.scanner.reply(what, &reply, expected);
        }
        let words = format!("guest-{}@mail.example\n[forged]\u{1b}[2J\u{202e}", Uuid::new_v4().simple());
        self.scanner.secret("words of OwnerRez", words.split('@').next().unwrap());
        self.ownerrez.script(Rule::on("GET /v2/bookings/{id}").reply(400, json!({"message": words})));
        let uri = json!({"uri": "ownerrez://bookings/77"});
        let reply = alice.mcp(&rpc(1, "resources/read", uri)).await;
        self.scanner.reply("words of OwnerRez", &reply, &["words of OwnerRez"]);
    }

    /// Calls a tool and gets a connect link.
    async fn told_to_connect(&self, what: &str, person: &Person) -> String {
        let state = format!("link of {what}");
        let reply = self.call(what, person, "list_inquiries", json!({}), &[&state]).await;
        let text = reply.body["result"]["content"][0]["text"].as_str().unwrap();
        let link = text[text.find("http://").unwrap()..].split_whitespace().next().unwrap();
        self.scanner.secret(&state, query(link, "state"));
        link.to_owned()
    }

    async fn connects(&self, person: &Person, what: &str) {
        let mut on_the_way = self.starts(person, what).await;
        self.comes_back(what, &mut on_the_way).await;
    }

    /// Goes from a new link to OwnerRez's page.
    async fn starts(&self, person: &Person, what: &str) -> Connecting {
        let state = format!("state of {what}");
        let path = "/api/connect/ownerrez/start";
        let started = self.ask(&format!("{what} starts"), person, "GET", path, None, &[&state]).await;
        let link = started.body["authorization_url"].as_str().unwrap_or_else(|| panic!("{}", started.body));
        self.scanner.secret(&state, started.body["state"].as_str().unwrap());
        self.follows(what, person, link, &state).await
    }

    /// Goes from a link to OwnerRez's page, with a wrong key first. `state` is the registered name of the link's
    /// secret.
    async fn follows(&self, what: &str, person: &Person, link: &str, state: &str) -> Connecting {
        let mut browser = Browser::new();
        let (csrf, signed, bound) = (format!("csrf {what}"), format!("form {what}"), format!("browser {what}"));
        let form = browser.open(link).await;
        self.scanner.secret(&csrf, cookie(&form));
        self.scanner.secret(&signed, form.hidden("csrf").unwrap());
        self.scanner.page(&format!("{what}: form"), &form, &[state, &csrf, &signed]);

        let mistyped = ApiKey::generate().unwrap().expose().expose_secret().to_owned();
        self.scanner.key(&format!("mistyped {what}"), &mistyped);
        for wrong in [&mistyped, &person.key[..40]] {
            let again = browser.give_key(link, wrong).await;
            assert_eq!(again.status, 403);
            self.scanner.page(&format!("{what}: form with a key of {}", wrong.len()), &again, &[state, &csrf, &signed]);
        }
        let onward = browser.give_key(link, &person.key).await;
        assert_eq!(onward.status, 303, "{}", onward.body);
        self.scanner.secret(&bound, cookie(&onward));
        // `give_key` has opened the form a second time, with the same cookie.
        self.scanner.page(&format!("{what}: onward"), &onward, &[state, &bound]);
        let account = self.ownerrez.add_account(what).id;
        Connecting { browser, account, consent: onward.location() }
    }

    /// Goes from OwnerRez's page to the connection, and tries the same callback a second time, which must fail.
    async fn comes_back(&self, what: &str, on_the_way: &mut Connecting) {
        let Connecting { browser, account, consent } = on_the_way;
        self.issues(&format!("{what}, first tokens"), *account);
        let back = self.approves(what, consent, *account);
        let page = browser.open(&back).await;
        assert_eq!(page.status, 200, "{}", page.body);
        self.scanner.page(&format!("{what}: connected"), &page, &[]);
        let again = browser.open(&back).await;
        assert_eq!(again.status, 403, "{}", again.body);
        self.scanner.page(&format!("{what}: back a second time"), &again, &[]);
    }

    fn approves(&self, what: &str, consent: &str, account: AccountId) -> String {
        let back = self.ownerrez.approve(consent, account).unwrap();
        self.scanner.secret(&format!("code of {what}"), query(&back, "code"));
        back
    }

    /// Makes the next tokens of the account. They are made here because the simulator reveals none, and with characters
    /// that forms and URLs must encode.
    fn issues(&self, what: &str, account: AccountId) {
        let token = |kind: &str| format!("{kind}_+{}=~", Uuid::new_v4().simple());
        let (access, refresh) = (token("at"), token("rt"));
        self.scanner.secret(&format!("{what}: access"), &access);
        self.scanner.secret(&format!("{what}: refresh"), &refresh);
        self.ownerrez.import_grant(account, &access, Some(&refresh));
        let body = json!({
            "access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": 3600,
            "user_id": account.0,
        });
        self.ownerrez.script(Rule::on(TOKEN).reply(200, body));
    }

    async fn works(&self, alice: &Person) {
        for (what, tool, arguments, fine) in [
            ("read", "list_inquiries", json!({}), true),
            ("write", "create_guest", json!({"first_name": "Ada", "last_name": "Story"}), true),
            ("wrong argument", "get_booking", json!({"id": alice.key}), false),
            ("wrong word", "get_booking", json!({"ident": 1}), false),
            ("not there", "get_booking", json!({"id": 999_999_999}), false),
        ] {
            let reply = self.call(what, alice, tool, arguments, &[]).await;
            assert_eq!(reply.body["result"]["isError"], json!(!fine), "{what}: {}", reply.body);
        }
        self.call("no such tool", alice, "list_everything", json!({}), &[]).await;
        let list = alice.mcp(&rpc(7, "tools/list", json!({}))).await;
        self.scanner.reply("tools", &list, &[]);
        for path in ["/api/connect/ownerrez/test", "/api/connect/ownerrez/status", "/api/connect/ownerrez/start"] {
            self.ask(path, alice, "GET", path, None, &[]).await;
        }
    }

    /// Refreshes after OwnerRez has rejected the token.
    async fn refreshes(&self, alice: &Person, account: AccountId) {
        self.ownerrez.expire_access_tokens(account);
        self.issues("second tokens", account);
        let reply = self.call("refresh", alice, "list_inquiries", json!({}), &[]).await;
        assert_eq!(reply.body["result"]["isError"], json!(false), "{}", reply.body);
    }

    /// OwnerRez fails the refresh, which is then postponed.
    async fn refreshes_in_vain(&self, erin: &Person) {
        let mut connecting = self.starts(erin, "Erin").await;
        self.comes_back("Erin", &mut connecting).await;
        self.ownerrez.expire_access_tokens(connecting.account);
        self.ownerrez.script(Rule::on(TOKEN).reply(503, json!("<html>")));
        for what in ["refresh in vain", "refresh is put off"] {
            let reply = self.call(what, erin, "list_inquiries", json!({}), &[]).await;
            assert_eq!(reply.body["result"]["isError"], json!(true), "{}", reply.body);
        }
    }

    async fn manages_keys(&self, alice: &Person) {
        let wanted = Some(json!({"name": "laptop", "scope": "read"}));
        let made = self.ask("new key", alice, "POST", "/api/keys", wanted, &["key of the laptop"]).await;
        let key = made.body["api_key"].as_str().unwrap();
        self.scanner.key("key of the laptop", key);
        let laptop = alice.with_key(key, &alice.id);
        self.call("laptop reads", &laptop, "list_inquiries", json!({}), &[]).await;
        self.call("laptop may not write", &laptop, "create_guest", json!({"first_name": "A", "last_name": "B"}), &[])
            .await;
        self.ask("laptop lists", &laptop, "GET", "/api/keys", None, &[]).await;
        self.ask("laptop may not", &laptop, "DELETE", "/api/connect/ownerrez", None, &[]).await;
        let one = format!("/api/keys/{}", made.body["id"].as_str().unwrap());
        self.ask("laptop is gone", alice, "DELETE", &one, None, &[]).await;
        let late = self.call("laptop comes late", &laptop, "list_inquiries", json!({}), &[]).await;
        assert_eq!(late.status, 401);
    }

    async fn connects_by_token(&self, bob: &Person) {
        let account = self.ownerrez.add_account("Bob");
        let path = "/api/connect/ownerrez/token";
        let wrong = format!("pt_{}", Uuid::new_v4().simple());
        let right = account.personal_access_token;
        self.scanner.secret("personal token", &right);
        self.scanner.secret("wrong personal token", &wrong);
        let body = |token: &str| Some(json!({"email": account.email, "token": token}));
        let answers = [
            ("too short a token", body(&right[3..]), 400),
            ("a token without an address", Some(json!({"email": right, "token": right})), 400),
            ("a token that is no text", Some(json!({"email": account.email, "token": [right]})), 400),
            ("a wrong token", body(&wrong), 422),
            ("a right token", body(&right), 200),
            ("a token too many", body(&right), 409),
        ];
        for (what, body, status) in answers {
            let reply = self.ask(what, bob, "POST", path, body, &[]).await;
            assert_eq!(reply.status, status, "{what}: {}", reply.body);
        }
        let reply = self.call("Bob reads", bob, "list_inquiries", json!({}), &[]).await;
        assert_eq!(reply.body["result"]["isError"], json!(false), "{}", reply.body);
    }

    /// OwnerRez ends the grant.
    async fn loses_the_connection(&self, alice: &Person, account: AccountId) {
        self.ownerrez.revoke_account_grants(account);
        self.ownerrez.clear_rules();
        let gone = json!({"error": "invalid_grant", "error_description": "no such token"});
        self.ownerrez.script(Rule::on(TOKEN).reply(400, gone));
        self.told_to_connect("Alice lost her connection", alice).await;
        self.told_to_connect("Alice is told again", alice).await;
    }

    async fn disconnects_while_ownerrez_has_a_problem(&self, alice: &Person) {
        self.ownerrez.script(Rule::on(REVOKE).reply(500, json!({"message": "Object reference not set"})));
        let reply = self.ask("Alice disconnects", alice, "DELETE", "/api/connect/ownerrez", None, &[]).await;
        assert_eq!(reply.body["disconnected"], json!(true));
        self.ownerrez.wait_for(REVOKE, 1).await;
    }

    /// A denial at OwnerRez, another browser, and a code that OwnerRez rejects and repeats in its error.
    async fn fails_to_connect(&self, carol: &Person) {
        let mut denied = self.starts(carol, "Carol says no").await;
        let mut back = Url::parse(&query(&denied.consent, "redirect_uri")).unwrap();
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("error_description", &carol.key)
            .append_pair("state", &query(&denied.consent, "state"));
        let other = Browser::new().open(back.as_str()).await;
        assert_eq!(other.status, 403);
        self.scanner.page("another browser", &other, &[]);
        self.scanner.page("denied", &denied.browser.open(back.as_str()).await, &[]);

        let mut late = self.starts(carol, "Carol is late").await;
        let back = self.approves("Carol is late", &late.consent, late.account);
        let told = format!("the code {} is not known", query(&back, "code"));
        self.ownerrez.script(Rule::on(TOKEN).reply(400, json!({"error": "invalid_grant", "error_description": told})));
        let page = late.browser.open(&back).await;
        assert!(page.status >= 400, "{}", page.body);
        self.scanner.page("a code that is refused", &page, &[]);
    }

    async fn ask(
        &self,
        what: &str,
        person: &Person,
        method: &str,
        path: &str,
        body: Option<Value>,
        expected: &[&str],
    ) -> Reply {
        let reply = match body {
            Some(body) => person.send(method, path, &[JSON], Some(body.to_string())).await,
            None => person.send(method, path, &[], None).await,
        };
        self.scanner.reply(what, &reply, expected);
        reply
    }

    async fn call(&self, what: &str, person: &Person, tool: &str, arguments: Value, expected: &[&str]) -> Reply {
        let reply = person.call(tool, arguments).await.0;
        self.scanner.reply(what, &reply, expected);
        reply
    }
}

/// Returns the value of the cookie that a page sets.
fn cookie(page: &Page) -> String {
    let set = page.header("set-cookie").expect("a cookie");
    set.split(['=', ';']).nth(1).unwrap().to_owned()
}

fn query(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    let value = url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_else(|| panic!("no {name} in {url}"))
}
