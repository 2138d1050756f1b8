//! Creates a database with many connected users through the project's own modules: the keys are hashed and the tokens
//! encrypted as in the gateway. Ten thousand consents in a browser would take longer and measure nothing.

use std::{error::Error, num::NonZero, path::Path, thread};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use ownerrez_gateway::{
    app::SystemClock,
    crypto::{ApiKey, CryptoError, EncryptionContext, KeyRing, hash_api_key, random_token},
    domain::{AccountId, Clock, KeyId, Scope, TokenKind, ToolDefaults, UserId},
    store::{DatabaseTarget, NewKey, SealedGrant, SealedTokens, Store},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use uuid::Uuid;

/// The minimum cost of bcrypt; allowed on loopback. At the default cost, bcrypt dominates the first use of a key.
pub(crate) const BCRYPT_COST: u32 = 4;

/// The data that a gateway needs to serve the users of a database.
pub(crate) struct Seeded {
    /// Their API keys, in order of registration.
    pub(crate) keys: Vec<String>,
    /// `ENCRYPTION_KEY` in the format that the gateway reads.
    pub(crate) encryption_key: String,
}

/// Creates a database of so many users with one key and one connected account each.
pub(crate) async fn database(path: &Path, users: usize) -> Result<Seeded, Box<dyn Error>> {
    let keys = keys(users)?;
    let mut sealing = [0; 32];
    URL_SAFE_NO_PAD.decode_slice(random_token()?.expose_secret(), &mut sealing)?;
    let ring = KeyRing::new(&SecretBox::new(Box::new(sealing)))?;
    let store = Store::connect(&DatabaseTarget::Sqlite { path: path.to_owned() }).await?;
    store.migrate_up().await?;
    let now = SystemClock::new().now();
    for (number, (key, hash)) in (1..).zip(&keys) {
        let user = UserId(Uuid::now_v7());
        let row = NewKey {
            id: KeyId(Uuid::now_v7()),
            hash: hash.clone(),
            hmac: None,
            prefix: key.prefix().to_owned(),
            name: None,
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        store.register_user(user, row, now).await?;
        store.save_connection(user, grant(&ring, user, number, now)?, now).await?;
    }
    store.close().await?;
    let keys = keys.into_iter().map(|(key, _)| key.expose().expose_secret().to_owned()).collect();
    Ok(Seeded { keys, encryption_key: STANDARD.encode(sealing) })
}

/// Returns tokens like OwnerRez's, without an expiry: nothing must be refreshed during the benchmark.
fn grant(ring: &KeyRing, user: UserId, number: i64, now: DateTime<Utc>) -> Result<SealedGrant, CryptoError> {
    let token = |kind: &str| SecretString::from(format!("{kind}_{:032x}", Uuid::now_v7().as_u128()));
    let tokens = SealedTokens {
        kind: TokenKind::Bearer,
        access: ring.seal(EncryptionContext::AccessToken(user), &token("at"))?,
        refresh: Some(ring.seal(EncryptionContext::RefreshToken(user), &token("rt"))?),
        obtained_at: now,
        expires_at: None,
        renew_at: None,
    };
    Ok(SealedGrant { account: Some(AccountId(number)), tokens })
}

/// Generates keys and their hashes, with bcrypt on every core.
fn keys(count: usize) -> Result<Vec<(ApiKey, String)>, CryptoError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let shares = (0..cores).map(|core| count / cores + usize::from(core < count % cores));
    thread::scope(|scope| {
        let hashing: Vec<_> = shares
            .map(|share| {
                scope.spawn(move || {
                    let one = || {
                        let key = ApiKey::generate()?;
                        let hash = hash_api_key(&key, BCRYPT_COST)?;
                        Ok((key, hash))
                    };
                    (0..share).map(|_| one()).collect::<Result<Vec<_>, CryptoError>>()
                })
            })
            .collect();
        let hashed: Result<Vec<_>, CryptoError> =
            hashing.into_iter().map(|share| share.join().unwrap_or_else(|_| Err(CryptoError::Random))).collect();
        Ok(hashed?.into_iter().flatten().collect())
    })
}
