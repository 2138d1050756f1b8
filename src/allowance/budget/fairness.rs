//! The fairness rule: which account may take a slot, given its usage and the number of free slots.

use crate::allowance::account::Account;

/// The fairness rule of one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fairness {
    /// The number of all slots.
    pub(super) limit: u32,
    /// The number of connected OwnerRez accounts.
    pub(super) accounts: u64,
}

impl Fairness {
    /// Returns whether an account may take a slot (the fairness rule). The last tenth of the window is closed to
    /// accounts that used a fiftieth of it or more, and the last third of that tenth to all accounts that used
    /// anything. So an account that used nothing always finds a slot.
    ///
    /// A further twentieth is closed to all accounts until connecting has used as much. `connecting` is the number of
    /// slots that connecting used; for [`Account::Connecting`] it equals `used`.
    pub(super) fn eligible(self, account: Account, used: u32, connecting: u32, free: u32) -> bool {
        let within_its_part = account != Account::Connecting || used < (self.limit / 2).max(1);
        within_its_part && free > self.reserve_for(account, used, connecting)
    }

    /// Returns how many slots an account with this usage leaves to others.
    fn reserve_for(self, account: Account, used: u32, connecting: u32) -> u32 {
        let is_kept_for_connecting = account != Account::Connecting && self.accounts > 1;
        let for_connecting = if is_kept_for_connecting { (self.limit / 20).saturating_sub(connecting) } else { 0 };
        self.fairness_reserve(account, used).saturating_add(for_connecting)
    }

    /// The same without the part that is reserved for connecting.
    ///
    /// Connecting always gets its own twentieth. It may use a second one like an account with few requests, and up to
    /// half of the window while a third of it is free.
    pub(super) fn fairness_reserve(self, account: Account, used: u32) -> u32 {
        let reserve = if self.accounts <= 1 { 0 } else { self.limit / 10 };
        let (handful, part) = ((self.limit / 50).max(1), (self.limit / 20).max(1));
        match account {
            Account::Connecting if used < part => 0,
            Account::Connecting if used < part * 2 => reserve / 3,
            Account::Connecting => self.limit / 3,
            _ if used == 0 => 0,
            _ if used < handful => reserve / 3,
            _ => reserve,
        }
    }

    /// Returns the number of permits for connecting, given its usage and the number of free slots.
    pub(super) fn left_for_connecting(self, used: u32, free: u32) -> u32 {
        let (part, most) = ((self.limit / 20).max(1), (self.limit / 2).max(1));
        let mut left = 0;
        for (start, end) in [(0, part), (part, part * 2), (part * 2, most)] {
            // All permits of one stage leave the same number of slots to others.
            let kept = self.fairness_reserve(Account::Connecting, start);
            let end = end.min(most);
            left += end.saturating_sub(used + left).min(free.saturating_sub(left + kept));
            if used + left < end {
                break;
            }
        }
        left
    }
}
