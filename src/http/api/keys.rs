//! `/api/keys`: lists, creates and deletes keys; and deletes a user.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    auth::{NewKeyRequest, validate_expiry, validate_name},
    domain::{JsonObject, KeyId, Scope, ToolDefaults, UserId, member},
    http::{
        error::ApiError,
        extract::callers::{AnyCaller, FullCaller},
        state::HttpState,
    },
    store::{KeyRemoved, StoredKey},
    tools::Toolsets,
};

/// A key as lists show it.
#[derive(Serialize)]
struct ListedKey {
    id: Uuid,
    /// The prefix of the key, enough to tell keys apart.
    prefix: String,
    name: Option<String>,
    scope: Scope,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    view: KeyToolDefaults,
    /// Whether the request for this list used this key.
    current: bool,
}

/// The tool selection of a key.
#[derive(Serialize)]
struct KeyToolDefaults {
    /// `None` for the default.
    toolsets: Option<Vec<String>>,
    readonly: bool,
    two_steps: bool,
}

impl From<&ToolDefaults> for KeyToolDefaults {
    fn from(view: &ToolDefaults) -> Self {
        let toolsets = view.toolsets.as_deref().map(|names| names.split(',').map(str::to_owned).collect());
        Self { toolsets, readonly: view.read_only, two_steps: view.two_steps }
    }
}

impl ListedKey {
    fn new(key: StoredKey, caller: KeyId) -> Self {
        let prefix = key.display_prefix().to_owned();
        let StoredKey {
            id,
            user: _,
            hash: _,
            hmac: _,
            prefix: _,
            name,
            scope,
            created_at,
            last_used_at,
            expires_at,
            view,
        } = key;
        let (view, current) = (KeyToolDefaults::from(&view), id == caller);
        Self { id: id.0, prefix, name, scope, created_at, last_used_at, expires_at, view, current }
    }
}

/// `GET /api/keys` → `{keys: […]}`, oldest first.
pub(crate) async fn list(state: web::Data<HttpState>, AnyCaller(caller): AnyCaller) -> Result<HttpResponse, ApiError> {
    let keys = state.store.keys(caller.user).await?;
    let keys: Vec<_> = keys.into_iter().map(|key| ListedKey::new(key, caller.key)).collect();
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({"keys": keys})))
}

/// `{name?, scope, expires_at?, toolsets?, readonly?, two_steps?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKeyRequest {
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, deserialize_with = "scope")]
    scope: Option<Scope>,
    #[serde(default, deserialize_with = "time")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "toolsets")]
    toolsets: Option<ToolsetsParam>,
    #[serde(default, deserialize_with = "read_only")]
    readonly: bool,
    #[serde(default, deserialize_with = "two_steps")]
    two_steps: bool,
}

const SCOPE: &str = "`scope` must be \"full\" or \"read\"";

/// Reads the name of a key.
pub(in crate::http) fn name<'de, D: Deserializer<'de>>(written: D) -> Result<Option<String>, D::Error> {
    member(written, "`name` must be text")
}

fn scope<'de, D: Deserializer<'de>>(written: D) -> Result<Option<Scope>, D::Error> {
    member(written, SCOPE)
}

/// Reads a time in RFC 3339 format.
fn time<'de, D: Deserializer<'de>>(written: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    member(written, "`expires_at` must be a time such as \"2027-01-31T00:00:00Z\"")
}

fn toolsets<'de, D: Deserializer<'de>>(written: D) -> Result<Option<ToolsetsParam>, D::Error> {
    member(written, "`toolsets` must be a list of names, or text with names separated by commas")
}

fn read_only<'de, D: Deserializer<'de>>(written: D) -> Result<bool, D::Error> {
    member(written, "`readonly` must be true or false")
}

fn two_steps<'de, D: Deserializer<'de>>(written: D) -> Result<bool, D::Error> {
    member(written, "`two_steps` must be true or false")
}

/// A list of names, or one comma-separated text.
#[derive(Deserialize)]
#[serde(untagged)]
enum ToolsetsParam {
    List(Vec<String>),
    Text(String),
}

impl ToolsetsParam {
    /// Returns the names as they are stored: in the order of the toolset table, each once.
    fn checked(self) -> Result<Option<Arc<str>>, ApiError> {
        let text = match self {
            Self::List(names) => names.join(","),
            Self::Text(text) => text,
        };
        let toolsets = Toolsets::parse(&text)?.to_string();
        Ok((!toolsets.is_empty()).then(|| toolsets.into()))
    }
}

/// `POST /api/keys` → 201 `{id, api_key, …}`. The key is shown only in this response.
pub(crate) async fn create(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
    request: HttpRequest,
    body: web::Json<JsonObject<CreateKeyRequest>>,
) -> Result<HttpResponse, ApiError> {
    let JsonObject(CreateKeyRequest { name, scope, expires_at, toolsets, readonly, two_steps }) = body.into_inner();
    let name = validate_name(name)?;
    let scope = scope.ok_or_else(|| ApiError::BadRequest(format!("{SCOPE}.")))?;
    let now = state.clock.now();
    let expires_at = validate_expiry(expires_at, caller.expires_at, now)?;
    let toolsets = toolsets.map(ToolsetsParam::checked).transpose()?.flatten();
    let view = ToolDefaults { toolsets, read_only: readonly || caller.view.read_only, two_steps };
    let shown = KeyToolDefaults::from(&view);
    let id = KeyId(Uuid::now_v7());
    let wanted = NewKeyRequest { id, name: name.clone(), scope, expires_at, view };
    let source = state.settings.source_of(&request);
    let key = state.keys.add_key(source, caller.user, Some(caller.key), wanted).await?;
    let prefix = key.prefix();
    log::info!("user {} created the {} key {prefix} with key {}", caller.user, scope.as_str(), caller.label);
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "id": id.0,
        "api_key": key.expose().expose_secret(),
        "prefix": prefix,
        "name": name,
        "scope": scope,
        "created_at": now,
        "expires_at": expires_at,
        "toolsets": shown.toolsets,
        "readonly": shown.readonly,
        "two_steps": shown.two_steps,
        "message": "Store this API key now: it is not shown again.",
    })))
}

#[derive(Deserialize)]
pub(crate) struct Confirmation {
    #[serde(default)]
    confirm: bool,
}

/// `DELETE /api/keys/{id}`. Deleting the last full key requires `?confirm=true` and deletes the user with everything.
pub(crate) async fn delete(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
    id: web::Path<String>,
    confirmation: web::Query<Confirmation>,
) -> Result<HttpResponse, ApiError> {
    let key = id.parse().map(KeyId).map_err(|_| ApiError::NoSuchKey)?;
    match state.store.remove_key(caller.user, caller.key, key, state.clock.now()).await? {
        KeyRemoved::Removed => {
            log::info!("user {} deleted key {key} with key {}", caller.user, caller.label);
            Ok(deleted_response("The key is deleted and no longer gives access.", false))
        }
        KeyRemoved::Last if confirmation.confirm => delete_everything(&state, caller.user).await,
        KeyRemoved::Last => Err(ApiError::LastKey),
        KeyRemoved::NotFound => Err(ApiError::NoSuchKey),
        KeyRemoved::IssuerGone => Err(ApiError::BadKey),
    }
}

/// `DELETE /api/users/me`
pub(crate) async fn delete_me(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
) -> Result<HttpResponse, ApiError> {
    delete_everything(&state, caller.user).await
}

async fn delete_everything(state: &HttpState, user: UserId) -> Result<HttpResponse, ApiError> {
    state.sessions.delete_user(user).await?;
    log::info!("user {user} deleted their account");
    Ok(deleted_response(
        "Everything is deleted: the user, the keys, and the OwnerRez connection, whose tokens are revoked at OwnerRez.",
        true,
    ))
}

fn deleted_response(message: &str, user_deleted: bool) -> HttpResponse {
    let body = json!({"success": true, "user_deleted": user_deleted, "message": message});
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
