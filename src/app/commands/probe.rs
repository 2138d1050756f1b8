//! `probe`: reads one record of each kind from the real OwnerRez and reports how they differ from the catalogue.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::{command_error::CommandError, existing_store::existing_store, users::find};
use crate::{
    app::{key_ring::key_ring_from, session_settings::upstream_settings, single_account, start_error::StartError},
    catalog::{
        Catalog, CatalogError,
        probe::{End, ProbeCredential, ProbeOutcome, ProbeReport},
    },
    config::{Config, SingleAccount},
    domain::{SharedClock, TokenKind, TokenSet, UserId},
    metrics::Metrics,
    session::{CallError, CommandAllowance, StoredTokens, stored_tokens},
    store::{Store, StoreError},
    upstream::{TransportError, Upstream},
};

/// The pause between two requests without a database. A probe sends at most 60 requests, a fifth of what OwnerRez
/// admits in five minutes.
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// Limits how long a probe waits for the allowance in total.
const PERMIT_TIMEOUT: TimeDelta = TimeDelta::minutes(15);

/// The account that is read.
#[derive(Clone, Debug)]
pub enum ProbeAs {
    /// The account of a connected user: an id, or the prefix of a key.
    User(String),
    /// The account of a token.
    Account(SingleAccount),
}

/// The reasons why there is no report. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The settings give no usable database or key, or the user is unknown.
    #[error(transparent)]
    Operate(CommandError),
    /// There is no database to take permits from.
    #[error(
        "the database {0} with the shared rate limit does not exist: run this where the gateway runs, with its \
         DATABASE_URL; or add --alone if no gateway sends requests from this address"
    )]
    NoDatabase(String),
    /// No token was given, or more than one.
    #[error(
        "exactly one token is needed: set either OWNERREZ_ACCESS_TOKEN, or OWNERREZ_USERNAME and OWNERREZ_TOKEN; or \
         give a token with --stdin, or a connected user with --user"
    )]
    NoToken,
    /// Standard input contained no token.
    #[error("standard input contains no token: write an access token or E-MAIL:PERSONAL_TOKEN to it")]
    NoTokenRead,
    /// The user's stored token has expired.
    #[error("the stored token of this user has expired: ask the user to call a tool, which refreshes it, and retry")]
    TokenEnded,
    /// The key file is missing.
    #[error("the encryption key of the database is missing: restore its key file, or set ENCRYPTION_KEY")]
    NoKey,
    /// The user has no usable connection.
    #[error("this user's connection cannot be used: {0}; ask the user to connect an account, and retry")]
    Connection(CallError),
    /// OwnerRez refused the first request.
    #[error("OwnerRez rejected the token: check that it is complete, has not expired and was not revoked")]
    TokenRefused,
    /// OwnerRez could not be reached.
    #[error("OwnerRez does not respond at {0}: make it reachable over https, or correct OWNERREZ_API_URL")]
    Unreachable(Url),
    /// The embedded catalogue is invalid: a fault of the build.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<CommandError> for ProbeError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoDatabase(path) => Self::NoDatabase(path),
            error => Self::Operate(error),
        }
    }
}

impl From<StoreError> for ProbeError {
    fn from(error: StoreError) -> Self {
        Self::Operate(error.into())
    }
}

/// Probes OwnerRez. `alone` uses no database.
///
/// # Errors
/// If no request can be answered, or the database fails. Later failures of OwnerRez are in the report.
pub async fn probe(
    config: &Config,
    probe_as: &ProbeAs,
    alone: bool,
    clock: SharedClock,
) -> Result<ProbeReport, ProbeError> {
    let store = if alone { None } else { Some(existing_store(config).await?) };
    let (tokens, user) = match (probe_as, &store) {
        (ProbeAs::User(user), Some(store)) => {
            let user = find(store, user).await?;
            (tokens_of(config, store, user, clock.now()).await?, Some(user))
        }
        (ProbeAs::User(_), None) => return Err(ProbeError::NoToken),
        (ProbeAs::Account(account), _) => (single_account::tokens(account, clock.now()), None),
    };
    let credential = match (user, tokens.kind) {
        (Some(_), _) => ProbeCredential::ConnectedUser,
        (None, TokenKind::Bearer) => ProbeCredential::AccessToken,
        (None, TokenKind::Basic) => ProbeCredential::PersonalToken,
    };
    let mut permits = Permits::new(config, store.clone(), clock.clone());
    let catalog = Catalog::embedded()?;
    let settings = Arc::new(upstream_settings(config, 0));
    let upstream = Upstream::new(settings, clock.clone(), Arc::new(Metrics::new()));
    let mut probe = catalog.probe(clock.now().date_naive());
    while let Some(asked) = probe.next_request() {
        if !permits.next().await? {
            probe.stop(End::AllowanceSpent);
            break;
        }
        let outcome = match upstream.send(&tokens, &asked.request).await {
            Ok(reply) => ProbeOutcome::Response { status: reply.status, body: reply.body.value() },
            Err(TransportError::NotJson { status }) => ProbeOutcome::NotJson { status },
            Err(error) => {
                log::warn!("{} got no response: {error}", asked.request.operation);
                ProbeOutcome::Failed
            }
        };
        probe.take_in(&asked, &outcome);
    }
    let report = probe.report(credential);
    if let Permits::Shared { allowance, .. } = &permits {
        if let Err(error) = allowance.finish(user, report.requests).await {
            log::warn!("cannot record the number of requests sent: {error}");
        }
        allowance.store.close().await?;
    }
    match report.end {
        End::TokenRefused if report.requests == 1 => Err(ProbeError::TokenRefused),
        End::Failing if report.seen.is_empty() => Err(ProbeError::Unreachable(config.ownerrez.api_url.clone())),
        _ => Ok(report),
    }
}

/// Decides when the next request may be sent.
enum Permits {
    /// A fixed pause between requests.
    Paced { clock: SharedClock, next: DateTime<Utc> },
    /// The allowance that the gateways on a database share.
    Shared { allowance: CommandAllowance, deadline: DateTime<Utc> },
}

impl Permits {
    fn new(config: &Config, store: Option<Store>, clock: SharedClock) -> Self {
        let now = clock.now();
        let Some(store) = store else { return Self::Paced { clock, next: now } };
        let answer_timeout = TimeDelta::seconds(i64::from(config.sessions.upstream_timeout_seconds));
        let limit = config.ownerrez.request_limit;
        Self::Shared {
            allowance: CommandAllowance { store, clock, limit, answer_timeout },
            deadline: now + PERMIT_TIMEOUT,
        }
    }

    /// Waits until a request may be sent. Returns `false` if none may be sent before the deadline.
    async fn next(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Paced { clock, next } => {
                clock.sleep_until(*next).await;
                *next = clock.now() + PAUSE;
                Ok(true)
            }
            Self::Shared { allowance, deadline } => allowance.acquire(*deadline).await,
        }
    }
}

async fn tokens_of(config: &Config, store: &Store, user: UserId, now: DateTime<Utc>) -> Result<TokenSet, ProbeError> {
    let key = config.encryption.existing().map_err(StartError::from).map_err(CommandError::from)?;
    let ring = key_ring_from(&config.encryption, &key.ok_or(ProbeError::NoKey)?, &config.previous_keys);
    let ring = ring.map_err(CommandError::from)?;
    match stored_tokens(store, &ring, user, now).await.map_err(ProbeError::Connection)? {
        StoredTokens::Good(tokens) => Ok(tokens),
        StoredTokens::Ended => Err(ProbeError::TokenEnded),
    }
}
