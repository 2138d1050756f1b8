//! Round-robin queues over lanes, which may be round-robin queues themselves.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// A queue that returns its items one at a time.
pub(super) trait Lane: Default {
    /// The type of a queued item.
    type Item;

    /// Removes and returns the next item.
    fn pop(&mut self) -> Option<Self::Item>;

    /// Returns whether the queue is empty.
    fn is_empty(&self) -> bool;
}

impl<Item> Lane for VecDeque<Item> {
    type Item = Item;

    fn pop(&mut self) -> Option<Item> {
        self.pop_front()
    }

    fn is_empty(&self) -> bool {
        VecDeque::is_empty(self)
    }
}

/// Lanes by key. Each non-empty lane returns one item per round.
pub(super) struct RoundRobin<Key, L> {
    lanes: HashMap<Key, L>,
    order: VecDeque<Key>,
}

impl<Key, L> Default for RoundRobin<Key, L> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), order: VecDeque::new() }
    }
}

impl<Key: Hash + Eq + Copy, L: Lane> RoundRobin<Key, L> {
    /// Returns the lane of this key and adds it to the round. The caller must put an item into it.
    pub(super) fn lane(&mut self, key: Key) -> &mut L {
        let order = &mut self.order;
        self.lanes.entry(key).or_insert_with(|| {
            order.push_back(key);
            L::default()
        })
    }
}

impl<Key: Hash + Eq + Copy, L: Lane> Lane for RoundRobin<Key, L> {
    type Item = L::Item;

    fn pop(&mut self) -> Option<L::Item> {
        while let Some(key) = self.order.pop_front() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let item = lane.pop();
            if lane.is_empty() {
                self.lanes.remove(&key);
            } else {
                self.order.push_back(key);
            }
            if item.is_some() {
                return item;
            }
        }
        None
    }

    fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Two = RoundRobin<u8, RoundRobin<u8, VecDeque<usize>>>;

    proptest! {
        /// Each item comes out exactly once, and an outer lane delays another by at most one item per round.
        #[test]
        fn a_full_lane_delays_others_by_one_item_per_round(
            items in prop::collection::vec((0u8..5, 0u8..3), 0..200),
        ) {
            let mut turns = Two::default();
            for (number, (outer, inner)) in items.iter().enumerate() {
                turns.lane(*outer).lane(*inner).push_back(number);
            }
            let mut out = Vec::new();
            while let Some(number) = turns.pop() {
                out.push(number);
            }
            prop_assert!(turns.is_empty());
            let mut sorted = out.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..items.len()).collect::<Vec<_>>());
            let mut served = [0usize; 5];
            for number in &out {
                let outer = usize::from(items[*number].0);
                served[outer] += 1;
                for other in 0..5 {
                    let waits = out.iter().filter(|other_number| usize::from(items[**other_number].0) == other).count()
                        > served[other];
                    prop_assert!(!waits || served[outer] <= served[other] + 1);
                }
            }
        }
    }
}
