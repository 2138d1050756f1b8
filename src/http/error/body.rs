//! The response to each error: status, stable code, message, and a hint what to do next.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::{ApiError, Moved};
use crate::{
    allowance::AllowanceError,
    auth::TooMany,
    domain::ErrorCode,
    http::wait_reason,
    oauth::AccessError,
    session::{ASK_AGAIN_AFTER, CallError, ConnectError},
    store::StoreError,
    upstream::{TokenError, UpstreamErrorKind},
};

/// An error as the client receives it.
pub(crate) struct ErrorBody {
    pub(crate) status: StatusCode,
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) retry_after: Option<TimeDelta>,
}

impl ErrorBody {
    pub(crate) fn new(
        status: StatusCode,
        code: ErrorCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: hint.into(), retry_after: None }
    }

    fn with_retry_after(mut self, wait: TimeDelta) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

const RECONNECT: &str = "Connect again: GET /api/connect/ownerrez/start returns a link to open in a browser.";

/// Limits the `Retry-After` for the bcrypt queue: the requests in it give up by themselves.
const MAX_RETRY_AFTER: TimeDelta = TimeDelta::seconds(120);

/// Returns the same text for every internal error. The cause is in the log.
fn internal() -> ErrorBody {
    ErrorBody::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::InternalError,
        "The gateway failed to process this request.",
        "Try again. If the problem persists, contact the operator of this gateway and quote the X-Request-Id of this \
         response.",
    )
}

fn database_unavailable() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DatabaseUnavailable,
        "The gateway cannot reach its database.",
        "Your key was not refused. Try again in a moment.",
    )
    .with_retry_after(TimeDelta::seconds(5))
}

fn database_damaged() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DatabaseDamaged,
        "The gateway's database is damaged.",
        "Operators: stop the gateway, run `ownerrez-gateway check`, and restore the database from a backup.",
    )
    .with_retry_after(TimeDelta::seconds(60))
}

impl ApiError {
    /// Maps every error to its response, in one exhaustive match.
    pub(crate) fn error_body(&self) -> ErrorBody {
        match self {
            Self::NoKey => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::MissingApiKey,
                "This endpoint needs an API key.",
                "Send the header `Authorization: Bearer ownerrez_sk_…`. POST /api/users/register creates a key.",
            ),
            Self::BadKey => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::InvalidApiKey,
                "This API key is not valid.",
                "Check that the whole key was copied (62 characters, or 60 for an old key, starting with \
                 ownerrez_sk_). POST /api/users/register creates a new one.",
            ),
            Self::KeyExpired => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::ExpiredApiKey,
                "This API key has expired.",
                "Use another key. A full key of the same user can create a new one: POST /api/keys.",
            ),
            Self::Disabled | Self::Connect(ConnectError::Disabled) => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::AccountDisabled,
                "The operator of this gateway has disabled this user.",
                "Only the operator can enable the user again; nothing was deleted.",
            ),
            Self::AccessToken(AccessError::Expired) => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::ExpiredAccessToken,
                "This access token has expired.",
                "Get a new one with the refresh token, or let the user sign in again.",
            ),
            Self::AccessToken(AccessError::Invalid | AccessError::WrongAudience) => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::InvalidAccessToken,
                "This access token is not valid: it was revoked, or it was issued for another resource.",
                "The user has to sign in to this client again.",
            ),
            Self::AccessToken(AccessError::Disabled) => Self::Disabled.error_body(),
            Self::AccessToken(AccessError::Store(error)) => store(error),
            Self::AccessTokenNotHere => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::AccessTokenNotAccepted,
                "Access tokens of MCP clients are valid only for /mcp.",
                "Send an API key instead: POST /api/users/register creates one.",
            ),
            Self::GrantTooSmall => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::InsufficientScope,
                "This tool changes the OwnerRez account, and this client has read-only access.",
                "Sign in again with the scope ownerrez:full and allow it to make changes.",
            ),
            Self::InsufficientScope => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::InsufficientScope,
                "This is a read-only API key.",
                "Managing keys and the OwnerRez connection requires a key with the scope `full`.",
            ),
            Self::LastKey => ErrorBody::new(
                StatusCode::CONFLICT,
                ErrorCode::LastKey,
                "This is the last full key, and without one this user could not be managed. Nothing was deleted.",
                "Create another full key first (POST /api/keys), or add ?confirm=true to delete everything: this key, \
                 the other keys, the OwnerRez connection and the user.",
            ),
            Self::TooManyKeys(most) => ErrorBody::new(
                StatusCode::CONFLICT,
                ErrorCode::TooManyKeys,
                format!("You already have {most} keys, the maximum."),
                "Delete one that is no longer used: GET /api/keys shows when each was last used.",
            ),
            Self::NoSuchKey => ErrorBody::new(
                StatusCode::NOT_FOUND,
                ErrorCode::NotFound,
                "You have no key with this id.",
                "GET /api/keys lists your keys with their ids.",
            ),
            Self::PersonalTokensOff => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::PersonalTokensNotAllowed,
                "This gateway does not accept personal access tokens.",
                "GET /api/connect/ownerrez/start returns a link that connects your account through OwnerRez. \
                 Operators: ALLOW_PERSONAL_TOKENS=true allows them; OwnerRez accepts them for two accounts a day from \
                 one address.",
            ),
            Self::KeyCheckBusy(wait) => {
                let seconds = whole_seconds(*wait).clamp(TimeDelta::seconds(1), MAX_RETRY_AFTER);
                ErrorBody::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    ErrorCode::KeyCheckBusy,
                    "More keys are being checked or created than this gateway can process in half a minute.",
                    format!("Your key was not refused. Try again in {} seconds.", seconds.num_seconds()),
                )
                .with_retry_after(seconds)
            }
            Self::TooMany(TooMany::WrongTokens(wait)) => too_many(
                ErrorCode::TooManyWrongTokens,
                "This token is wrong, and too many wrong ones came from your address.",
                "Correct the token: a valid one is accepted at once.",
                *wait,
            ),
            Self::TooMany(TooMany::FailedKeys(wait)) => too_many(
                ErrorCode::TooManyFailedKeys,
                "Too many invalid keys came from your address, so this one was not checked.",
                "Check the key. Operators: if the gateway is behind a proxy, add the proxy to TRUSTED_PROXIES; \
                 otherwise its clients share one limit.",
                *wait,
            ),
            Self::RegistrationClosed => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::RegistrationClosed,
                "This gateway does not accept new users.",
                "Ask the operator of the gateway. Operators: REGISTRATION_MODE controls registration.",
            ),
            Self::RegistrationTokenRequired => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::RegistrationTokenRequired,
                "Registration on this gateway requires a registration token.",
                "Ask the operator of the gateway for the token and send it as `Authorization: Bearer …`.",
            ),
            Self::TooMany(TooMany::Registrations(wait)) => too_many(
                ErrorCode::TooManyRegistrations,
                "Too many users have registered from your address.",
                "You can use one account for all your MCP clients. Operators: if the gateway is behind a proxy, add \
                 the proxy to TRUSTED_PROXIES.",
                *wait,
            ),
            Self::NotFound => ErrorBody::new(
                StatusCode::NOT_FOUND,
                ErrorCode::NotFound,
                "This path does not exist.",
                "MCP clients use POST /mcp; the REST endpoints are listed in the README.",
            ),
            Self::MethodNotAllowed(allow) => ErrorBody::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::MethodNotAllowed,
                "Method not allowed for this path.",
                format!("Allowed: {allow}."),
            ),
            Self::BadRequest(what) => ErrorBody::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidRequest,
                what,
                "Correct the request and send it again.",
            ),
            Self::UnknownName(unknown) => ErrorBody::new(
                StatusCode::BAD_REQUEST,
                if unknown.kind == "toolset" { ErrorCode::UnknownToolset } else { ErrorCode::UnknownTool },
                unknown.to_string(),
                "Correct the name in the URL, the headers or the body; names are separated by commas.",
            ),
            Self::WrongContentType => ErrorBody::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ErrorCode::UnsupportedMediaType,
                "This endpoint does not accept the Content-Type of the body.",
                "Send JSON with `Content-Type: application/json`.",
            ),
            Self::UnsupportedEncoding(form) => form.error_body(),
            Self::BodyTimedOut(limit) => ErrorBody::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::RequestTimeout,
                format!("The body of the request did not arrive within {} seconds.", limit.as_secs()),
                "Send the request again.",
            ),
            Self::TooManyUnfinished(limit) => too_many(
                ErrorCode::TooManyUnfinishedRequests,
                "Too many requests from your address are incomplete: their bodies have not arrived yet.",
                "Complete them, or try again later. Operators: if the gateway is behind a proxy, add the proxy to \
                 TRUSTED_PROXIES.",
                TimeDelta::from_std(*limit).unwrap_or(TimeDelta::MAX),
            ),
            Self::TooManyBytes => ErrorBody::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::TooManyRequestsUnderWay,
                "The gateway is receiving too many bytes at once.",
                "Your request was not read. Try again in a few seconds.",
            )
            .with_retry_after(TimeDelta::seconds(5)),
            Self::TooMany(TooMany::LargeBodies(wait)) => too_many(
                ErrorCode::TooManyLargeRequests,
                "You sent too many large messages within a minute, so this one was rejected.",
                "Send less in one message, or try again later.",
                *wait,
            ),
            Self::Stopping => ErrorBody::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Stopping,
                "The gateway is stopping, and the body of this request had not arrived.",
                "The request was not processed. Send it again in a few seconds.",
            )
            .with_retry_after(TimeDelta::seconds(5)),
            Self::NotAcceptable => ErrorBody::new(
                StatusCode::NOT_ACCEPTABLE,
                ErrorCode::NotAcceptable,
                "The Accept header excludes both media types of this endpoint.",
                "Send `Accept: application/json, text/event-stream`, or omit the header.",
            ),
            Self::TooLarge => ErrorBody::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::BodyTooLarge,
                "The request body is larger than this gateway accepts.",
                "Send less in one request.",
            ),
            Self::HostNotAllowed => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::HostNotAllowed,
                "The host in the Host header is not allowed on this gateway.",
                "Use the address that the operator published. Operators: add the host to ALLOWED_HOSTS or set \
                 SERVER_URL.",
            ),
            Self::OriginNotAllowed => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::OriginNotAllowed,
                "Requests from pages of this origin are not allowed.",
                "Operators: add the origin to ALLOWED_ORIGINS if you trust its pages.",
            ),
            Self::NotDirect(why) => why.error_body(),
            Self::SingleUserTokenRequired => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::SingleUserTokenRequired,
                "This gateway has a single user and requires a token.",
                "Send the header `Authorization: Bearer …` with the value of SINGLE_USER_TOKEN.",
            ),
            Self::BadMetricsToken => ErrorBody::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::InvalidMetricsToken,
                "A metrics token is required.",
                "Send the header `Authorization: Bearer …` with the value of METRICS_TOKEN.",
            ),
            Self::Starting => ErrorBody::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Starting,
                "The gateway is starting.",
                "Try again in a few seconds. Operators: GET /ready shows what the gateway is waiting for.",
            )
            .with_retry_after(TimeDelta::seconds(5)),
            Self::Moved(Moved::Callback(redirect_uri)) => ErrorBody::new(
                StatusCode::GONE,
                ErrorCode::Moved,
                "This URL is no longer the redirect URI of this gateway, so nothing was connected.",
                format!(
                    "Operators: register the redirect URI {redirect_uri} with your OAuth app in OwnerRez. Then ask the \
                     gateway for a new connect link: GET /api/connect/ownerrez/start."
                ),
            ),
            Self::Moved(Moved::Transport(mcp_url)) => ErrorBody::new(
                StatusCode::GONE,
                ErrorCode::Moved,
                "This gateway no longer supports the SSE transport.",
                format!("Point your MCP client at {mcp_url} (Streamable HTTP) with the same API key."),
            ),
            Self::AlreadyConnected | Self::Connect(ConnectError::AlreadyConnected) => ErrorBody::new(
                StatusCode::CONFLICT,
                ErrorCode::AlreadyConnected,
                "An OwnerRez account is already connected, and its connection works.",
                "To connect another account, end this connection first: DELETE /api/connect/ownerrez.",
            ),
            Self::WaitsToConnect(waits) => ErrorBody::new(
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::ConnectingWaits,
                wait_reason::reason_text(waits.reason),
                format!(
                    "Repeat the same request every {} seconds; its place in the queue, if it has one, is kept. {}",
                    ASK_AGAIN_AFTER.num_seconds(),
                    wait_reason::outlook_text(*waits)
                ),
            )
            .with_retry_after(ASK_AGAIN_AFTER),
            Self::NotConfigured | Self::Connect(ConnectError::Token(TokenError::NoClient)) => ErrorBody::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::OwnerRezNotConfigured,
                "This gateway has no OwnerRez OAuth app yet, so accounts cannot be connected.",
                "Operators: create an OAuth app in OwnerRez and set OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET.",
            ),
            Self::Call(error) => call(error),
            Self::Connect(ConnectError::Allowance(AllowanceError::Spent { wait, .. })) => ErrorBody::new(
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::AllowanceSpent,
                "Too many accounts are being connected at the moment: OwnerRez limits the requests of one gateway.",
                format!("Get a new connect link and try again in {} seconds.", wait.num_seconds().max(1)),
            )
            .with_retry_after(*wait),
            Self::Connect(ConnectError::Allowance(refusal)) => allowance(*refusal),
            Self::Connect(ConnectError::Token(error)) => token(error),
            Self::Connect(ConnectError::Unnamed) => ErrorBody::new(
                StatusCode::BAD_GATEWAY,
                ErrorCode::OwnerRezUnavailable,
                "Sign-in failed: OwnerRez did not return an account id.",
                "Try again in a minute.",
            ),
            Self::Connect(ConnectError::NewUser(account)) => ErrorBody::new(
                StatusCode::FORBIDDEN,
                ErrorCode::RegistrationClosed,
                format!(
                    "This gateway does not accept new users, and OwnerRez account {account} has not signed in here \
                     before."
                ),
                "Ask the operator to allow this account. Operators: REGISTRATION_MODE controls registration.",
            ),
            Self::Connect(ConnectError::Interrupted) => ErrorBody::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Interrupted,
                "The connection was interrupted before it was complete.",
                RECONNECT,
            ),
            Self::Connect(ConnectError::Store(error)) | Self::Store(error) => store(error),
            Self::Connect(ConnectError::Crypto(_)) | Self::Crypto(_) => internal(),
        }
    }
}

/// Rounds up to whole seconds, so that a client that waits exactly that long does not have to wait again.
fn whole_seconds(wait: TimeDelta) -> TimeDelta {
    TimeDelta::seconds(wait.num_seconds().saturating_add(i64::from(wait.subsec_nanos() > 0)))
}

fn too_many(code: ErrorCode, message: &'static str, hint: &'static str, wait: TimeDelta) -> ErrorBody {
    let seconds = whole_seconds(wait);
    let hint = format!("{hint} Try again in {} seconds.", seconds.num_seconds());
    ErrorBody::new(StatusCode::TOO_MANY_REQUESTS, code, message, hint).with_retry_after(seconds)
}

fn store(error: &StoreError) -> ErrorBody {
    match error {
        StoreError::Unavailable(_) => database_unavailable(),
        StoreError::Damaged(_) => database_damaged(),
        _ => internal(),
    }
}

fn allowance(refusal: AllowanceError) -> ErrorBody {
    match refusal {
        AllowanceError::Spent { wait, limit } => ErrorBody::new(
            StatusCode::TOO_MANY_REQUESTS,
            refusal.code(),
            format!("This gateway has used up its {limit} requests to OwnerRez per 5 minutes."),
            format!("Try again in {} seconds.", wait.num_seconds().max(1)),
        )
        .with_retry_after(wait),
        AllowanceError::Throttled(wait) => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            refusal.code(),
            "OwnerRez asked this gateway to send fewer requests.",
            format!("Try again in {} seconds.", wait.num_seconds().max(1)),
        )
        .with_retry_after(wait),
        AllowanceError::Standby => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            refusal.code(),
            "This process is on standby; another instance is active.",
            "Try again in a moment. Operators: run one process per database, or set UPSTREAM_SHARED=true and give each \
             a share.",
        )
        .with_retry_after(TimeDelta::seconds(5)),
        AllowanceError::Storage => database_unavailable(),
    }
}

fn call(error: &CallError) -> ErrorBody {
    match error {
        CallError::NotConnected => ErrorBody::new(
            StatusCode::CONFLICT,
            error.code(),
            "No OwnerRez account is connected to this API key's user.",
            "GET /api/connect/ownerrez/start returns a link to open in a browser.",
        ),
        CallError::NeedsReconnect => ErrorBody::new(
            StatusCode::CONFLICT,
            error.code(),
            "OwnerRez ended the connection to your account.",
            RECONNECT,
        ),
        CallError::Busy => ErrorBody::new(
            StatusCode::TOO_MANY_REQUESTS,
            error.code(),
            "Too many of your calls are already waiting.",
            "Wait for their responses before you send more.",
        )
        .with_retry_after(TimeDelta::seconds(1)),
        CallError::Allowance(refusal) => allowance(*refusal),
        CallError::Upstream(refused) => {
            let throttled = refused.kind == UpstreamErrorKind::Throttled;
            ErrorBody::new(
                if throttled { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY },
                error.code(),
                format!("OwnerRez responded with status {}.", refused.status),
                "Try again later. The MCP tool for the same call returns the error text of OwnerRez.",
            )
        }
        CallError::Deadline { .. } | CallError::Transport { .. } => ErrorBody::new(
            StatusCode::BAD_GATEWAY,
            error.code(),
            "OwnerRez did not return a valid response in time.",
            "Try again in a minute.",
        ),
        CallError::Refresh(error) => token(error),
        CallError::RefreshPaused(left) => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "Refreshing the access to OwnerRez failed a moment ago, and the gateway does not retry yet.",
            "The connection is kept. Try again after the time in Retry-After.",
        )
        .with_retry_after(*left),
        CallError::RefreshElsewhere | CallError::ShuttingDown | CallError::Cancelled => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "The gateway could not process this call at the moment.",
            "Try again in a few seconds.",
        )
        .with_retry_after(TimeDelta::seconds(5)),
        CallError::Store(error) => store(error),
        CallError::Crypto(_) | CallError::SessionLost { .. } => internal(),
    }
}

fn token(error: &TokenError) -> ErrorBody {
    match error {
        TokenError::InvalidGrant => ErrorBody::new(
            StatusCode::BAD_GATEWAY,
            error.code(),
            "OwnerRez did not accept the authorization: it was used before, or it is older than 10 minutes.",
            RECONNECT,
        ),
        TokenError::InvalidPersonalToken(refused) => ErrorBody::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.code(),
            match refused.message() {
                None => format!("OwnerRez rejected this e-mail address and token with status {}.", refused.status),
                Some(said) => format!("OwnerRez rejected the request with status {}: {said}", refused.status),
            },
            if refused.kind.may_concern_token() {
                "Nothing was stored. `email` must be your OwnerRez sign-in address, `token` a personal access token of \
                 that account (pt_…). OwnerRez accepts such tokens for two accounts in 24 hours from one address."
            } else {
                "Nothing was stored. OwnerRez accepts personal access tokens for two accounts in 24 hours from one \
                 address; to connect more, use OAuth: GET /api/connect/ownerrez/start."
            },
        ),
        TokenError::NoClient | TokenError::InvalidClient => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "OwnerRez does not accept this gateway's OAuth app.",
            "Operators: check OWNERREZ_CLIENT_ID, OWNERREZ_CLIENT_SECRET and the app's redirect URI in OwnerRez.",
        ),
        TokenError::Throttled(wait) => {
            allowance(AllowanceError::Throttled(wait.unwrap_or_else(|| TimeDelta::seconds(60))))
        }
        TokenError::Unexpected(_) | TokenError::Unreadable | TokenError::ForeignAccount | TokenError::Transport(_) => {
            ErrorBody::new(
                StatusCode::BAD_GATEWAY,
                error.code(),
                "OwnerRez did not return a valid response to the token request.",
                "Try again in a minute.",
            )
        }
    }
}
