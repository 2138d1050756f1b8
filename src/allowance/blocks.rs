//! Maps each permit to its reserved block, and interprets the blocks of earlier processes. Pure.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    block::{Block, ClosedBlock},
    period::PERIOD,
    ticket::Ticket,
};

/// How long after a takeover requests of the previous holder may still arrive at OwnerRez. A process that lost its lock
/// notices within 10 seconds (it checks every 5 seconds and waits 5 for the result), and a request may be in progress
/// for 20.
pub const TAKEOVER_GRACE: TimeDelta = TimeDelta::seconds(30);

/// The blocks of this process.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    open: VecDeque<OpenBlock>,
    spent: BTreeMap<Ticket, Uuid>,
    closed: Vec<ClosedBlock>,
}

#[derive(Clone, Debug)]
struct OpenBlock {
    id: Uuid,
    left: u32,
    out: u32,
    used: u32,
    last_reply: Option<DateTime<Utc>>,
}

impl Blocks {
    /// Adds a block that was written to the database.
    pub fn open(&mut self, id: Uuid, permits: u32) {
        self.open.push_back(OpenBlock { id, left: permits, out: 0, used: 0, last_reply: None });
    }

    /// Takes a permit from a block.
    pub fn spend(&mut self, ticket: Ticket) {
        if let Some(block) = self.open.iter_mut().find(|block| block.left > 0) {
            block.left -= 1;
            block.out += 1;
            self.spent.insert(ticket, block.id);
        }
    }

    /// Settles a permit, whose request was sent or not.
    pub fn settle(&mut self, ticket: Ticket, used: bool, now: DateTime<Utc>) {
        let Some(id) = self.spent.remove(&ticket) else { return };
        let Some(at) = self.open.iter().position(|block| block.id == id) else { return };
        let block = &mut self.open[at];
        block.out -= 1;
        if used {
            block.used += 1;
            block.last_reply = Some(now);
        }
        if block.left == 0 && block.out == 0 {
            let (used, closed_at) = (block.used, block.last_reply.unwrap_or(now));
            self.closed.push(ClosedBlock { id, used, closed_at });
            self.open.remove(at);
        }
    }

    /// Returns the blocks that must be written to the database as closed.
    pub fn take_closed(&mut self) -> Vec<ClosedBlock> {
        std::mem::take(&mut self.closed)
    }

    /// Takes back blocks that could not be written.
    pub fn put_back(&mut self, closed: Vec<ClosedBlock>) {
        self.closed.extend(closed);
    }

    /// Closes all blocks at the end of the process. Unsettled permits count as spent, because their requests may still
    /// arrive.
    pub fn close_all(&mut self, now: DateTime<Utc>) -> Vec<ClosedBlock> {
        let mut closed = self.take_closed();
        closed.extend(self.open.drain(..).map(|block| ClosedBlock {
            id: block.id,
            used: block.used + block.out,
            closed_at: if block.out > 0 { now + TAKEOVER_GRACE } else { block.last_reply.unwrap_or(now) },
        }));
        closed
    }
}

/// Returns the slots that the blocks of earlier holders occupy, with the times at which they become free, and how to
/// close the open blocks, which count as spent in full.
pub fn recover_blocks(blocks: &[Block], now: DateTime<Utc>) -> (Vec<(u32, DateTime<Utc>)>, Vec<ClosedBlock>) {
    let latest = now + TAKEOVER_GRACE;
    let spent = blocks.iter().map(|block| match block.closed_at {
        // If the clock was set back, slots must not stay occupied for longer than a period.
        Some(closed_at) => (block.used.unwrap_or(block.permits), closed_at.min(latest) + PERIOD),
        None => (block.permits, latest + PERIOD),
    });
    let abandoned = blocks.iter().filter(|block| block.closed_at.is_none()).map(|block| ClosedBlock {
        id: block.id,
        used: block.permits,
        closed_at: latest,
    });
    (spent.filter(|(_, free_at)| *free_at > now).collect(), abandoned.collect())
}
