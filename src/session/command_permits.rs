//! Permits of the same allowance for a command that sends requests while gateways run.
//!
//! The command takes them from the first share, which another process may hold, as rows in the database. The holder
//! counts these rows before it reserves more (`allowance`). The command takes a permit only while a third of the window
//! is free, so that users hardly notice it, and so that a simultaneous reservation of the holder still fits.

use chrono::{DateTime, TimeDelta, Utc};

use super::usage;
use crate::{
    allowance::{Block, PERIOD, recover_blocks},
    domain::{SharedClock, UserId},
    store::{Store, StoreError, Used},
};

/// The share that commands take permits from.
const SLOT: i32 = 0;
/// The interval of retries while the window is full.
const POLL_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// The handle of one command to the allowance.
pub struct CommandAllowance {
    /// The database with the reservations.
    pub store: Store,
    /// The clock.
    pub clock: SharedClock,
    /// The number of requests that the holder of the share may send in five minutes.
    pub limit: u32,
    /// The time after which a request has been answered or given up.
    pub answer_timeout: TimeDelta,
}

impl CommandAllowance {
    /// Waits for the right to send one request, until `deadline`. Returns `false` if the window stayed too full.
    ///
    /// # Errors
    /// The database failed.
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
            self.clock.sleep_until((now + POLL_INTERVAL).min(deadline)).await;
        }
    }

    /// Records how many requests were sent, for a user if there is one, and deletes blocks that no longer count.
    ///
    /// # Errors
    /// The database failed.
    pub async fn finish(&self, user: Option<UserId>, requests: u32) -> Result<(), StoreError> {
        let now = self.clock.now();
        if let Some(user) = user {
            self.store.add_use(&[Used { user, since: usage::span_of(now), requests }]).await?;
        }
        self.store.forget_blocks(SLOT, now - PERIOD).await.map(drop)
    }
}

/// Returns whether a third of the window stays free after one more request.
fn has_room(blocks: &[Block], limit: u32, now: DateTime<Utc>) -> bool {
    let (spent, _) = recover_blocks(blocks, now);
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
