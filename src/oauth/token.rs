//! The token endpoint: exchanges a code or a refresh token for tokens; and token revocation.
//!
//! The order of checks is always the same: first the client, then the owner of the code or token, then the
//! consequences. So a client that only observed a code or token of another client can do no harm with it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{
    access_token::Claims,
    authorization_server::AuthorizationServer,
    clients::{AssertionProblem, Client, ClientError, PresentedClient},
    error::OAuthError,
    oauth_settings::OAuthSettings,
    pkce,
    refresh_token::{RefreshToken, new_family},
    resource::{Resource, is_within},
    scopes::Scopes,
    server_error::ServerError,
};
use crate::{
    crypto::{self, CryptoError, EncryptionContext},
    domain::{GrantId, Sealed, UserId},
    store::{FirstRefresh, KnownRefresh, NewSuccessor, Redemption, Rotated, StoreError, StoredGrant},
};

/// The path of the endpoint. With the issuer as prefix it is an accepted audience of assertions.
pub(super) const TOKEN_PATH: &str = "/token";

/// The form parameters of the token and the revocation endpoint. Empty ones count as absent. Not `Debug`, because it
/// contains secrets.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct TokenForm {
    /// `authorization_code` or `refresh_token`.
    pub grant_type: String,
    /// The client id.
    pub client_id: String,
    /// The authorization code.
    pub code: SecretString,
    /// The redirect URI that the code was sent to.
    pub redirect_uri: String,
    /// The PKCE verifier.
    pub code_verifier: SecretString,
    /// The refresh token.
    pub refresh_token: SecretString,
    /// The scope, to request less than was granted.
    pub scope: String,
    /// The resource of the access token, to request less than was granted.
    pub resource: String,
    /// The type of the client assertion (RFC 7523).
    pub client_assertion_type: String,
    /// The client assertion.
    pub client_assertion: SecretString,
    /// The token to revoke (RFC 7009).
    pub token: SecretString,
}

/// The issued tokens (RFC 6749 section 5.1).
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// The lifetime of the access token.
    pub access_lifetime: TimeDelta,
    /// The refresh token; only with `offline_access`.
    pub refresh: Option<SecretString>,
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// The user that the tokens belong to.
    pub user: UserId,
}

/// The result of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    /// The grant was ended.
    Ended(UserId, GrantId),
    /// There was no grant to end.
    Nothing,
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        ServerError::from(error).into()
    }
}

impl From<CryptoError> for OAuthError {
    fn from(error: CryptoError) -> Self {
        ServerError::from(error).into()
    }
}

/// The client that sent the request.
struct AuthenticatedClient {
    client: Client,
    /// Whether the client has just authenticated with a signature.
    signed: bool,
}

impl AuthenticatedClient {
    /// Returns whether this client has this id.
    fn is(&self, client_id: &str) -> bool {
        *self.client.id.0 == *client_id
    }

    /// Requires a signature if the grant's code was redeemed with one. Otherwise a thief of the refresh token of a
    /// client that may sign or not (`allows_none`) could omit the signature.
    fn check_signed(&self, grant: &StoredGrant) -> Result<(), OAuthError> {
        if grant.signed && !self.signed {
            return Err(ClientError::from(AssertionProblem::Missing).into());
        }
        Ok(())
    }
}

const BAD_CODE: OAuthError = OAuthError::InvalidGrant(
    "the code is not valid: it is unknown, expired, used, or for another client or redirect_uri",
);
const BAD_REFRESH: OAuthError =
    OAuthError::InvalidGrant("the refresh token is no longer valid; the user has to sign in again");

impl AuthorizationServer {
    /// Handles a token request.
    pub async fn token(&self, form: &TokenForm) -> Result<Tokens, OAuthError> {
        if !matches!(form.grant_type.as_str(), "authorization_code" | "refresh_token") {
            return Err(match form.grant_type.as_str() {
                "" => OAuthError::InvalidRequest("the grant_type is missing"),
                _ => OAuthError::UnsupportedGrantType,
            });
        }
        let client = self.authenticate_client(form).await?;
        if form.grant_type == "refresh_token" {
            self.refresh(&client, form).await
        } else {
            self.redeem(&client, form).await
        }
    }

    /// Ends the grant of a token that its client revokes (RFC 7009).
    pub async fn revoke(&self, form: &TokenForm) -> Result<Revocation, OAuthError> {
        let client = self.authenticate_client(form).await?;
        let token = form.token.expose_secret();
        if token.is_empty() {
            return Err(OAuthError::InvalidRequest("the token is missing"));
        }
        let Some(grant) = self.grant_of(token).await?.filter(|grant| client.is(&grant.client_id)) else {
            return Ok(Revocation::Nothing);
        };
        client.check_signed(&grant)?;
        let ended = self.0.store.end_grant(grant.user, grant.id).await?;
        Ok(if ended { Revocation::Ended(grant.user, grant.id) } else { Revocation::Nothing })
    }

    /// Returns the grant of the code or token in a form, if it exists and belongs to the client that the form names.
    /// Only looks it up; no proof is checked. `None` if the form names no client.
    pub async fn peek_grant(&self, form: &TokenForm) -> Result<Option<GrantId>, OAuthError> {
        let Ok(client_id) = client_id(form) else { return Ok(None) };
        let secrets = [&form.code, &form.refresh_token, &form.token].map(ExposeSecret::expose_secret);
        let known = match secrets {
            ["", "", ""] => None,
            [code, "", ""] => {
                let code = self.0.store.code(&crypto::sha256_hex(code)).await?;
                code.map(|code| (code.grant, code.client_id))
            }
            [_, refresh, ""] => self.grant_of(refresh).await?.map(|grant| (grant.id, grant.client_id)),
            [_, _, token] => self.grant_of(token).await?.map(|grant| (grant.id, grant.client_id)),
        };
        Ok(known.filter(|(_, owner)| *owner == client_id).map(|(grant, _)| grant))
    }

    /// Returns the grant of an access or refresh token.
    async fn grant_of(&self, token: &str) -> Result<Option<StoredGrant>, StoreError> {
        let store = &self.0.store;
        match self.access_tokens().read(token) {
            Some(claims) => store.grant(claims.grant).await,
            None => Ok(self.find_refresh_token(token).await?.map(|known| known.grant().clone())),
        }
    }

    /// Identifies the client and authenticates it as far as that client can authenticate.
    async fn authenticate_client(&self, form: &TokenForm) -> Result<AuthenticatedClient, OAuthError> {
        let assertion = form.client_assertion.expose_secret();
        let id = client_id(form)?;
        let clients = &self.0.clients;
        let client = clients.find(&id).await?;
        let presented = if assertion.is_empty() && form.client_assertion_type.is_empty() {
            PresentedClient::None
        } else {
            PresentedClient::Assertion { kind: &form.client_assertion_type, assertion }
        };
        let settings = self.settings();
        let audiences = [settings.url(TOKEN_PATH), settings.issuer.clone()];
        let signed = clients.authenticate(&client, &presented, &audiences).await?;
        Ok(AuthenticatedClient { client, signed })
    }

    async fn redeem(&self, client: &AuthenticatedClient, form: &TokenForm) -> Result<Tokens, OAuthError> {
        let code = form.code.expose_secret();
        if code.is_empty() {
            return Err(OAuthError::InvalidRequest("the code is missing"));
        }
        let (store, now, settings) = (&self.0.store, self.0.clock.now(), self.settings());
        let hash = crypto::sha256_hex(code);
        let code = store.code(&hash).await?.ok_or(BAD_CODE)?;
        if !client.is(&code.client_id) || code.redirect_uri != form.redirect_uri {
            return Err(BAD_CODE);
        }
        if !pkce::verify(form.code_verifier.expose_secret(), &code.code_challenge) {
            return Err(OAuthError::InvalidGrant("the code_verifier does not match the code_challenge"));
        }
        if code.used {
            return self.end_reused_grant(code.user, code.grant, "its code was redeemed twice").await;
        }
        if code.expires_at <= now {
            return Err(BAD_CODE);
        }
        let grant = store.grant(code.grant).await?.ok_or(BAD_CODE)?;
        let issuance = TokenIssuance::of(&grant, form, settings)?;
        let access_ends_at = now + settings.access_lifetime;
        let refresh = issuance.granted.offline.then(|| RefreshToken::of(new_family()?)).transpose()?;
        let ends_at = if refresh.is_some() { now + settings.refresh_lifetime } else { access_ends_at };
        let stored = refresh.as_ref().map(|refresh| FirstRefresh {
            hash: refresh.hash(),
            family_hash: refresh.family_hash(),
            expires_at: ends_at,
        });
        let redemption = Redemption { refresh: stored, signed: client.signed, ends_at };
        if !store.redeem_code(&hash, grant.id, redemption, now).await? {
            // After the lookup, another request redeemed the code, or the code expired.
            return match store.code(&hash).await? {
                Some(code) if code.used => {
                    self.end_reused_grant(code.user, code.grant, "its code was redeemed twice").await
                }
                _ => Err(BAD_CODE),
            };
        }
        Ok(self.issue(issuance, refresh.map(|refresh| refresh.token), now, access_ends_at))
    }

    async fn refresh(&self, client: &AuthenticatedClient, form: &TokenForm) -> Result<Tokens, OAuthError> {
        let presented = form.refresh_token.expose_secret();
        if presented.is_empty() {
            return Err(OAuthError::InvalidRequest("the refresh_token is missing"));
        }
        let (store, now, settings) = (&self.0.store, self.0.clock.now(), self.settings());
        let known = self.find_refresh_token(presented).await?.ok_or(BAD_REFRESH)?;
        if !client.is(&known.grant().client_id) {
            return Err(BAD_REFRESH);
        }
        client.check_signed(known.grant())?;
        let (grant, generation) = match known {
            KnownRefresh::Stored { expires_at, .. } if expires_at <= now => return Err(BAD_REFRESH),
            KnownRefresh::Stored { grant, generation, .. } => (grant, generation),
            KnownRefresh::Replaced(grant) => {
                store.end_grant(grant.user, grant.id).await?;
                return Err(reuse_detected(&grant));
            }
        };
        let issuance = TokenIssuance::of(&grant, form, settings)?;
        let family =
            RefreshToken::family_of(presented).map_or_else(new_family, |family| Ok(family.to_owned().into()))?;
        let refresh = RefreshToken::of(family)?;
        let place = EncryptionContext::Successor(grant.id, generation + 1);
        let successor = NewSuccessor {
            hash: refresh.hash(),
            family_hash: refresh.family_hash(),
            sealed: self.0.ring.seal(place, &refresh.token)?,
            expires_at: now + settings.refresh_lifetime,
        };
        let open = |sealed: &Sealed| match self.0.ring.open(place, sealed) {
            Ok(token) => Some(token),
            Err(error) => {
                log::warn!(
                    "the unused refresh token of grant {} cannot be decrypted, so a new one is issued: {error}",
                    grant.id
                );
                None
            }
        };
        let access_ends_at = now + settings.access_lifetime;
        // A repeated refresh extends nothing: the access token that it issues expires with the grant at the latest.
        let repeat_ends_at = access_ends_at.min(grant.expires_at);
        let (token, ends_at) = match store.rotate(grant.id, generation, successor, open, now).await? {
            Rotated::First => (refresh.token, access_ends_at),
            Rotated::Repeated(token) => (token, repeat_ends_at),
            Rotated::Reissued => (refresh.token, repeat_ends_at),
            Rotated::Gone => return Err(BAD_REFRESH),
            Rotated::Replaced => return Err(reuse_detected(&grant)),
        };
        Ok(self.issue(issuance, Some(token), now, ends_at))
    }

    /// Returns the stored refresh token with this text, or the grant that its family belongs to.
    async fn find_refresh_token(&self, token: &str) -> Result<Option<KnownRefresh>, StoreError> {
        let family = RefreshToken::family_of(token).map(crypto::sha256_hex);
        self.0.store.refresh_token(&crypto::sha256_hex(token), family.as_deref()).await
    }

    async fn end_reused_grant(&self, user: UserId, grant: GrantId, why: &str) -> Result<Tokens, OAuthError> {
        if self.0.store.end_grant(user, grant).await? {
            log::warn!("grant {grant} of user {user} was revoked: {why}");
        }
        Err(BAD_CODE)
    }

    fn issue(
        &self,
        issuance: TokenIssuance,
        refresh: Option<SecretString>,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Tokens {
        let TokenIssuance { grant, user, scopes, granted: _, audience } = issuance;
        let claims = Claims { grant, user, scope: scopes.access, audience, issued_at: now, expires_at };
        let access = self.access_tokens().write(&claims);
        Tokens { access, access_lifetime: expires_at - now, refresh, scopes, user }
    }
}

/// The content of an access token that is about to be issued.
struct TokenIssuance {
    grant: GrantId,
    user: UserId,
    /// The scopes of this token.
    scopes: Scopes,
    /// The scopes of the grant.
    granted: Scopes,
    audience: String,
}

impl TokenIssuance {
    /// Returns the content for the granted scopes and resource, or for the smaller part that the form requests.
    fn of(grant: &StoredGrant, form: &TokenForm, settings: &OAuthSettings) -> Result<Self, OAuthError> {
        let unreadable = |_| OAuthError::Server { cause: format!("grant {} has an unknown scope", grant.id) };
        let granted = Scopes::parse(&grant.scope).map_err(unreadable)?;
        let scopes = match form.scope.as_str() {
            "" => granted,
            asked => Scopes::parse(asked).map_err(|_| OAuthError::InvalidScope)?,
        };
        if !scopes.is_within(granted) {
            return Err(OAuthError::InvalidScope);
        }
        let resource = match form.resource.as_str() {
            "" => Resource { url: grant.resource.clone(), read_only: false },
            asked => settings.resource(asked).ok_or(OAuthError::InvalidTarget)?,
        };
        if !is_within(&resource.url, &grant.resource) {
            return Err(OAuthError::InvalidTarget);
        }
        let scopes = scopes.with_read_only(resource.read_only);
        Ok(Self { grant: grant.id, user: grant.user, scopes, granted, audience: resource.url })
    }
}

/// Returns the client id of a form. A client that signs may omit it, because the assertion contains it (RFC 7523
/// section 3).
fn client_id(form: &TokenForm) -> Result<String, OAuthError> {
    match form.client_id.as_str() {
        "" => unverified_subject(form.client_assertion.expose_secret())
            .ok_or(OAuthError::InvalidRequest("the client_id is missing")),
        id => Ok(id.to_owned()),
    }
}

/// Returns the error for a token whose successor was used; its grant has been ended.
fn reuse_detected(grant: &StoredGrant) -> OAuthError {
    let (user, grant) = (grant.user, grant.id);
    log::warn!(
        "grant {grant} of user {user} was revoked: a refresh token was reused after its successor had been used"
    );
    BAD_REFRESH
}

/// Returns the unverified `sub` of an assertion. It is trusted only after the signature was checked with that client's
/// keys.
fn unverified_subject(assertion: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}
