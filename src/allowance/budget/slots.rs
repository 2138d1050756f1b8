//! The slots of the window: which of them are occupied, by which account, and when they become free.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::allowance::{account::Account, period::PERIOD, ticket::Ticket};

/// Slots that become free at one moment, and the account that occupies them (`None`: an earlier process or a command).
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) account: Option<Account>,
    pub(super) slots: u32,
}

/// A request in progress.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    account: Account,
    /// How often the budget had been closed when the request was granted.
    closings: u32,
}

/// The slots of one window.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    limit: u32,
    in_flight: BTreeMap<Ticket, InFlight>,
    releases: BTreeMap<DateTime<Utc>, Vec<Release>>,
    occupied: u32,
    usage: HashMap<Account, u32>,
}

impl Slots {
    /// Creates free slots.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, in_flight: BTreeMap::new(), releases: BTreeMap::new(), occupied: 0, usage: HashMap::new() }
    }

    /// Replaces all occupied slots by known spent ones, with the times at which they become free.
    pub(super) fn carry_over(&mut self, spent: impl IntoIterator<Item = (u32, DateTime<Utc>)>) {
        self.in_flight.clear();
        self.releases.clear();
        self.usage.clear();
        self.occupied = 0;
        for (slots, free_at) in spent {
            self.occupy(slots, free_at);
        }
        // A block that was left open counts in full, including permits spent long ago, so the sum may exceed the
        // window. The earliest releases are dropped: at most `limit` slots can be occupied, and the remaining ones are
        // due last.
        while self.occupied > self.limit
            && let Some(mut first) = self.releases.first_entry()
        {
            let surplus = self.occupied - self.limit;
            match first.get_mut().last_mut() {
                Some(release) if release.slots > surplus => {
                    release.slots -= surplus;
                    self.occupied -= surplus;
                }
                Some(release) => {
                    self.occupied -= release.slots;
                    first.get_mut().pop();
                }
                None => {
                    first.remove();
                }
            }
        }
    }

    /// Occupies slots that no account is charged for.
    pub(super) fn occupy(&mut self, slots: u32, free_at: DateTime<Utc>) {
        self.occupied = self.occupied.saturating_add(slots);
        self.releases.entry(free_at).or_default().push(Release { account: None, slots });
    }

    /// Occupies the slot of a granted request.
    pub(super) fn grant(&mut self, ticket: Ticket, account: Account, closings: u32) {
        self.occupied += 1;
        *self.usage.entry(account).or_default() += 1;
        self.in_flight.insert(ticket, InFlight { account, closings });
    }

    /// Frees the slot of a granted request that was not sent. Returns `false` if there is none.
    pub(super) fn give_back(&mut self, ticket: Ticket) -> bool {
        let Some(sent) = self.in_flight.remove(&ticket) else { return false };
        // The permit is not passed on to another caller, because its block is counted elsewhere.
        self.free_up(Some(sent.account), 1);
        true
    }

    /// Occupies the slot of a sent request for a period from its response. That period may be over already if the event
    /// is late. Returns how often the budget had been closed when the request was granted.
    pub(super) fn finish(&mut self, ticket: Ticket, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<u32> {
        let sent = self.in_flight.remove(&ticket)?;
        let release = Release { account: Some(sent.account), slots: 1 };
        // Two responses rarely come at the same moment, and a list that grows on demand begins with a capacity of four.
        self.releases.entry(at.min(now) + PERIOD).or_insert_with(|| Vec::with_capacity(1)).push(release);
        self.free_due(now);
        Some(sent.closings)
    }

    /// Frees the slots whose time has come.
    pub(super) fn free_due(&mut self, now: DateTime<Utc>) {
        while let Some(entry) = self.releases.first_entry() {
            if *entry.key() > now {
                break;
            }
            for release in entry.remove() {
                self.free_up(release.account, release.slots);
            }
        }
    }

    fn free_up(&mut self, account: Option<Account>, slots: u32) {
        self.occupied = self.occupied.saturating_sub(slots);
        if let Some(account) = account
            && let Some(used) = self.usage.get_mut(&account)
        {
            *used = used.saturating_sub(slots);
            if *used == 0 {
                self.usage.remove(&account);
            }
        }
    }

    /// Returns the number of all slots.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the number of occupied slots.
    pub(super) fn occupied(&self) -> u32 {
        self.occupied
    }

    /// Returns the number of free slots.
    pub(super) fn free(&self) -> u32 {
        self.limit.saturating_sub(self.occupied)
    }

    /// Returns the number of slots that the account occupies.
    pub(super) fn used(&self, account: Account) -> u32 {
        self.usage.get(&account).copied().unwrap_or(0)
    }

    /// Returns the number of slots that each account will occupy at that time, if no more are granted.
    pub(super) fn usage_at(&self, at: DateTime<Utc>) -> HashMap<Account, u32> {
        let mut usage = self.usage.clone();
        for release in self.releases.range(..=at).flat_map(|(_, releases)| releases) {
            if let Some(used) = release.account.and_then(|account| usage.get_mut(&account)) {
                *used = used.saturating_sub(release.slots);
            }
        }
        usage
    }

    /// Returns the number of requests in progress.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns the slots that become free, and when, in order.
    pub(super) fn releases(&self) -> impl Iterator<Item = (DateTime<Utc>, &[Release])> {
        self.releases.iter().map(|(at, releases)| (*at, releases.as_slice()))
    }
}
