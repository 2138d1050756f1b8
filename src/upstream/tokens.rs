//! OwnerRez's token endpoint: `POST /oauth/access_token` and `DELETE /oauth/access_token/{token}`, both with the
//! operator's client credentials as HTTP Basic (article "OAuth apps").

use awc::http::{Method as HttpMethod, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    ownerrez_client::Upstream,
    reply::{Reply, UpstreamError, UpstreamErrorClass, UpstreamErrorKind},
    transport_error::TransportError,
};
use crate::domain::{AccountId, ErrorCode, Method, TokenKind, TokenSet, UpstreamGrant, UpstreamRequest};

const TOKEN_PATH: &str = "/oauth/access_token";

/// Tokens just issued by the endpoint.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    grant: UpstreamGrant,
}

impl TokenResponse {
    /// Returns the grant of a first authorization.
    pub fn into_grant(self) -> UpstreamGrant {
        self.grant
    }

    /// Returns the account that the response names; `None` if it names none.
    pub fn account(&self) -> Option<AccountId> {
        self.grant.account
    }

    /// Returns the tokens of a refresh. If the response contains no refresh token, the old one is kept, as existing
    /// OwnerRez clients do.
    pub fn into_refreshed(self, old_refresh: &SecretString) -> TokenSet {
        let mut tokens = self.grant.tokens;
        tokens.refresh.get_or_insert_with(|| old_refresh.clone());
        tokens
    }
}

/// The endpoint issued no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The operator has not configured an OAuth app.
    #[error("OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET are not set")]
    NoClient,
    /// The code or refresh token is invalid or no longer valid. Permanent.
    #[error("OwnerRez rejected the code or refresh token")]
    InvalidGrant,
    /// The personal access token is invalid, or not allowed for this request.
    #[error("OwnerRez rejected the personal access token with status {}", .0.status)]
    InvalidPersonalToken(UpstreamError),
    /// The operator's client id or secret is wrong.
    #[error("OwnerRez rejected the gateway's OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET")]
    InvalidClient,
    /// 429, with the wait that OwnerRez asks for.
    #[error("OwnerRez returned 429 (too many requests)")]
    Throttled(Option<TimeDelta>),
    /// A response with any other status.
    #[error("the token endpoint of OwnerRez returned status {0}")]
    Unexpected(u16),
    /// A success response without an access token.
    #[error("the token endpoint of OwnerRez returned no token")]
    Unreadable,
    /// A success response with tokens of another account than the expected one. They are discarded.
    #[error("the token endpoint of OwnerRez returned tokens of another account")]
    ForeignAccount,
    /// No usable response.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl TokenError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGrant => ErrorCode::OwnerRezRefusedCode,
            Self::InvalidPersonalToken(_) => ErrorCode::PersonalTokenRefused,
            Self::NoClient | Self::InvalidClient => ErrorCode::OwnerRezAppRefused,
            Self::Throttled(_) => ErrorCode::OwnerRezThrottled,
            Self::Unexpected(_) | Self::Unreadable | Self::ForeignAccount | Self::Transport(_) => {
                ErrorCode::OwnerRezUnavailable
            }
        }
    }

    /// Returns whether the endpoint may have processed the request although no usable response was received. Refreshed
    /// tokens may then be lost.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Transport(TransportError::Unreachable | TransportError::Invalid) => false,
            Self::Transport(_) | Self::Unreadable | Self::ForeignAccount => true,
            Self::Unexpected(status) => *status >= 500,
            Self::NoClient
            | Self::InvalidGrant
            | Self::InvalidPersonalToken(_)
            | Self::InvalidClient
            | Self::Throttled(_) => false,
        }
    }
}

impl Upstream {
    /// Redeems an authorization code.
    pub async fn exchange_code(&self, code: &SecretString) -> Result<TokenResponse, TokenError> {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code.expose_secret())];
        if let Some(redirect_uri) = &self.settings.redirect_uri {
            form.push(("redirect_uri", redirect_uri.as_str()));
        }
        self.token("exchange_code", &form).await
    }

    /// Checks a personal access token, given as `e-mail:token`. OwnerRez rejects a third account from one source
    /// address within a day, with its own message.
    pub async fn personal_grant(&self, access: SecretString) -> Result<UpstreamGrant, TokenError> {
        let tokens =
            TokenSet { kind: TokenKind::Basic, access, refresh: None, obtained_at: self.clock.now(), expires_at: None };
        let whose = UpstreamRequest {
            operation: "get_current_user".into(),
            method: Method::Get,
            path_and_query: "/v2/users/me".to_owned(),
            body: None,
            max_age: None,
        };
        let reply = self.send(&tokens, &whose).await?;
        if reply.status == 429 {
            return Err(TokenError::Throttled(reply.retry_after));
        }
        let body = reply.into_result().map_err(|refused| {
            // Neither says anything about the token.
            let is_other = refused.kind == UpstreamErrorKind::OtherUnauthorized;
            if is_other || refused.kind.class() == UpstreamErrorClass::Unavailable {
                TokenError::Unexpected(refused.status)
            } else {
                TokenError::InvalidPersonalToken(refused)
            }
        })?;
        let account = body.value().get("id").and_then(Value::as_i64).map(AccountId);
        Ok(UpstreamGrant { tokens, account })
    }

    /// Requests new tokens with a refresh token.
    pub async fn refresh(&self, refresh: &SecretString) -> Result<TokenResponse, TokenError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let outcome = self.token("refresh_tokens", &form).await;
        self.metrics.refreshed(match &outcome {
            Ok(_) => "refreshed",
            Err(TokenError::InvalidGrant) => "refused",
            Err(_) => "failed",
        });
        outcome
    }

    /// Revokes a grant. A token that no longer exists counts as revoked. The URL contains the token, so it is never
    /// logged.
    pub async fn revoke(&self, access: &SecretString) -> Result<(), TokenError> {
        let token: String = form_urlencoded::byte_serialize(access.expose_secret().as_bytes()).collect();
        let authorization = self.basic()?;
        let call = self
            .request(HttpMethod::DELETE, &format!("{TOKEN_PATH}/{token}"))
            .insert_header((header::AUTHORIZATION, authorization));
        let reply = self.exchange("revoke_token", call, None).await?;
        match reply.status {
            200..=299 | 404 => Ok(()),
            status => Err(refused(status, &reply)),
        }
    }

    async fn token(&self, operation: &str, form: &[(&str, &str)]) -> Result<TokenResponse, TokenError> {
        let authorization = self.basic()?;
        let call = self
            .request(HttpMethod::POST, TOKEN_PATH)
            .insert_header((header::AUTHORIZATION, authorization))
            .insert_header((header::ACCEPT, "application/json"));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let reply = self.exchange(operation, call, Some(("application/x-www-form-urlencoded", form))).await?;
        match reply.status {
            200..=299 => read(&reply.body.value(), self.clock.now()).ok_or(TokenError::Unreadable),
            status => Err(refused(status, &reply)),
        }
    }

    fn basic(&self) -> Result<String, TokenError> {
        let client = self.settings.client.as_ref().ok_or(TokenError::NoClient)?;
        Ok(format!("Basic {}", STANDARD.encode(format!("{}:{}", client.id, client.secret.expose_secret()))))
    }
}

fn refused(status: u16, reply: &Reply) -> TokenError {
    let body = reply.body.value();
    match (status, body.get("error").and_then(Value::as_str).unwrap_or_default()) {
        (429, _) => TokenError::Throttled(reply.retry_after),
        (_, "invalid_client" | "unauthorized_client") | (401, _) => TokenError::InvalidClient,
        (400, "invalid_grant") => TokenError::InvalidGrant,
        _ => TokenError::Unexpected(status),
    }
}

fn read(body: &Value, now: DateTime<Utc>) -> Option<TokenResponse> {
    let text = |name| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let access = text("access_token")?;
    let in_seconds = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    // `expires_in` is relative to the gateway's clock, so a difference between the two clocks does not matter.
    let expires_at = in_seconds
        .and_then(TimeDelta::try_seconds)
        .and_then(|life| now.checked_add_signed(life))
        .or_else(|| DateTime::parse_from_rfc3339(text("expires_at")?).ok().map(|moment| moment.with_timezone(&Utc)));
    let tokens = TokenSet {
        kind: TokenKind::Bearer,
        access: access.into(),
        refresh: text("refresh_token").map(Into::into),
        obtained_at: now,
        expires_at,
    };
    Some(TokenResponse {
        grant: UpstreamGrant { tokens, account: body.get("user_id").and_then(Value::as_i64).map(AccountId) },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expiry_and_refresh_token_are_optional() {
        let now = DateTime::UNIX_EPOCH;
        let none =
            read(&json!({"access_token": "at_1", "token_type": "bearer", "user_id": 7}), now).unwrap().into_grant();
        assert_eq!((none.account, none.tokens.expires_at), (Some(AccountId(7)), None));
        assert!(none.tokens.refresh.is_none());
        let standard = read(&json!({"access_token": "at_1", "refresh_token": "rt_1", "expires_in": 60}), now).unwrap();
        assert_eq!(standard.into_grant().tokens.expires_at, Some(now + TimeDelta::seconds(60)));
        let dated = read(&json!({"access_token": "at_1", "expires_at": "1970-01-01T00:02:00Z"}), now).unwrap();
        assert_eq!(dated.into_grant().tokens.expires_at, Some(now + TimeDelta::seconds(120)));
    }

    #[test]
    fn a_refresh_without_a_new_refresh_token_keeps_the_old_one() {
        let issued = read(&json!({"access_token": "at_2"}), DateTime::UNIX_EPOCH).unwrap();
        let tokens = issued.into_refreshed(&"rt_1".into());
        assert_eq!(tokens.refresh.unwrap().expose_secret(), "rt_1");
    }

    #[test]
    fn answers_without_a_token_are_not_tokens() {
        for body in [json!(null), json!([]), json!({}), json!({"access_token": ""}), json!({"access_token": 7})] {
            assert!(read(&body, DateTime::UNIX_EPOCH).is_none());
        }
    }

    #[test]
    fn expiry_out_of_all_bounds_is_no_trap() {
        assert!(read(&json!({"access_token": "at_1", "expires_in": i64::MAX}), DateTime::UNIX_EPOCH).is_some());
    }
}
