//! `sandbox`: a gateway on loopback with a simulated OwnerRez, a registered user and a connected account. The user is
//! registered and connected over real HTTP, so the access data that it prints has been tested.

use std::{collections::HashMap, path::PathBuf};

use awc::{
    Client,
    cookie::Cookie,
    http::{StatusCode, header},
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{gateway::App, private_directory::private_directory, start_error::StartError};
use crate::{
    config::{Config, Sources},
    domain::SharedClock,
    simulator::{Simulator, SimulatorOptions},
};

/// The options of `sandbox`.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// Port of the gateway; 0 takes a free one.
    pub port: u16,
    /// Directory of the database. Without it a temporary directory is used and removed with the process.
    pub data: Option<PathBuf>,
}

/// A running sandbox.
pub struct SandboxGateway {
    app: App,
    simulator: Simulator,
    /// Removed when dropped.
    _directory: Option<tempfile::TempDir>,
    access: Access,
    account: String,
}

/// The output of `--json`.
#[derive(Serialize)]
struct Access {
    server_url: String,
    mcp_url: String,
    api_key: String,
    user_id: String,
    ownerrez_url: String,
}

impl SandboxGateway {
    /// Starts both servers, registers a user and connects it to the first demo account.
    pub async fn start(options: SandboxOptions, clock: SharedClock) -> Result<Self, StartError> {
        let simulated = SimulatorOptions::new(clock.clone());
        let (client_id, client_secret) = (simulated.client_id.clone(), simulated.client_secret.clone());
        let simulator = Simulator::start(simulated).await?;
        let directory = match &options.data {
            Some(_) => None,
            None => Some(private_directory()?),
        };
        let data = options.data.or_else(|| directory.as_ref().map(|made| made.path().to_owned()));
        let config = config(options.port, data.unwrap_or_default(), &simulator.url(), client_id, client_secret)?;
        let app = App::build(&config, clock).await?;
        let flow = ConnectFlow { http: client(), server: app.url().clone() };
        let (api_key, user_id) = flow.register().await?;
        let account = flow.connect(&api_key).await?;
        let access = Access {
            server_url: app.url().as_str().trim_end_matches('/').to_owned(),
            mcp_url: flow.url("/mcp").to_string(),
            api_key,
            user_id,
            ownerrez_url: simulator.url(),
        };
        Ok(Self { app, simulator, _directory: directory, access, account })
    }

    /// Returns the access data as one line of JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.access).unwrap_or_default()
    }

    /// Returns the text for users.
    pub fn text(&self) -> String {
        let Access { server_url, mcp_url, api_key, ownerrez_url, .. } = &self.access;
        let account = &self.account;
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let authorization = format!("Bearer {api_key}");
        let cursor = pretty(&json!({"mcpServers": {"ownerrez": {
            "url": mcp_url, "headers": {"Authorization": authorization}}}}));
        let vscode = pretty(&json!({"servers": {"ownerrez": {
            "type": "http", "url": mcp_url, "headers": {"Authorization": authorization}}}}));
        let desktop = pretty(&json!({"mcpServers": {"ownerrez": {
            "command": "npx",
            "args": ["-y", "mcp-remote", mcp_url, "--header", "Authorization:${OWNERREZ_AUTHORIZATION}"],
            "env": {"OWNERREZ_AUTHORIZATION": authorization}}}}));
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "get_current_user", "arguments": {}}});
        format!(
            "The OwnerRez gateway runs at {server_url} with a simulated OwnerRez at {ownerrez_url}.
A user is registered and connected to the demo account {account}.

MCP URL   {mcp_url}
API key   {api_key}

Try it:

  curl -s {mcp_url} -H 'Authorization: {authorization}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '{call}'

Claude Code

  claude mcp add --transport http ownerrez {mcp_url} --header \"Authorization: {authorization}\"

Cursor (~/.cursor/mcp.json)

{cursor}

VS Code (.vscode/mcp.json)

{vscode}

Claude Desktop (claude_desktop_config.json; its own connectors call from the cloud and cannot reach this machine)

{desktop}

Press Ctrl-C to stop both."
        )
    }

    /// Stops both servers and removes the temporary directory.
    pub async fn stop(self) {
        let _ = self.app.stop().await;
        self.simulator.stop(true).await;
    }
}

fn config(
    port: u16,
    data: PathBuf,
    ownerrez: &str,
    client_id: String,
    client_secret: SecretString,
) -> Result<Config, StartError> {
    use secrecy::ExposeSecret;
    let settings = [
        ("PORT", port.to_string()),
        ("DATABASE_URL", format!("sqlite://{}", data.join("gateway.db").display())),
        ("OWNERREZ_API_URL", ownerrez.to_owned()),
        ("OWNERREZ_APP_URL", ownerrez.to_owned()),
        ("OWNERREZ_CLIENT_ID", client_id),
        ("OWNERREZ_CLIENT_SECRET", client_secret.expose_secret().to_owned()),
    ];
    let environment: HashMap<_, _> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Config::load(Sources { file: None, environment }).map_err(|errors| StartError::Sandbox(errors.to_string()))
}

fn client() -> Client {
    Client::builder().disable_redirects().finish()
}

/// A user with a browser, as far as connecting an account needs one.
struct ConnectFlow {
    http: Client,
    server: Url,
}

struct Page {
    status: StatusCode,
    location: Option<String>,
    cookies: Vec<Cookie<'static>>,
    body: String,
}

impl ConnectFlow {
    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    async fn register(&self) -> Result<(String, String), StartError> {
        let request = self.http.post(self.url("/api/users/register").as_str()).send_json(&json!({"name": "sandbox"}));
        let answer = Self::page(request).await?;
        let answer: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let field = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        field("api_key").zip(field("user_id")).ok_or_else(|| failed("registering a user", &answer.to_string()))
    }

    /// Follows the connect link as a user would and approves with the first account offered. Returns its name.
    async fn connect(&self, api_key: &str) -> Result<String, StartError> {
        let started = Self::page(
            self.http
                .get(self.url("/api/connect/ownerrez/start").as_str())
                .insert_header((header::AUTHORIZATION, format!("Bearer {api_key}")))
                .send(),
        )
        .await?;
        let started: Value = serde_json::from_str(&started.body).unwrap_or_default();
        let link = started.get("authorization_url").and_then(Value::as_str);
        let link = link.ok_or_else(|| failed("starting the connection", &started.to_string()))?;

        let form = Self::page(self.http.get(link).send()).await?;
        let mut fields = hidden_fields(&form.body);
        fields.push(("api_key".to_owned(), api_key.to_owned()));
        let link = Url::parse(link).map_err(|error| StartError::Sandbox(error.to_string()))?;
        let sent = self.submit(&link, &fields, &form.cookies).await?;
        let to_ownerrez = sent.location.clone().ok_or_else(|| failed("submitting the API key", &sent.body))?;

        let consent = Self::page(self.http.get(to_ownerrez.as_str()).send()).await?;
        let mut fields = hidden_fields(&consent.body);
        let account = first_account(&consent.body).ok_or_else(|| failed("reading the consent page", &consent.body))?;
        fields.push(("account".to_owned(), account));
        fields.push(("decision".to_owned(), "approve".to_owned()));
        let consent_url = Url::parse(&to_ownerrez).map_err(|error| StartError::Sandbox(error.to_string()))?;
        let approved = self.submit(&consent_url, &fields, &[]).await?;
        let back = approved.location.clone().ok_or_else(|| failed("approving access", &approved.body))?;

        let mut callback = self.http.get(back.as_str());
        for cookie in sent.cookies {
            callback = callback.cookie(cookie);
        }
        let connected = Self::page(callback.send()).await?;
        if connected.status != StatusCode::OK {
            return Err(failed("finishing the connection", &connected.body));
        }
        let tested = Self::page(
            self.http
                .get(self.url("/api/connect/ownerrez/test").as_str())
                .insert_header((header::AUTHORIZATION, format!("Bearer {api_key}")))
                .send(),
        )
        .await?;
        let tested: Value = serde_json::from_str(&tested.body).unwrap_or_default();
        let name = tested.pointer("/user/name").or_else(|| tested.pointer("/user/email")).and_then(Value::as_str);
        name.map(str::to_owned).ok_or_else(|| failed("testing the connection", &tested.to_string()))
    }

    async fn submit(
        &self,
        page: &Url,
        fields: &[(String, String)],
        cookies: &[Cookie<'static>],
    ) -> Result<Page, StartError> {
        let mut target = page.clone();
        target.set_query(None);
        let mut request =
            self.http.post(target.as_str()).insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"));
        for cookie in cookies {
            request = request.cookie(cookie.clone());
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::page(request.send_body(body)).await
    }

    async fn page(request: awc::SendClientRequest) -> Result<Page, StartError> {
        let mut response = request.await.map_err(|error| StartError::Sandbox(error.to_string()))?;
        let body = response.body().await.map_err(|error| StartError::Sandbox(error.to_string()))?;
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let cookies = response
            .headers()
            .get_all(header::SET_COOKIE)
            .filter_map(|value| Cookie::parse(value.to_str().ok()?.to_owned()).ok())
            .map(|cookie| Cookie::new(cookie.name().to_owned(), cookie.value().to_owned()))
            .collect();
        Ok(Page {
            status: response.status(),
            location: location.map(str::to_owned),
            cookies,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

fn failed(step: &str, answer: &str) -> StartError {
    StartError::Sandbox(format!("{step}: {answer}"))
}

/// Returns the hidden fields of a page of the gateway or of the simulator: both write `name="…" value="…"`.
fn hidden_fields(html: &str) -> Vec<(String, String)> {
    html.split("<input")
        .skip(1)
        .filter_map(|tag| tag.split_once('>').map(|(tag, _)| tag))
        .filter(|tag| tag.contains(r#"type="hidden""#))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
        .collect()
}

/// Returns the first account that the consent page offers.
fn first_account(html: &str) -> Option<String> {
    html.split('<').filter(|tag| tag.contains(r#"name="account""#)).find_map(|tag| attribute(tag, "value"))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}
