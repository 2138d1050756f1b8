//! `reseal`: re-encrypts every stored token with the current encryption key while gateways run. Works row by row, so it
//! can be stopped and repeated at any point.

use std::ops::ControlFlow;

use tokio_util::sync::CancellationToken;

use super::{
    command_error::CommandError,
    existing_store::existing_store,
    records::{PAGE, Records, TABLES},
};
use crate::{
    app::key_ring::key_ring,
    config::Config,
    crypto::{CryptoError, EncryptionContext, KeyRing, SealedWith},
    domain::{GrantId, UserId},
    store::{SealedRow, SealedTable, Store, StoreError},
};

/// The progress of re-encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResealProgress {
    /// Rows that were examined.
    pub seen: u64,
    /// Rows that existed at the beginning.
    pub of: u64,
    /// Rows that were re-encrypted.
    pub resealed: u64,
}

/// The outcome of re-encryption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resealed {
    /// The work that was done.
    pub progress: ResealProgress,
    /// Whether it was stopped before the last row.
    pub interrupted: bool,
    /// The number of rows whose tokens cannot be decrypted, with the first reason.
    pub unopened: Option<(u64, String)>,
    /// Rows that still need another key than the current one, counted at the very end.
    pub left: u64,
}

impl Resealed {
    /// Returns whether no stored token needs a previous key any more.
    pub fn may_drop_previous_keys(&self) -> bool {
        !self.interrupted && self.left == 0
    }

    /// Returns the report for the operator.
    pub fn text(&self) -> String {
        let Self { progress: ResealProgress { seen, of, resealed }, interrupted, unopened, left } = self;
        let done = format!("Re-encrypted {resealed} rows.");
        if *interrupted {
            return format!("{done} Stopped after {seen} of {of}: run it again to continue; keep the previous keys.");
        }
        match (unopened, left) {
            (_, 0) => format!(
                "{done} Every stored token is encrypted with the current key: ENCRYPTION_KEYS_PREVIOUS can be emptied. \
                 Keep the previous keys with older backups."
            ),
            (Some((rows, why)), left) => format!(
                "{done} Keep the previous keys: {left} rows still need another key, and {rows} could not be decrypted \
                 ({why}). `ownerrez-gateway check` shows which keys are missing."
            ),
            (None, left) => format!(
                "{done} Keep the previous keys: {left} rows were encrypted with another key meanwhile. Restart every \
                 process with the new ENCRYPTION_KEY, then run it again."
            ),
        }
    }
}

/// Runs the command: reports the progress through `say` until it is done or `stop` is cancelled.
pub async fn reseal_all(
    config: &Config,
    stop: &CancellationToken,
    mut say: impl FnMut(&str),
) -> Result<Resealed, CommandError> {
    let ring = key_ring(config)?;
    let store = existing_store(config).await?;
    let outcome = reseal(&store, &ring, |progress| {
        let ResealProgress { seen, of, resealed } = *progress;
        if seen.is_multiple_of(PAGE) || seen == of {
            say(&format!("{seen} of {of} rows, {resealed} re-encrypted"));
        }
        if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await?;
    store.close().await?;
    Ok(outcome)
}

/// Re-encrypts every stored token with the ring's current key. Calls `go_on` before the first row and after each.
pub async fn reseal(
    store: &Store,
    ring: &KeyRing,
    mut go_on: impl FnMut(&ResealProgress) -> ControlFlow<()>,
) -> Result<Resealed, StoreError> {
    let mut progress = ResealProgress { seen: 0, of: Records::read(store, None, &TABLES).await?.rows, resealed: 0 };
    let mut unopened: Option<(u64, String)> = None;
    let mut stopped = go_on(&progress);
    for table in TABLES {
        let mut after = None;
        while stopped.is_continue() {
            let page = store.sealed_rows(table, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in page {
                match reseal_row(store, ring, table, row).await? {
                    Ok(changed) => progress.resealed += u64::from(changed),
                    Err(why) => unopened.get_or_insert_with(|| (0, why.to_string())).0 += 1,
                }
                progress.seen += 1;
                stopped = go_on(&progress);
                if stopped.is_break() {
                    break;
                }
                // Gives the task on this thread that listens for stop signals a chance to run.
                tokio::task::yield_now().await;
            }
        }
    }
    let current = SealedWith::Key(ring.current_key());
    let now = Records::read(store, None, &TABLES).await?;
    let left = now.by_key.iter().filter(|(key, _)| **key != current).map(|(_, counts)| counts.rows()).sum();
    Ok(Resealed { progress, interrupted: stopped.is_break(), unopened, left })
}

/// Returns whether the row was re-encrypted, or why it cannot be decrypted.
async fn reseal_row(
    store: &Store,
    ring: &KeyRing,
    table: SealedTable,
    row: SealedRow,
) -> Result<Result<bool, CryptoError>, StoreError> {
    if table == SealedTable::Connections {
        return reseal_connection(store, ring, row.user).await;
    }
    let mut changed = false;
    for (place, sealed) in &row.tokens {
        let anew = match ring.re_encrypt(*place, sealed) {
            Ok(Some(anew)) => anew,
            Ok(None) => continue,
            Err(why) => return Ok(Err(why)),
        };
        // A row that was deleted or rewritten meanwhile needs nothing here: its writer used its own key.
        changed |= match table {
            SealedTable::Grants => store.store_re_encrypted_successor(GrantId(row.id), sealed, anew).await?,
            SealedTable::Connections | SealedTable::Revocations => {
                store.store_re_encrypted_revocation(row.id, sealed, anew).await?
            }
        };
    }
    Ok(Ok(changed))
}

async fn reseal_connection(
    store: &Store,
    ring: &KeyRing,
    user: UserId,
) -> Result<Result<bool, CryptoError>, StoreError> {
    loop {
        let Some(row) = store.connection(user).await? else { return Ok(Ok(false)) };
        let access = ring.re_encrypt(EncryptionContext::AccessToken(user), &row.access);
        let refresh = row
            .refresh
            .as_ref()
            .map(|refresh| ring.re_encrypt(EncryptionContext::RefreshToken(user), refresh))
            .transpose();
        let (access, refresh) = match (access, refresh) {
            (Ok(access), Ok(refresh)) => (access, refresh.flatten()),
            (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
        };
        if access.is_none() && refresh.is_none() {
            return Ok(Ok(false));
        }
        let (access, refresh) = (access.unwrap_or(row.access), refresh.or(row.refresh));
        if store.store_re_encrypted(user, row.id, row.version, access, refresh).await? {
            return Ok(Ok(true));
        }
        // The row was refreshed, reconnected or deleted meanwhile. The new one may be encrypted with the old key again.
    }
}
