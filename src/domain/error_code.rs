//! The stable error codes on the wire, in logs and in metrics.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! error_codes {
    ($($name:ident = $text:literal,)+) => {
        /// A stable error code: `error` in JSON responses, in log lines and in metrics. Codes are never renamed, because
        /// clients depend on them. OAuth codes have the names of their RFCs.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`")] $name,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Returns the code as it is sent and logged.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

error_codes! {
    // OAuth (RFC 6749 sections 4.1.2.1 and 5.2, RFC 7591 section 3.2.2, RFC 8707)
    AccessDenied = "access_denied",
    InvalidClient = "invalid_client",
    InvalidClientMetadata = "invalid_client_metadata",
    InvalidGrant = "invalid_grant",
    InvalidRedirectUri = "invalid_redirect_uri",
    InvalidRequest = "invalid_request",
    InvalidScope = "invalid_scope",
    InvalidTarget = "invalid_target",
    InsufficientScope = "insufficient_scope",
    ServerError = "server_error",
    TemporarilyUnavailable = "temporarily_unavailable",
    UnsupportedGrantType = "unsupported_grant_type",
    UnsupportedResponseType = "unsupported_response_type",
    // The gateway
    AccessTokenNotAccepted = "access_token_not_accepted",
    AccountDisabled = "account_disabled",
    AllowanceSpent = "allowance_spent",
    AlreadyConnected = "already_connected",
    BodyTooLarge = "body_too_large",
    Busy = "busy",
    ConnectingWaits = "connecting_waits",
    ConsentExpired = "consent_expired",
    ConsentRefused = "consent_refused",
    DatabaseDamaged = "database_damaged",
    DatabaseUnavailable = "database_unavailable",
    Declined = "declined",
    ExpiredAccessToken = "expired_access_token",
    ExpiredApiKey = "expired_api_key",
    HostNotAllowed = "host_not_allowed",
    InternalError = "internal_error",
    Interrupted = "interrupted",
    InvalidAccessToken = "invalid_access_token",
    InvalidApiKey = "invalid_api_key",
    InvalidArguments = "invalid_arguments",
    InvalidMetricsToken = "invalid_metrics_token",
    KeyCheckBusy = "key_check_busy",
    LastKey = "last_key",
    MalformedMessage = "malformed_message",
    MethodNotAllowed = "method_not_allowed",
    MissingApiKey = "missing_api_key",
    Moved = "moved",
    NeedsReconnect = "needs_reconnect",
    NotAcceptable = "not_acceptable",
    NotAnswered = "not_answered",
    NotConnected = "not_connected",
    NotDirect = "not_direct",
    NotFound = "not_found",
    OriginNotAllowed = "origin_not_allowed",
    OutcomeUnknown = "outcome_unknown",
    OwnerRezAppRefused = "ownerrez_app_refused",
    OwnerRezNotConfigured = "ownerrez_not_configured",
    OwnerRezRefused = "ownerrez_refused",
    OwnerRezRefusedCode = "ownerrez_refused_code",
    OwnerRezThrottled = "ownerrez_throttled",
    OwnerRezUnavailable = "ownerrez_unavailable",
    PersonalTokenRefused = "personal_token_refused",
    PersonalTokensNotAllowed = "personal_tokens_not_allowed",
    ReadOnlyConnection = "read_only_connection",
    RegistrationClosed = "registration_closed",
    RegistrationTokenRequired = "registration_token_required",
    RequestTimeout = "request_timeout",
    SingleUserTokenRequired = "single_user_token_required",
    Standby = "standby",
    Starting = "starting",
    Stopping = "stopping",
    TooManyFailedKeys = "too_many_failed_keys",
    TooManyKeys = "too_many_keys",
    TooManyLargeRequests = "too_many_large_requests",
    TooManyRegistrations = "too_many_registrations",
    TooManyRequestsUnderWay = "too_many_requests_under_way",
    TooManySignIns = "too_many_sign_ins",
    TooManyTokenRequests = "too_many_token_requests",
    TooManyUnfinishedRequests = "too_many_unfinished_requests",
    TooManyWrongTokens = "too_many_wrong_tokens",
    ToolNotChosen = "tool_not_chosen",
    TryAgain = "try_again",
    UnknownOperation = "unknown_operation",
    UnknownResource = "unknown_resource",
    UnknownTool = "unknown_tool",
    UnknownToolset = "unknown_toolset",
    UnsupportedMediaType = "unsupported_media_type",
    UsedAlready = "used_already",
    WebhookCredentialsRequired = "webhook_credentials_required",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ErrorCode;

    #[test]
    fn codes_are_distinct_and_in_snake_case() {
        let texts: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        for text in texts {
            assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
        }
    }
}
