//! The conformance suite's tools, prompts and resources. fixture.json defines them; this module implements those that
//! do more than return a fixed result.
#![expect(deprecated, reason = "what 2026-07-28 has given up is still required of a server of 2025-11-25")]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CompleteRequestParams,
        CompleteResult, CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        Implementation, InputRequest, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
        ProgressNotificationParam, Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, Resource, ResourceContents, ResourceTemplate, ServerCapabilities, ServerConfig,
        SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext, SubscriptionSink},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rounds::{Ask, Next, Rounds, Sent};

/// How long clients may cache results that never change, in milliseconds.
const TTL_MS: u64 = 60_000;

#[derive(Deserialize)]
struct Tables {
    tools: Vec<ToolEntry>,
    questions: BTreeMap<String, InputRequest>,
    prompts: Vec<PromptEntry>,
    resources: Vec<ResourceEntry>,
    template: ResourceTemplate,
    completions: Vec<String>,
}

#[derive(Deserialize)]
struct ToolEntry {
    tool: Tool,
    act: Act,
}

/// The behavior of a tool.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    /// Always returns the same result.
    Answer(Vec<ContentBlock>),
    /// Returns an error result.
    Fail(Vec<ContentBlock>),
    /// Returns the argument with that name.
    Repeat(String),
    Ask(Ask),
    /// Logs these lines.
    Log(Vec<String>),
    LogAtTheLevelAskedFor,
    Progress,
    NeedsSampling,
    AnnounceTools,
    AnnouncePrompts,
}

#[derive(Deserialize)]
struct PromptEntry {
    prompt: Prompt,
    /// `{name}` is replaced with the argument of that name.
    messages: Vec<PromptMessage>,
    /// The input that the client must provide first.
    #[serde(default)]
    ask: Vec<String>,
}

#[derive(Deserialize)]
struct ResourceEntry {
    resource: Resource,
    contents: ResourceContents,
}

/// The server. Its clones share the list of listeners.
#[derive(Clone)]
pub(crate) struct Fixture(Arc<Inner>);

struct Inner {
    tables: Tables,
    rounds: Rounds,
    listeners: Mutex<Vec<SubscriptionSink>>,
}

impl Fixture {
    pub(crate) fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut tables: Tables = serde_json::from_str(include_str!("fixture.json"))?;
        let rounds = Rounds::new(std::mem::take(&mut tables.questions)).map_err(|_| "no random numbers")?;
        Ok(Self(Arc::new(Inner { tables, rounds, listeners: Mutex::default() })))
    }

    fn entry(&self, name: &str) -> Option<&ToolEntry> {
        self.0.tables.tools.iter().find(|entry| entry.tool.name == name)
    }

    fn listeners(&self) -> Vec<SubscriptionSink> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("conformance-fixture", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.tables.tools.iter().map(|entry| entry.tool.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        Some(self.entry(name)?.tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let unknown = || ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None);
        let ToolEntry { act, .. } = self.entry(&request.name).ok_or_else(unknown)?;
        let peer = &context.peer;
        match act {
            Act::Answer(content) => return Ok(CallToolResult::success(content.clone()).into()),
            Act::Fail(content) => return Ok(CallToolResult::error(content.clone()).into()),
            Act::Repeat(argument) => {
                let value = request.arguments.as_ref().and_then(|arguments| arguments.get(argument)?.as_str());
                let value = value.ok_or_else(|| ErrorData::invalid_params(format!("`{argument}` is no text"), None))?;
                return Ok(said(value).into());
            }
            Act::Ask(ask) => {
                let sent = Sent {
                    name: &request.name,
                    responses: request.input_responses.as_ref(),
                    state: request.request_state.as_deref(),
                    capabilities: context.client_capabilities().unwrap_or_default(),
                };
                return Ok(match self.0.rounds.next(ask, &sent)? {
                    Next::Ask(asked) => asked.into(),
                    Next::Done => said(&format!("{} {}", ask.done, json!(request.input_responses))).into(),
                });
            }
            Act::Log(lines) => {
                for line in lines {
                    let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
                    peer.notify_logging_message(line).await.map_err(lost)?;
                }
            }
            Act::LogAtTheLevelAskedFor => {
                if let Some(level) = context.meta.log_level() {
                    let line = LoggingMessageNotificationParam::new(level, json!("called"));
                    peer.notify_logging_message(line).await.map_err(lost)?;
                }
            }
            Act::Progress => {
                if let Some(token) = context.meta.get_progress_token() {
                    for done in [0.0, 50.0, 100.0] {
                        let progress = ProgressNotificationParam::new(token.clone(), done).with_total(100.0);
                        peer.notify_progress(progress).await.map_err(lost)?;
                    }
                }
            }
            Act::NeedsSampling => {
                if context.client_capabilities().unwrap_or_default().sampling.is_none() {
                    let needed = ClientCapabilities::builder().enable_sampling().build();
                    return Err(ErrorData::missing_required_client_capability(needed));
                }
            }
            // A listener may have disconnected; that is not an error of this call.
            Act::AnnounceTools => {
                for listener in self.listeners() {
                    listener.notify_tool_list_changed().await.ok();
                }
            }
            Act::AnnouncePrompts => {
                for listener in self.listeners() {
                    listener.notify_prompt_list_changed().await.ok();
                }
            }
        }
        Ok(said("done").into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.0.tables.prompts.iter().map(|entry| entry.prompt.clone()).collect();
        Ok(ListPromptsResult::with_all_items(prompts).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let entry = self.0.tables.prompts.iter().find(|entry| entry.prompt.name == request.name);
        let entry =
            entry.ok_or_else(|| ErrorData::invalid_params(format!("Unknown prompt: {}", request.name), None))?;
        let sent = Sent {
            name: &request.name,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
            capabilities: context.client_capabilities().unwrap_or_default(),
        };
        if let Next::Ask(asked) = self.0.rounds.next(&Ask::once(entry.ask.clone()), &sent)? {
            return Ok(asked.into());
        }
        let mut text = json!(entry.messages).to_string();
        for (name, value) in request.arguments.into_iter().flatten() {
            let value = json!(value.as_str().unwrap_or_default()).to_string();
            text = text.replace(&format!("{{{name}}}"), value.trim_matches('"'));
        }
        let messages: Vec<PromptMessage> = serde_json::from_str(&text).map_err(lost)?;
        Ok(GetPromptResult::new(messages).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = self.0.tables.resources.iter().map(|entry| entry.resource.clone()).collect();
        Ok(ListResourcesResult::with_all_items(resources).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = ListResourceTemplatesResult::with_all_items(vec![self.0.tables.template.clone()]);
        Ok(templates.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let fixed = self.0.tables.resources.iter().find(|entry| entry.resource.uri == uri);
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (fixed, id) {
            (Some(entry), _) => entry.contents.clone(),
            (None, Some(id)) => ResourceContents::TextResourceContents {
                uri: uri.clone(),
                mime_type: Some("application/json".to_owned()),
                text: json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string(),
                meta: None,
            },
            (None, None) => {
                let data: Option<Value> = Some(json!({"uri": uri}));
                return Err(ErrorData::resource_not_found(format!("No resource: {uri}"), data));
            }
        };
        let result = ReadResourceResult::new(vec![contents]);
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let known = self.0.tables.completions.iter();
        let values = known.filter(|word| word.starts_with(&request.argument.value)).cloned().collect();
        Ok(CompleteResult::new(CompletionInfo::new(values).map_err(lost)?))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }
}

fn said(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn lost(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
