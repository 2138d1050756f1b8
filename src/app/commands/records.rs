//! Counts the stored tokens by the encryption key that they need.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    crypto::{KeyRing, SealedWith, sealed_with},
    store::{SealedRow, SealedTable, Store, StoreError},
};

/// Rows that are read at once.
pub(super) const PAGE: u64 = 200;

pub(super) const TABLES: [SealedTable; 3] = [SealedTable::Connections, SealedTable::Revocations, SealedTable::Grants];

/// Counts of rows that need the same key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct TokenCounts {
    pub(super) connections: u64,
    pub(super) revocations: u64,
    pub(super) grants: u64,
    /// Rows that cannot be decrypted although the key is configured.
    pub(super) broken: u64,
}

impl TokenCounts {
    pub(super) fn rows(&self) -> u64 {
        // A new count is a compile error here: without it, `reseal` would say too early that a key can be dropped.
        let Self { connections, revocations, grants, broken: _ } = self;
        connections + revocations + grants
    }

    /// Returns text such as "3 connections, 1 token to be revoked".
    pub(super) fn words(&self) -> String {
        let Self { connections, revocations, grants, broken: _ } = *self;
        let counted = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {many}")),
        };
        let parts = [
            counted(connections, "connection", "connections"),
            counted(revocations, "token to be revoked", "tokens to be revoked"),
            counted(grants, "refresh token of a client", "refresh tokens of clients"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}

/// All rows, grouped by the key that they need. A row whose two tokens need two keys counts for both.
#[derive(Default, Debug)]
pub(super) struct Records {
    pub(super) by_key: BTreeMap<SealedWith, TokenCounts>,
    pub(super) rows: u64,
}

impl Records {
    /// Reads every row of these tables, and tries to decrypt it if keys are given.
    pub(super) async fn read(
        store: &Store,
        ring: Option<&KeyRing>,
        tables: &[SealedTable],
    ) -> Result<Self, StoreError> {
        let mut records = Self::default();
        for &table in tables {
            let mut after = None;
            loop {
                let page = store.sealed_rows(table, after, PAGE).await?;
                for row in &page {
                    records.count(table, row, ring);
                }
                match page.last() {
                    Some(last) => after = Some(last.id),
                    None => break,
                }
            }
        }
        Ok(records)
    }

    fn count(&mut self, table: SealedTable, row: &SealedRow, ring: Option<&KeyRing>) {
        self.rows += 1;
        let (mut needed, mut broken) = (BTreeSet::new(), BTreeSet::new());
        for (place, sealed) in &row.tokens {
            let key = sealed_with(sealed);
            if ring.is_some_and(|ring| ring.try_open(*place, sealed).is_err()) {
                broken.insert(key.clone());
            }
            needed.insert(key);
        }
        for key in needed {
            let is_broken = broken.contains(&key);
            let counts = self.by_key.entry(key).or_default();
            match table {
                SealedTable::Connections => counts.connections += 1,
                SealedTable::Revocations => counts.revocations += 1,
                SealedTable::Grants => counts.grants += 1,
            }
            counts.broken += u64::from(is_broken);
        }
    }
}
