//! Permits for a command that sends requests while gateways run, out of the same allowance.
//!
//! The command takes them from the first share, which another process may hold, by rows in the database; the holder counts these before
//! it reserves more (`allowance`). The command takes one only while a third of the window is free, so that users hardly
//! notice it, and so that what the holder reserves at the same moment still fits.

use chrono::{DateTime, TimeDelta, Utc};

use super::{blocks::left_behind, budget::PERIOD, usage};
use crate::{
    domain::{SharedClock, UserId},
    store::{Block, Store, StoreError, Used},
};

/// The share that commands take from.
const SLOT: i32 = 0;
/// How often a full window is looked at.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(5);

/// The way of one command to the allowance.
pub struct CommandAllowance {
    /// Where it is written down.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// Requests that the process holding the share may send in five minutes.
    pub limit: u32,
    /// A request has been answered or given up after this time.
    pub answer_timeout: TimeDelta,
}

impl CommandAllowance {
    /// Waits for the right to send one request, until `deadline`. `false`: there was no room.
    ///
    /// # Errors
    /// What the database says.
    pub async fn acquire(&self, deadline: DateTime<Utc>) -> Result<bool, StoreError> {
        loop {
            let now = self.clock.now();
            let fits = |blocks: &[Block]| has_room(blocks, self.limit, now);
            if self.store.reserve_for_command(SLOT, now, now + self.answer_timeout, fits).await? {
                return Ok(true);
            }
            if now >= deadline {
                return Ok(false);
            }
            self.clock.sleep_until((now + LOOK_EVERY).min(deadline)).await;
        }
    }

    /// Writes down how many requests were sent, in a user's name if it was one, and forgets what no longer counts.
    ///
    /// # Errors
    /// What the database says.
    pub async fn finish(&self, user: Option<UserId>, requests: u32) -> Result<(), StoreError> {
        let now = self.clock.now();
        if let Some(user) = user {
            self.store.add_use(&[Used { user, since: usage::span_of(now), requests }]).await?;
        }
        self.store.forget_blocks(SLOT, now - PERIOD).await.map(drop)
    }
}

/// Whether one more request leaves a third of the window free.
fn has_room(blocks: &[Block], limit: u32, now: DateTime<Utc>) -> bool {
    let (spent, _) = left_behind(blocks, now);
    let occupied: u32 = spent.iter().map(|(requests, _)| *requests).fold(0, u32::saturating_add);
    occupied.saturating_add(1).saturating_add(limit / 3) <= limit
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn block(permits: u32, closed: Option<(u32, i64)>) -> Block {
        let at = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        Block {
            id: Uuid::nil(),
            permits,
            reserved_at: at(0),
            closed_at: closed.map(|(_, second)| at(second)),
            used: closed.map(|(used, _)| used),
        }
    }

    #[test]
    fn a_third_of_the_window_stays_free() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(10);
        let open = block(15, None);
        let old = block(200, Some((200, 299)));
        let recent = |used| block(200, Some((used, 301)));
        assert!(has_room(&[], 300, now));
        assert!(has_room(&[open.clone(), old.clone(), recent(184)], 300, now));
        assert!(!has_room(&[open, old, recent(185)], 300, now), "an open block counts in full");
    }
}
