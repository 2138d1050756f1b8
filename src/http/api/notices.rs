//! Webhook notifications that are being processed, by account.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::AccountId;

/// Notifications for one account within this time are merged.
pub(in crate::http) const MERGED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Accounts whose users are being checked, and whether another notification has arrived since.
///
/// OwnerRez repeats notifications, and each check costs a request of the rate limit. So all notifications for one
/// account within `MERGED_WITHIN` cost two checks per user: one at the first notification, and one at the end for later
/// ones. Only connected accounts are in the map, which bounds its size.
#[derive(Default)]
pub struct Notices(Mutex<HashMap<AccountId, PendingCheck>>);

#[derive(Clone, Copy)]
struct PendingCheck {
    at: DateTime<Utc>,
    /// Whether another notification arrived since.
    again: bool,
}

impl Notices {
    /// Records a notification. Returns whether a check has to start now.
    pub(in crate::http) fn take(&self, account: AccountId, now: DateTime<Utc>) -> bool {
        match self.lock().entry(account) {
            // A much older entry was left by a check that never ended.
            Entry::Occupied(mut asked) if now < asked.get().at + MERGED_WITHIN * 5 => {
                asked.get_mut().again = true;
                false
            }
            entry => {
                entry.insert_entry(PendingCheck { at: now, again: false });
                true
            }
        }
    }

    /// Returns whether a notification arrived since the last check, so that it must be repeated. Removes the account
    /// otherwise.
    pub(in crate::http) fn take_repeat(&self, account: AccountId, now: DateTime<Utc>) -> bool {
        let mut all = self.lock();
        let again = all.get(&account).is_some_and(|asked| asked.again);
        if again {
            all.insert(account, PendingCheck { at: now, again: false });
        } else {
            all.remove(&account);
        }
        again
    }

    /// A panic while the lock is held leaves no partial update.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, PendingCheck>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
